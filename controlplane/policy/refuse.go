package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// BeyondError says that files change more than access rules.
type BeyondError struct {
	What []string
}

// Error lists what they change, for people.
func (e *BeyondError) Error() string {
	shown := e.What
	if len(shown) > 10 {
		shown = append(slices.Clone(shown[:10]), fmt.Sprintf("and %d more", len(e.What)-10))
	}
	return "the files change more than access rules; nothing was changed\n  " + strings.Join(shown, "\n  ") +
		"\nhint: tables, columns, rows, roles and the like belong to a migration; policy files hold policies, grants, row security and functions"
}

// catalogs are what people know the tables of the catalog by.
var catalogs = map[string]string{
	"pg_catalog.pg_authid":          "roles",
	"pg_catalog.pg_auth_members":    "memberships of roles",
	"pg_catalog.pg_db_role_setting": "settings of roles or of the database",
	"pg_catalog.pg_database":        "the database",
	"pg_catalog.pg_trigger":         "triggers",
	"pg_catalog.pg_rewrite":         "views or rules",
	"pg_catalog.pg_type":            "types",
	"pg_catalog.pg_enum":            "types",
	"pg_catalog.pg_constraint":      "constraints",
	"pg_catalog.pg_inherits":        "partitions or inheritance",
	"pg_catalog.pg_sequence":        "sequences",
	"pg_catalog.pg_extension":       "extensions",
	"pg_catalog.pg_operator":        "operators",
	"pg_catalog.pg_aggregate":       "aggregates",
}

// world is what a transaction must leave as it is, and what it may change beside the surface.
type world struct {
	facts   map[surrounding]bool
	written map[string]int64 // rows by relation
}

// surrounding is a fact beside the surface.
type surrounding struct {
	Shown bool
	Fact  string
}

func (s *session) world(ctx context.Context) (world, error) {
	w := world{facts: map[surrounding]bool{}, written: map[string]int64{}}
	rows, err := s.tx.Query(ctx, surroundingsSQL)
	if err != nil {
		return w, err
	}
	var fact surrounding
	if _, err := pgx.ForEachRow(rows, []any{&fact.Shown, &fact.Fact}, func() error {
		w.facts[fact] = true
		return nil
	}); err != nil {
		return w, err
	}
	if rows, err = s.tx.Query(ctx, writtenSQL); err != nil {
		return w, err
	}
	var name string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&name, &n}, func() error {
		w.written[name] = n
		return nil
	})
	return w, err
}

// compare returns changes that files may make, and fails when there are others.
func compare(before, after world) ([]Change, error) {
	var shown, beyond []Change
	note := func(f surrounding, come bool) {
		if c := (Change{Come: come, Fact: f.Fact}); f.Shown {
			shown = append(shown, c)
		} else {
			beyond = append(beyond, c)
		}
	}
	for f := range before.facts {
		if !after.facts[f] {
			note(f, false)
		}
	}
	for f := range after.facts {
		if !before.facts[f] {
			note(f, true)
		}
	}
	sortChanges(shown)
	sortChanges(beyond)
	var what []string
	for _, c := range beyond {
		what = append(what, c.String())
	}
	if what == nil { // the catalogs would only repeat them
		what = writtenBetween(before.written, after.written)
	}
	if what != nil {
		return nil, &BeyondError{What: what}
	}
	return shown, nil
}

func writtenBetween(before, after map[string]int64) (what []string) {
	for name, n := range after {
		if n == before[name] {
			continue
		}
		if known, ok := catalogs[name]; ok {
			name = known
		} else if !strings.HasPrefix(name, "pg_catalog.") {
			name = "rows of " + name
		}
		if !slices.Contains(what, name) {
			what = append(what, name)
		}
	}
	slices.Sort(what)
	return what
}
