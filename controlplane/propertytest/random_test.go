package propertytest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// chance makes up operations.
type chance struct {
	*rand.Rand
	b *bed
}

func pick[T any](c chance, of ...T) T { return of[c.IntN(len(of))] }

// table is one of those named, or of all when none is.
func (c chance) table(named []string) string {
	if named == nil {
		named = tables
	}
	return pick(c, named...)
}

// id is that of a row that probably exists: identities go up by one.
func (c chance) id(top int) int { return max(1, top-c.IntN(90)) }

func (c chance) user() any {
	if c.IntN(12) == 0 {
		return nil
	}
	return pick(c, c.b.users...)
}

// values are columns of a row with somebody's keys in them.
func (c chance) values(table string, top int, all bool) map[string]any {
	v := map[string]any{}
	maybe := func(name string, value any) {
		if all || c.IntN(3) == 0 {
			v[name] = value
		}
	}
	if table == "r_shares" {
		maybe("row_id", c.id(top))
		maybe("owner_id", c.user())
		maybe("user_id", c.user())
		maybe("can_write", c.IntN(2) == 0)
		return v
	}
	maybe("user_id", c.user())
	maybe("org_id", pick[any](c, c.b.orgs[0], c.b.orgs[1], nil))
	maybe("team_id", pick[any](c, 1, 2, 3, nil))
	maybe("published", c.IntN(2) == 0)
	if c.IntN(8) == 0 {
		v["deleted_at"] = "now"
	}
	if len(v) == 0 || c.IntN(2) == 0 {
		v["body"] = fmt.Sprint("text ", c.IntN(100))
	}
	return v
}

// column and value of a filter.
func (c chance) filter(table string, top int) (column string, value any) {
	key := "id"
	if table == "r_shares" {
		key = "row_id"
	}
	switch c.IntN(4) {
	case 0:
		return key, c.id(top)
	case 1:
		return "user_id", pick(c, c.b.users...)
	case 2:
		if table != "r_shares" {
			return "org_id", pick(c, c.b.orgs...)
		}
		return "owner_id", pick(c, c.b.users...)
	default:
		return key, c.id(top)
	}
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers and ids
	}
	return string(text)
}

// request is one over HTTP.
type request struct {
	method, table, path string
	body                any
	headers             []string
}

func (c chance) request(table string, top int) request {
	r := request{table: table, path: "/rest/v1/"}
	if table != "r_shares" && c.IntN(4) == 0 {
		r.path += "v_"
	}
	r.path += table + "?select=*"
	if c.IntN(4) > 0 {
		column, value := c.filter(table, top)
		r.path += fmt.Sprintf("&%s=%s.%v", column, pick(c, "eq", "eq", "eq", "neq"), value)
	}
	prefer := []string{pick(c, "return=representation", "return=minimal")}
	switch c.IntN(6) {
	case 0, 1:
		r.method = "GET"
		r.path += pick(c, "", "&order=id.desc.nullslast", "&limit=5", "&or=(id.gt.0,published.is.true)")
		if table == "r_shares" {
			r.path, _, _ = strings.Cut(r.path, "&or")
			r.path = strings.Replace(r.path, "order=id", "order=row_id", 1)
		}
		prefer = []string{pick(c, "count=exact", "count=none")}
	case 2:
		r.method, r.body = "POST", c.values(table, top, true)
		switch c.IntN(4) {
		case 0:
			one, other := c.values(table, top, true), c.values(table, top, true)
			for _, row := range []map[string]any{one, other} { // with the same keys
				if table != "r_shares" {
					row["body"] = "bulk"
				}
				delete(row, "deleted_at")
			}
			r.body = []any{one, other}
		case 1:
			row := c.values(table, top, true)
			if table != "r_shares" {
				row["id"] = c.id(top)
			}
			r.body = row
			prefer = append(prefer, pick(c, "resolution=merge-duplicates", "resolution=ignore-duplicates"))
		}
	case 3:
		r.method, r.body = "PATCH", c.values(table, top, false)
	case 4:
		r.method = "DELETE"
	case 5:
		row := c.values(table, top, true)
		r.method, r.body = "PUT", row
		if table == "r_shares" {
			row["user_id"] = pick(c, c.b.users...)
			r.path = fmt.Sprintf("/rest/v1/%s?row_id=eq.%d&user_id=eq.%v", table, row["row_id"], row["user_id"])
		} else {
			row["id"] = c.id(top)
			r.path = fmt.Sprintf("/rest/v1/%s?id=eq.%d", table, row["id"])
		}
	}
	r.headers = []string{"Prefer: " + strings.Join(prefer, ",")}
	return r
}

// statement is SQL whose rows, if any, are the rows of the table as JSON in one column.
func (c chance) statement(table string, top int) (sql string) {
	literal := func(v any) string {
		if v == nil {
			return "null"
		}
		return fmt.Sprintf("'%v'", v)
	}
	target := "public." + table
	if table != "r_shares" && c.IntN(5) == 0 {
		target = "public.v_" + table
	}
	where := ""
	if c.IntN(3) > 0 {
		column, value := c.filter(table, top)
		where = fmt.Sprintf(" where t.%s %s %s", column, pick(c, "=", "=", "<>", "is not distinct from"), literal(value))
	}
	returning := pick(c, "", " returning to_jsonb(t.*)")
	set := func() string {
		var parts []string
		row := c.values(table, top, false)
		for _, name := range slices.Sorted(maps.Keys(row)) {
			parts = append(parts, name+" = "+literal(row[name]))
		}
		if len(parts) == 0 {
			return "can_write = true"
		}
		return strings.Join(parts, ", ")
	}
	insert := func(withID bool) string {
		row := c.values(table, top, true)
		if withID && table != "r_shares" {
			row["id"] = c.id(top)
		}
		var names, values []string
		for _, name := range slices.Sorted(maps.Keys(row)) {
			names = append(names, name)
			values = append(values, literal(row[name]))
		}
		return fmt.Sprintf("insert into %s as t (%s) values (%s)", target, strings.Join(names, ", "), strings.Join(values, ", "))
	}
	key := "id"
	if table == "r_shares" {
		key = "row_id, owner_id, user_id"
	}
	switch c.IntN(10) {
	case 0:
		return fmt.Sprintf("select to_jsonb(t.*) from %s t%s", target, where)
	case 1:
		return fmt.Sprintf("select to_jsonb(t.*) from %s t%s for %s", target, where, pick(c, "update", "share", "no key update"))
	case 2:
		return fmt.Sprintf("select to_jsonb(t.*) from (select * from %s order by random() limit 10) t%s", target, where)
	case 3:
		return insert(false) + returning
	case 4:
		return insert(true) + fmt.Sprintf(" on conflict (%s) do %s%s", key, pick(c, "nothing", "update set "+set()), returning)
	case 5, 6:
		return fmt.Sprintf("update %s t set %s%s%s", target, set(), where, returning)
	case 7:
		return fmt.Sprintf("delete from %s t%s%s", target, where, returning)
	case 8:
		return fmt.Sprintf("with gone as (delete from %s t%s returning *) select to_jsonb(g.*) from gone g", target, where)
	default:
		source := fmt.Sprintf("(select %d::bigint as k) s on s.k = t.%s", c.id(top), strings.TrimSuffix(key, ", owner_id, user_id"))
		return fmt.Sprintf("merge into %s t using %s when matched and %t then update set %s when matched then delete", "public."+table, source, c.IntN(2) == 0, set())
	}
}

// caller of an operation: a user, or nobody.
func (c chance) caller() int { return c.IntN(len(c.b.users)+1) - 1 }

func (b *bed) who(caller int) uuid.UUID {
	if caller < 0 {
		return uuid.Nil
	}
	return b.users[caller]
}
