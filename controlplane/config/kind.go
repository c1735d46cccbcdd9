package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// hinted is an error that also says what to do.
type hinted struct{ message, hint string }

// Error is the message, without the hint.
func (h hinted) Error() string { return h.message }

// shape says how the value of an option is written.
type shape int

const (
	scalar  shape = iota // one text
	list                 // several, in the environment separated by commas
	records              // several groups of named texts, in the environment as JSON
)

// kind is a type of value: how it is read and how it is shown. The errors of its functions never repeat the value.
type kind[T any] struct {
	shape   shape
	name    string // for the reference: "whole number, 1 to 65535"
	parse   func(text string) (T, error)
	collect func(items []string) (T, error)  // lists
	gather  func(rows []record) (T, []fault) // records
	show    func(value T) string
}

// textKind is any printable text of one line.
func textKind(name string) kind[string] {
	return kind[string]{
		name:  name,
		parse: func(text string) (string, error) { return text, checkSecretText(text) },
		show:  func(value string) string { return value },
	}
}

// oneOf is one of a few words.
func oneOf[T ~string](words ...T) kind[T] {
	names := make([]string, len(words))
	for i, word := range words {
		names[i] = string(word)
	}
	allowed := strings.Join(names, ", ")
	return kind[T]{
		name: allowed,
		parse: func(text string) (T, error) {
			if !slices.Contains(names, text) {
				return "", fmt.Errorf("must be one of %s", allowed)
			}
			return T(text), nil
		},
		show: func(value T) string { return string(value) },
	}
}

// boolean is true or false, spelt so.
func boolean() kind[bool] {
	return kind[bool]{
		name: "true, false",
		parse: func(text string) (bool, error) {
			if text != "true" && text != "false" {
				return false, errors.New("must be true or false")
			}
			return text == "true", nil
		},
		show: strconv.FormatBool,
	}
}

// integer is a whole number from least to most.
func integer[T int | int64](least, most T) kind[T] {
	return kind[T]{
		name: fmt.Sprintf("whole number, %d to %d", least, most),
		parse: func(text string) (T, error) {
			number, err := strconv.ParseInt(text, 10, strconv.IntSize)
			if err != nil || T(number) < least || T(number) > most {
				return 0, fmt.Errorf("must be a whole number from %d to %d", least, most)
			}
			return T(number), nil
		},
		show: func(value T) string { return strconv.FormatInt(int64(value), 10) },
	}
}

// size is a number of bytes from least to most, with PostgreSQL's units: 1kB is 1024 bytes.
func size(least, most int64) kind[int64] {
	units := []struct {
		suffix string
		factor int64
	}{{"GB", 1 << 30}, {"MB", 1 << 20}, {"kB", 1 << 10}, {"", 1}}
	show := func(value int64) string {
		for _, unit := range units {
			if value%unit.factor == 0 && (value != 0 || unit.factor == 1) {
				return strconv.FormatInt(value/unit.factor, 10) + unit.suffix
			}
		}
		return ""
	}
	refusal := fmt.Errorf("must be a number of bytes from %s to %s, with or without kB, MB or GB", show(least), show(most))
	return kind[int64]{
		name: fmt.Sprintf("bytes, %s to %s", show(least), show(most)),
		parse: func(text string) (int64, error) {
			for _, unit := range units {
				digits, found := strings.CutSuffix(text, unit.suffix)
				if !found {
					continue
				}
				number, err := strconv.ParseInt(digits, 10, 64)
				if err != nil || number < 0 || number > most/unit.factor || number*unit.factor < least {
					break
				}
				return number * unit.factor, nil
			}
			return 0, refusal
		},
		show: show,
	}
}

// duration is a time from least to most in Go's notation.
func duration(least, most time.Duration) kind[time.Duration] {
	return durationKind(least, most, false)
}

// durationOrNone is a duration, or 0 for what the description of the option says.
func durationOrNone(least, most time.Duration) kind[time.Duration] {
	return durationKind(least, most, true)
}

func durationKind(least, most time.Duration, orNone bool) kind[time.Duration] {
	span := fmt.Sprintf("%s to %s", showDuration(least), showDuration(most))
	if orNone {
		span += " or 0"
	}
	return kind[time.Duration]{
		name: "duration, " + span,
		parse: func(text string) (time.Duration, error) {
			value, err := time.ParseDuration(text)
			if err != nil || !(value >= least && value <= most || orNone && value == 0) {
				return 0, hinted{"must be a duration, " + span, "a number needs its unit: 500ms, 30s, 15m, 1h30m"}
			}
			return value, nil
		},
		show: showDuration,
	}
}

// showDuration writes 15m where Go writes 15m0s.
func showDuration(value time.Duration) string {
	if value == 0 {
		return "0"
	}
	text := value.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// logLevel is a level of slog by its usual name.
func logLevel() kind[slog.Level] {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	return kind[slog.Level]{
		name: "debug, info, warn, error",
		parse: func(text string) (slog.Level, error) {
			level, known := levels[text]
			if !known {
				return 0, errors.New("must be one of debug, info, warn, error")
			}
			return level, nil
		},
		show: func(value slog.Level) string { return strings.ToLower(value.String()) },
	}
}

// address is host:port; the host may be empty for every address, the port 0 for a free one.
func address() kind[string] {
	return kind[string]{
		name: "host:port",
		parse: func(text string) (string, error) {
			refusal := hinted{"must be host:port", "an empty host is every address, [::1]:8080 is IPv6"}
			host, port, err := net.SplitHostPort(text)
			if err != nil || !isHost(host) {
				return "", refusal
			}
			if number, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(number, 10) != port {
				return "", refusal
			}
			return text, nil
		},
		show: func(value string) string { return value },
	}
}

// isHost says that host is empty, an address, or made of the characters of a host name.
func isHost(host string) bool {
	return net.ParseIP(host) != nil || !strings.ContainsFunc(host, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '.'
	})
}

// signingSecret is a secret that signs tokens.
func signingSecret() kind[Secret] {
	return kind[Secret]{
		name:  fmt.Sprintf("secret, at least %d bytes", minSecretBytes),
		parse: parseSigningSecret,
		show:  Secret.String,
	}
}

// connection is the URL of a database.
func connection() kind[URL] {
	return kind[URL]{name: "postgres:// URL", parse: ParseURL, show: URL.String}
}

// schemas is a list of schemas that the data API may expose.
func schemas() kind[[]string] {
	return kind[[]string]{
		shape: list,
		name:  "list of schemas",
		collect: func(items []string) ([]string, error) {
			if len(items) == 0 {
				return nil, errors.New("needs at least one schema")
			}
			for i, item := range items {
				switch {
				case i == 0 && strings.HasSuffix(item, "*"):
					return nil, errors.New("begins with the schemas of tenants: the first is the default for everybody")
				case item == "" || len(item) > 63 || checkSecretText(item) != nil:
					return nil, errors.New("must be a list of names of schemas, each of 1 to 63 bytes")
				case slices.Contains(closedSchemas, item) || strings.HasPrefix(item, "pg_"):
					return nil, fmt.Errorf("names a schema that is never exposed (%s and pg_*)", strings.Join(closedSchemas, ", "))
				case slices.Contains(items[:i], item):
					return nil, errors.New("names one schema twice")
				}
			}
			return items, nil
		},
		show: func(value []string) string { return strings.Join(value, ",") },
	}
}

// searchPath is a list of schemas that may be empty.
func searchPath() kind[[]string] {
	return kind[[]string]{
		shape: list,
		name:  "list of schemas",
		collect: func(items []string) ([]string, error) {
			for i, item := range items {
				switch {
				case item == "" || len(item) > 63 || checkSecretText(item) != nil:
					return nil, errors.New("must be a list of names of schemas, each of 1 to 63 bytes")
				case item == "$user" || slices.Contains(closedSchemas, item) || strings.HasPrefix(item, "pg_"):
					return nil, fmt.Errorf("names a schema that requests never search, or always (%s, $user and pg_*)", strings.Join(closedSchemas, ", "))
				case slices.Contains(items[:i], item):
					return nil, errors.New("names one schema twice")
				}
			}
			return items, nil
		},
		show: func(value []string) string { return strings.Join(value, ",") },
	}
}

// closedSchemas are the schemas that the data API never exposes, whatever the configuration says.
var closedSchemas = []string{"auth", "audit", "ratelimit", "fluxbase", "information_schema"}
