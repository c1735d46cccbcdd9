package policy

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// String is the fact with + or - before it.
func (c Change) String() string {
	if c.Come {
		return "+ " + c.Fact
	}
	return "- " + c.Fact
}

// sortChanges puts what went before what came of the same thing.
func sortChanges(changes []Change) {
	slices.SortFunc(changes, func(a, b Change) int {
		headA, _, _ := strings.Cut(a.Fact, ": ")
		headB, _, _ := strings.Cut(b.Fact, ": ")
		switch c := strings.Compare(headA, headB); {
		case c != 0:
			return c
		case b.Come && !a.Come:
			return -1
		case a.Come && !b.Come:
			return 1
		}
		return strings.Compare(a.Fact, b.Fact)
	})
}

// groups in which changes are shown.
var groups = []string{"policies", "grants", "flags", "functions, defaults, indexes, comments"}

func (c Change) group() int {
	head, tail, _ := strings.Cut(c.Fact, ": ")
	switch {
	case strings.HasPrefix(head, "policy "):
		return 0
	case strings.HasPrefix(tail, "grant "):
		return 1
	case strings.HasPrefix(head, "function "), strings.HasPrefix(head, "procedure "), strings.HasPrefix(head, "column "), strings.HasPrefix(head, "index "),
		strings.HasPrefix(head, "comment "):
		return 3
	}
	return 2
}

// WriteChanges prints changes for people, in groups.
func WriteChanges(w io.Writer, changes []Change) error {
	for group, title := range groups {
		headed := false
		for _, c := range changes {
			if c.group() != group {
				continue
			}
			if !headed {
				if _, err := fmt.Fprintf(w, "%s\n", title); err != nil {
					return err
				}
				headed = true
			}
			if _, err := fmt.Fprintf(w, "  %s\n", c); err != nil {
				return err
			}
		}
	}
	return nil
}
