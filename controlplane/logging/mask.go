package logging

import (
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// masked stands for a secret.
const masked = "********"

// secretParts make a name secret wherever they stand in it, without regard to case and punctuation.
var secretParts = []string{
	"password", "passwd", "passphrase", "secret", "authorization", "cookie", "credential", "apikey", "privatekey",
	"servicekey", "signingkey", "connectionstring",
}

// secretWords make a name secret as a whole word of it.
var secretWords = []string{
	"token", "tokens", "pwd", "jwt", "bearer", "otp", "totp", "csrf", "mac", "hmac", "dsn", "pin",
}

// isSecretName says that a name looks like that of a secret.
func isSecretName(name string) bool {
	words := wordsOf(name)
	joined := strings.Join(words, "")
	for _, part := range secretParts {
		if strings.Contains(joined, part) {
			return true
		}
	}
	return slices.ContainsFunc(words, func(word string) bool { return slices.Contains(secretWords, word) })
}

// wordsOf splits at punctuation and where an upper-case letter follows a lower-case one, and lowers the case.
func wordsOf(name string) []string {
	var (
		words  []string
		word   strings.Builder
		before rune
	)
	flush := func() {
		if word.Len() > 0 {
			words = append(words, word.String())
			word.Reset()
		}
	}
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) || unicode.IsUpper(r) && unicode.IsLower(before) {
			flush()
		}
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			word.WriteRune(unicode.ToLower(r))
		}
		before = r
	}
	flush()
	return words
}

// clean is a value without its secrets.
func clean(name string, value slog.Value) slog.Value {
	value = value.Resolve()
	switch value.Kind() {
	case slog.KindBool, slog.KindDuration, slog.KindTime:
		return value // say no secret, whatever their name
	case slog.KindGroup:
		return value // each of its attributes comes by itself
	}
	if isSecretName(name) {
		return slog.StringValue(masked)
	}
	switch value.Kind() {
	case slog.KindString:
		return slog.StringValue(cleanText(value.String()))
	case slog.KindAny:
		return cleanAny(value)
	}
	return value
}

// cleanAny handles what slog carries as it is.
func cleanAny(value slog.Value) slog.Value {
	switch v := value.Any().(type) {
	case nil:
		return value
	case error:
		return slog.StringValue(cleanText(safely(v.Error)))
	case fmt.Stringer:
		return slog.StringValue(cleanText(safely(v.String)))
	case []string:
		texts := make([]string, len(v))
		for i, text := range v {
			texts[i] = cleanText(text)
		}
		return slog.AnyValue(texts)
	}
	switch v := reflect.ValueOf(value.Any()); {
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return slog.StringValue(fmt.Sprintf("%d bytes", v.Len())) // a body, or raw JSON
	case v.Kind() == reflect.Map && v.Type().Key().Kind() == reflect.String:
		return cleanMap(v)
	}
	return value
}

// safely is a call of a method that may panic on a nil pointer, as slog's own handlers make it.
func safely(text func() string) (result string) {
	defer func() {
		if caught := recover(); caught != nil {
			result = "!PANIC"
		}
	}()
	return text()
}

// cleanMap masks the values of a map with names, http.Header among them.
func cleanMap(m reflect.Value) slog.Value {
	shown := make(map[string]any, m.Len())
	for entries := m.MapRange(); entries.Next(); {
		name := entries.Key().String()
		shown[name] = clean(name, slog.AnyValue(entries.Value().Interface())).Any()
	}
	return slog.AnyValue(shown)
}

// secretTexts are the forms of secrets that give themselves away, each with what is left of it.
var secretTexts = []struct {
	mark    string // a text without it isn't searched
	pattern *regexp.Regexp
	rest    string
}{
	{"://", regexp.MustCompile(`(://[^/\s:@]*):[^/\s]*@`), "$1:" + masked + "@"},
	{"eyJ", regexp.MustCompile(`eyJ[A-Za-z0-9_=-]{5,}\.[A-Za-z0-9_=-]+(?:\.[A-Za-z0-9_=-]*)?`), masked},
	{"earer ", regexp.MustCompile(`([Bb]earer )[A-Za-z0-9._~+/=-]+`), "$1" + masked},
	{"fb_", regexp.MustCompile(`fb_(live|test|invite)_[A-Za-z0-9_-]+`), "fb_${1}_" + masked},
	{"$2", regexp.MustCompile(`\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{53}`), masked}, // bcrypt
	{"assword=", regexp.MustCompile(`([Pp]assword=)[^\s&]+`), "$1" + masked},
}

// cleanText is a text without the secrets whose form gives them away.
func cleanText(text string) string {
	for _, secret := range secretTexts {
		if strings.Contains(text, secret.mark) {
			text = secret.pattern.ReplaceAllString(text, secret.rest)
		}
	}
	return text
}
