package config

import (
	"fmt"
	"strings"
)

// Problem is one fault of the configuration. It never holds a value.
type Problem struct {
	Key     string `json:"key,omitempty"`    // the option, as section.key; empty when the file as a whole is meant
	Source  string `json:"source,omitempty"` // fluxbase.yaml:12 or the name of a variable
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"` // what to do
}

// Error is the problem in one line, and the hint in a second.
func (p Problem) Error() string {
	var b strings.Builder
	switch {
	case p.Key != "" && p.Source != "":
		fmt.Fprintf(&b, "%s (%s): ", p.Key, p.Source)
	case p.Key != "" || p.Source != "":
		b.WriteString(p.Key + p.Source + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString("\n    hint: " + p.Hint)
	}
	return b.String()
}

// Problems is every fault that was found: those of the file's keys, those of values in the order of the options table,
// unknown variables, and what is missing or contradicts.
type Problems []Problem

// Error lists the problems, one after the other.
func (ps Problems) Error() string {
	if len(ps) == 1 {
		return "configuration: " + ps[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "configuration: %d problems", len(ps))
	for _, p := range ps {
		b.WriteString("\n  " + p.Error())
	}
	return b.String()
}

// err is the problems as an error, nil when there are none.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// printable is a name out of a file or the environment, fit to stand in an error: quoted when it holds anything
// but plain characters, and cut when it is long.
func printable(name string) string {
	const limit = 60
	if len(name) > limit {
		name = name[:limit] + "..."
	}
	for _, r := range name {
		if r <= ' ' || r > '~' {
			return fmt.Sprintf("%q", name)
		}
	}
	return name
}
