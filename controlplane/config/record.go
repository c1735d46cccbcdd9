package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/oauth"
)

// record is one element of a list of groups: its fields as they were written.
type record struct {
	line   int
	fields []recordField
}

type recordField struct {
	name, text string
	list       bool // written as a list; text joins its elements with commas
	line       int
}

// fault is what is wrong with a value, and where below the option when that says more.
type fault struct {
	below string // "[2].per_minute"
	line  int    // in the file, 0 when that of the option holds
	err   error
}

// column is one field of a record.
type column[T any] struct {
	name     string
	required bool
	list     bool // may be written as a list
	assign   func(row *T, text string) error
}

// field makes a column of a scalar kind.
func field[T, V any](name string, k kind[V], target func(*T) *V, required bool) column[T] {
	return column[T]{name: name, required: required, assign: func(row *T, text string) error {
		value, err := k.parse(text)
		if err == nil {
			*target(row) = value
		}
		return err
	}}
}

// listField makes a column of a list of texts that check accepts. In one text they are separated by commas.
func listField[T any](name string, check func(item string) error, target func(*T) *[]string) column[T] {
	return column[T]{name: name, list: true, assign: func(row *T, text string) error {
		items := splitList(text)
		for _, item := range items {
			if item == "" {
				return errEmpty
			}
			if err := check(item); err != nil {
				return err
			}
		}
		*target(row) = items
		return nil
	}}
}

// recordsOf is a list of groups with these columns; check looks at each whole group, and at those before it.
func recordsOf[T any](columns []column[T], check func(row T, before []T) error) kind[[]T] {
	names := namesOf(columns)
	return kind[[]T]{
		shape: records,
		name:  "list of {" + strings.Join(names, ", ") + "}",
		gather: func(rows []record) ([]T, []fault) {
			var (
				values []T
				faults []fault
			)
			for i, row := range rows {
				value, wrong := gatherRecord(row, columns)
				if len(wrong) == 0 {
					if err := check(value, values); err != nil {
						wrong = []fault{{line: row.line, err: err}}
					}
				}
				for _, f := range wrong {
					f.below = fmt.Sprintf("[%d]%s", i+1, f.below)
					faults = append(faults, f)
				}
				values = append(values, value)
			}
			return values, faults
		},
		show: func(values []T) string {
			if len(values) == 0 {
				return ""
			}
			text, _ := json.Marshal(values) // plain structs of texts and numbers: can't fail
			return string(text)
		},
	}
}

// gatherRecord reads the fields of one record.
func gatherRecord[T any](row record, columns []column[T]) (value T, faults []fault) {
	seen := map[string]bool{}
	for _, given := range row.fields {
		at := slices.IndexFunc(columns, func(c column[T]) bool { return c.name == given.name })
		if at < 0 {
			faults = append(faults, fault{line: given.line, err: unknownField(given.name, columns)})
			continue
		}
		seen[given.name] = true
		err := columns[at].assign(&value, given.text)
		switch {
		case given.text == "":
			err = errEmpty
		case given.list && !columns[at].list:
			err = errNotOne
		}
		if err != nil {
			faults = append(faults, fault{below: "." + given.name, line: given.line, err: err})
		}
	}
	for _, c := range columns {
		if c.required && !seen[c.name] {
			faults = append(faults, fault{below: "." + c.name, line: row.line, err: errMissing})
		}
	}
	return value, faults
}

func unknownField[T any](name string, columns []column[T]) error {
	return hinted{"has no field " + printable(name), "its fields are " + strings.Join(namesOf(columns), ", ")}
}

func namesOf[T any](columns []column[T]) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	return names
}

// endpointLimits is rate_limiting.endpoints.
func endpointLimits() kind[[]EndpointLimit] {
	limit := integer[int64](1, maxLimit)
	return recordsOf([]column[EndpointLimit]{
		field("path", urlPath(), func(e *EndpointLimit) *string { return &e.Path }, true),
		field("method", oneOf("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"), func(e *EndpointLimit) *string { return &e.Method }, false),
		field("per_minute", limit, func(e *EndpointLimit) *int64 { return &e.PerMinute }, false),
		field("per_hour", limit, func(e *EndpointLimit) *int64 { return &e.PerHour }, false),
	}, func(row EndpointLimit, before []EndpointLimit) error {
		if row.PerMinute == 0 && row.PerHour == 0 {
			return hinted{"sets no limit", "give it per_minute, per_hour or both"}
		}
		if slices.ContainsFunc(before, func(e EndpointLimit) bool { return e.Path == row.Path && e.Method == row.Method }) {
			return errors.New("is the second entry for this path and method")
		}
		return nil
	})
}

// maxLimit is the highest rate that a limit may name.
const maxLimit = 1_000_000_000

// alerts is monitoring.alerts.
func alerts() kind[[]Alert] {
	return recordsOf([]column[Alert]{
		field("name", textKind("text"), func(a *Alert) *string { return &a.Name }, true),
		field("condition", condition(), func(a *Alert) *string { return &a.Condition }, true),
		field("action", oneOf("notify_admin", "rate_limit", "block"), func(a *Alert) *string { return &a.Action }, true),
	}, func(row Alert, before []Alert) error {
		if slices.ContainsFunc(before, func(a Alert) bool { return a.Name == row.Name }) {
			return errors.New("is the second alert of this name")
		}
		return nil
	})
}

// providers is auth.providers.
func providers() kind[[]Provider] {
	text := textKind("text")
	return recordsOf([]column[Provider]{
		field("name", text, func(p *Provider) *string { return &p.Name }, true),
		field("client_id", text, func(p *Provider) *string { return &p.ClientID }, true),
		field("client_secret", secretText(), func(p *Provider) *Secret { return &p.ClientSecret }, false),
		field("client_secret_file", text, func(p *Provider) *string { return &p.ClientSecretFile }, false),
		field("issuer", text, func(p *Provider) *string { return &p.Issuer }, false),
		field("scopes", text, func(p *Provider) *string { return &p.Scopes }, false),
		field("audiences", text, func(p *Provider) *string { return &p.Audiences }, false),
		field("trust_email", boolean(), func(p *Provider) *bool { return &p.TrustEmail }, false),
	}, func(row Provider, before []Provider) error {
		if err := row.OAuth().Check(); err != nil {
			return hinted{err.Error(), "an issuer is https://..., exactly as its discovery document writes it"}
		}
		if slices.ContainsFunc(before, func(p Provider) bool { return oauth.Canonical(p.Name) == oauth.Canonical(row.Name) }) {
			return errors.New("is the second provider of this name")
		}
		if !row.ClientSecret.IsZero() && row.ClientSecretFile != "" {
			return errors.New("has both client_secret and client_secret_file")
		}
		return nil
	})
}

// urlPath is the path of an endpoint.
func urlPath() kind[string] {
	return kind[string]{
		parse: func(text string) (string, error) {
			if !strings.HasPrefix(text, "/") || strings.ContainsAny(text, "?# ") || checkSecretText(text) != nil {
				return "", errors.New("must be a path that begins with / and has no query")
			}
			return text, nil
		},
	}
}

// conditionForm is "metric comparison number", with or without "in window".
var conditionForm = regexp.MustCompile(`^[a-z][a-z0-9_]* (>|>=|<|<=|=) [0-9]{1,12}( in [1-9][0-9]{0,5}[smhd])?$`)

// condition is what an alert waits for.
func condition() kind[string] {
	return kind[string]{
		parse: func(text string) (string, error) {
			if !conditionForm.MatchString(text) {
				return "", hinted{"must be a metric, a comparison and a number", "for example: failed_logins > 10 in 5m"}
			}
			return text, nil
		},
	}
}
