package resttest

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
)

// Hostile are strings that mean something to SQL, to JSON, to array literals or to the dialect itself.
var Hostile = append([]string{
	`'`, `''`, `"`, `""`, `\`, `\\`, `\'`, `\"`, ";", "--", "/*", "*/", "$1", "$$", "$a$", "%", "_", "*", "`", "(", ")", "((", "))",
	"[", "]", "{", "}", "{}", "{{", ",", ".", ":", "::", "::text", "=", "<", ">", "!", "?", "|", "||", "&", "^", "~", "@", "#", "+", "-",
	"\n", "\r\n", "\t", "\v", "\u00a0", "\u2028", "\u2019", "\uff07", "\u0027", "\ufeff", "\U0010ffff", "\x7f", "\x01",
	"' or '1'='1", `" or ""="`, "1; drop table tasks", "1) or (1=1", "'); delete from tasks; --", "x' union select 1 --", `x"::text; --`,
	"null", "NULL", "true", "default", "current_user", "t.*", "tasks", "pg_sleep(1)", "(select 1)", "lateral", "as x", "id as x", "E'\\''", `U&"\0027"`,
	"{1,2}", `{"a"}`, `{NULL}`, "1,2", `"1","2"`, "not.eq.1", "is.null", "in.(1)", "eq.1", "and(id.eq.1)", strings.Repeat("x", 3000),
	"\xff", "\xc0\xa7", "\xed\xa0\x80", "%27", "%2527", "\\u0027",
}, punctuation()...)

// punctuation is every ASCII byte that is neither letter nor digit: alone, between letters, and twice.
func punctuation() (list []string) {
	for c := range byte(0x80) {
		if c < '0' || c > '9' && c < 'A' || c > 'Z' && c < 'a' || c > 'z' {
			list = append(list, string(rune(c)), "a"+string(rune(c))+"b", string(rune(c))+string(rune(c)))
		}
	}
	return list
}

// hostilePlace is a place that a client can write into.
type hostilePlace struct {
	Name     string
	In       func(string) dialect.Input
	Harmless string
}

// Places are all of them.
func Places() []hostilePlace {
	return []hostilePlace{
		{"table", func(s string) dialect.Input { return dialect.Input{Method: "GET", Name: s} }, "tasks"},
		{"function", func(s string) dialect.Input { return dialect.Input{Method: "GET", Target: dialect.Function, Name: s} }, "quiet"},
		{"method", func(s string) dialect.Input { return dialect.Input{Method: s, Name: "tasks"} }, "GET"},
		{"profile", func(s string) dialect.Input {
			return dialect.Input{Method: "GET", Name: "tasks", Header: http.Header{"Accept-Profile": {s}}}
		}, "public"},
		{"accept", func(s string) dialect.Input {
			return dialect.Input{Method: "GET", Name: "tasks", Header: http.Header{"Accept": {s}}}
		}, "*/*"},
		{"plan options", func(s string) dialect.Input {
			return dialect.Input{Method: "GET", Name: "tasks", Header: http.Header{"Accept": {"application/vnd.pgrst.plan" + "+json; options=analyze|" + s}}}
		}, "x"},
		{"plan for", func(s string) dialect.Input {
			return dialect.Input{Method: "GET", Name: "tasks", Header: http.Header{"Accept": {"application/vnd.pgrst.plan" + "; for=" + s}}}
		}, "application/json"},
		{"prefer", func(s string) dialect.Input {
			return dialect.Input{Method: "DELETE", Name: "tasks", Header: http.Header{"Prefer": {s}}}
		}, "x"},
		{"raw query", query("", ""), "id=eq.1"},
		{"key", query("", "=eq.1"), "id"},
		{"quoted key", query("%22", "%22=eq.1"), "id"},
		{"value", query("name=", ""), "eq.1"},
		{"operator", query("name=", ".1"), "eq"},
		{"eq", query("name=eq.", ""), "1"},
		{"neq", query("name=neq.", ""), "1"},
		{"gt", query("name=not.gt.", ""), "1"},
		{"like", query("name=like.", ""), "1"},
		{"ilike", query("name=ilike.", ""), "1"},
		{"is", query("done=is.", ""), "null"},
		{"in", query("name=in.(", ")"), "1"},
		{"in quoted", query("name=in.(%22", "%22,b)"), "1"},
		{"in bare", query("name=in.", ""), "(1)"},
		{"tree", query("or=", ""), "(id.eq.1)"},
		{"in tree", query("or=(", ",id.eq.1)"), "id.eq.1"},
		{"tree column", query("or=(", ".eq.1)"), "id"},
		{"tree value", query("or=(name.eq.", ",id.eq.2)"), "1"},
		{"tree quoted value", query("or=(name.eq.%22", "%22,id.eq.2)"), "1"},
		{"tree list", query("or=(name.in.(", "),id.eq.2)"), "1"},
		{"select", query("select=", ""), "id"},
		{"select more", query("select=id,", ",name"), "id"},
		{"alias", query("select=", ":id"), "x"},
		{"quoted alias", query("select=%22", "%22:id"), "x"},
		{"aliased", query("select=x:", ""), "id"},
		{"cast", query("select=id::", ""), "text"},
		{"embed", query("select=id,", "(id)"), "projects"},
		{"embed alias", query("select=", ":projects(id)"), "x"},
		{"quoted embed alias", query("select=%22", "%22:projects(id)"), "x"},
		{"hint", query("select=projects!", "(id)"), "project_id"},
		{"in an embed", query("select=projects(", ")"), "id"},
		{"alias in an embed", query("select=projects(%22", "%22:id)"), "x"},
		{"spread", query("select=id,...projects(", ")"), "name"},
		{"alias in a spread", query("select=id,...projects(%22", "%22:name)"), "x"},
		{"filter of an embed", query("select=projects(id)&projects.name=eq.", ""), "x"},
		{"column of an embed's filter", query("select=projects(id)&projects.", "=eq.1"), "id"},
		{"embed of a filter", query("select=projects(id)&", ".id=eq.1"), "projects"},
		{"limit of an embed", query("select=projects(id)&projects.limit=", ""), "1"},
		{"order by an embed", query("select=projects(id)&order=", "(id)"), "projects"},
		{"order", query("order=", ""), "id"},
		{"direction", query("order=id.", ""), "asc"},
		{"nulls", query("order=id.desc.", ""), "nullsfirst"},
		{"json key", query("data-%3E", "=eq.1"), "k"},
		{"quoted json key", query("data-%3E%3E%22", "%22=eq.1"), "k"},
		{"json key in select", query("select=data-%3E%3E%22", "%22"), "k"},
		{"json key in order", query("order=data-%3E%22", "%22.desc"), "k"},
		{"quantified", query("name=like(any).", ""), "{a}"},
		{"language", query("name=fts(", ").x"), "english"},
		{"search", query("name=wfts(english).", ""), "x"},
		{"range operator", query("tags=cs.", ""), "{a}"},
		{"computed column", queryOf("people", "select=id,", ""), "shout"},
		{"filter of a computed column", queryOf("people", "shout=eq.", ""), "X"},
		{"json key in a computed column", query("facts-%3E%3E%22", "%22=eq.1"), "k"},
		{"alias of a computed column", queryOf("people", "select=%22", "%22:shout"), "x"},
		{"computed relationship", queryOf("people", "select=", "(id)"), "reports"},
		{"alias of a computed relationship", queryOf("people", "select=%22", "%22:reports(id)"), "x"},
		{"filter of a computed relationship", queryOf("people", "select=boss(id)&boss.shout=eq.", ""), "x"},
		{"order by a computed relationship", queryOf("people", "select=boss(id)&order=boss(", ")"), "shout"},
		{"filter of a domain", queryOf("paints", "shade=eq.", ""), "x"},
		{"list of a domain", queryOf("paints", "shade=in.(%22", "%22)"), "x"},
		{"quantified filter of a domain", queryOf("paints", "shade=gt(any).", ""), "{1}"},
		{"aggregate", query("select=id.", "()"), "sum"},
		{"aggregate and more", query("select=id.sum()", ""), ",name"},
		{"alias of an aggregate", query("select=%22", "%22:id.sum()"), "x"},
		{"cast of an aggregate", query("select=id.sum()::", ""), "text"},
		{"cast before an aggregate", query("select=id::", ".sum()"), "int4"},
		{"json key of an aggregate", query("select=data-%3E%3E%22", "%22::int4.sum(),name"), "k"},
		{"json key beside an aggregate", query("select=id.sum(),data-%3E%3E%22", "%22&order=data-%3E%3E%22k%22"), "k"},
		{"value beside an aggregate", query("select=count(),name&name=eq.", ""), "x"},
		{"aggregate in an embed", query("select=projects(id.", "())"), "max"},
		{"alias of an aggregate in a spread", query("select=id,...projects(%22", "%22:id.sum())"), "x"},
		{"body of a domain", func(s string) dialect.Input {
			return dialect.Input{Method: "POST", Name: "paints", Body: []byte(`{"shade":"` + s + `"}`)}
		}, "x"},
		{"conflict", func(s string) dialect.Input {
			return dialect.Input{Method: "POST", Name: "tasks", Body: []byte(`{"id":1}`), RawQuery: "on_conflict=" + url.QueryEscape(s),
				Header: http.Header{"Prefer": {"resolution=merge-duplicates"}}}
		}, "id"},
		{"key of a put", func(s string) dialect.Input {
			return dialect.Input{Method: "PUT", Name: "tasks", Body: []byte(`{"id":1,"name":"x"}`), RawQuery: "id=eq." + url.QueryEscape(s)}
		}, "1"},
		{"csv name", typed("text/csv", "", "\n1"), "id"},
		{"csv value", typed("text/csv", "name\nx", ""), "x"},
		{"form name", typed("application/x-www-form-urlencoded", "", "=1"), "id"},
		{"form value", typed("application/x-www-form-urlencoded", "name=", ""), "x"},
		{"alias in csv", func(s string) dialect.Input {
			return dialect.Input{Method: "GET", Name: "tasks", RawQuery: `select=%22` + url.QueryEscape(s) + `%22:id`, Header: http.Header{"Accept": {"text/csv"}}}
		}, "x"},
		{"raw body", func(s string) dialect.Input {
			return dialect.Input{Method: "POST", Target: dialect.Function, Name: "take_text", Body: []byte(s), Header: http.Header{"Content-Type": {"text/plain"}}}
		}, "x"},
		{"json body", func(s string) dialect.Input {
			return dialect.Input{Method: "POST", Target: dialect.Function, Name: "take_json", Body: []byte(`["` + s + `"]`)}
		}, "x"},
		{"timezone", func(s string) dialect.Input {
			return dialect.Input{Method: "GET", Name: "tasks", Header: http.Header{"Prefer": {"timezone=" + s}}}
		}, "America/Los_Angeles"},
		{"columns", func(s string) dialect.Input {
			return dialect.Input{Method: "POST", Name: "tasks", Body: []byte("{}"), RawQuery: "columns=" + url.QueryEscape(s)}
		}, "id"},
		{"range", func(s string) dialect.Input {
			return dialect.Input{Method: "GET", Name: "tasks", Header: http.Header{"Range": {s}}}
		}, "0-9"},
		{"limit", query("limit=", ""), "1"},
		{"offset", query("offset=", ""), "1"},
		{"argument", func(s string) dialect.Input {
			return dialect.Input{Method: "GET", Target: dialect.Function, Name: "hello", RawQuery: "name=" + url.QueryEscape(s)}
		}, "x"},
		{"argument name", func(s string) dialect.Input {
			return dialect.Input{Method: "GET", Target: dialect.Function, Name: "hello", RawQuery: url.QueryEscape(s) + "=x"}
		}, "name"},
		{"variadic argument", func(s string) dialect.Input {
			return dialect.Input{Method: "GET", Target: dialect.Function, Name: "sum_all", RawQuery: "v=1&v=" + url.QueryEscape(s)}
		}, "2"},
		{"body", body("POST", "", ""), `{"name":"x"}`},
		{"body key", body("POST", `{"`, `":1}`), "name"},
		{"body string", body("POST", `{"name":"`, `"}`), "x"},
		{"body value", body("POST", `{"name":`, `}`), "1"},
		{"body of patch", body("PATCH", `{"name":"`, `"}`), "x"},
		{"content type", func(s string) dialect.Input {
			return dialect.Input{Method: "POST", Name: "tasks", Header: http.Header{"Content-Type": {s}}, Body: []byte("{}")}
		}, "application/json"},
		{"body of a call", func(s string) dialect.Input {
			return dialect.Input{Method: "POST", Target: dialect.Function, Name: "hello", Body: []byte(`{"name":"` + s + `"}`)}
		}, "x"},
	}
}

// query makes a request with s, percent-encoded, between two parts of the query string.
func query(before, after string) func(string) dialect.Input { return queryOf("tasks", before, after) }

// queryOf is query of another table.
func queryOf(table, before, after string) func(string) dialect.Input {
	return func(s string) dialect.Input {
		raw := before + strings.ReplaceAll(url.QueryEscape(s), "+", "%20") + after
		if before == "" && after == "" {
			raw = s
		}
		return dialect.Input{Method: "GET", Name: table, RawQuery: raw}
	}
}

// body makes a request with s between two parts of the body.
func body(method, before, after string) func(string) dialect.Input {
	return func(s string) dialect.Input {
		return dialect.Input{Method: method, Name: "tasks", Body: []byte(before + s + after)}
	}
}

// typed makes a request with s between two parts of a body of another type than JSON.
func typed(contentType, before, after string) func(string) dialect.Input {
	return func(s string) dialect.Input {
		return dialect.Input{Method: "POST", Name: "tasks", Body: []byte(before + s + after), Header: http.Header{"Content-Type": {contentType}}}
	}
}

// FuzzInput is a request of arbitrary parts.
func FuzzInput(method string, function bool, name, raw, accept, prefer, kind string, body []byte) dialect.Input {
	in := dialect.Input{Method: method, Name: name, RawQuery: raw, Body: body, Header: http.Header{}}
	if function {
		in.Target = dialect.Function
	}
	if accept != "" {
		in.Header.Set("Accept", accept)
	}
	if prefer != "" {
		in.Header.Set("Prefer", prefer)
	}
	if kind != "" {
		in.Header.Set("Content-Type", kind)
	}
	return in
}

// AddSeeds begins with the requests of the golden files.
func AddSeeds(f *testing.F) {
	f.Helper()
	for _, file := range []string{"statements.requests", "errors.requests"} {
		_, inputs := Requests(f, file)
		for _, in := range inputs {
			f.Add(in.Method, in.Target == dialect.Function, in.Name, in.RawQuery, in.Header.Get("Accept"), in.Header.Get("Prefer"), in.Header.Get("Content-Type"), in.Body)
		}
	}
}

// Structural are the places whose content may choose among what the catalog and the dialect have: another column, one
// more element, another operator. In all others the content is data alone.
var Structural = map[string]bool{
	"table": true, "function": true, "method": true, "plan options": true, "plan for": true, "raw query": true, "key": true, "quoted key": true, "value": true,
	"operator": true, "is": true, "tree": true, "in tree": true, "tree column": true, "select": true, "select more": true, "aliased": true, "cast": true, "embed": true, "hint": true,
	"in an embed": true, "spread": true, "column of an embed's filter": true, "embed of a filter": true, "order by an embed": true, "order": true, "direction": true, "nulls": true,
	"conflict": true, "columns": true, "argument name": true, "body": true, "body key": true, "csv name": true, "form name": true,
	"timezone": true, "range": true, // an unknown one is none
	"computed column": true, "computed relationship": true, "order by a computed relationship": true, "aggregate": true, "aggregate and more": true,
	"cast of an aggregate": true, "cast before an aggregate": true, "aggregate in an embed": true,
}

// token splits a statement: strings, quoted identifiers, words, parameters, single bytes.
var token = regexp.MustCompile(`E?'[^']*'|"(?:[^"]|"")*"|[A-Za-z_][A-Za-z0-9_]*|\$[0-9]+|.|\n`)

// vocabulary are the tokens that the builder itself writes.
var vocabulary = func() map[string]bool {
	set := map[string]bool{`E', \n '`: true, "'fluxbase: rows '": true, "'TimeZone'": true, "'null'": true, "'['": true, "']'": true, "'[]'": true, "'}'": true, "'1'": true, `E'\n'`: true, "'2'": true, "'0'": true, "'{}'": true,
		"'hex'": true, "'response.status'": true, "'response.headers'": true}
	for _, word := range strings.Fields(`select from as t r w b a j v o where and or not is null true false unknown = <> < > <= >= | - :
		, . ( ) * any like ilike order by asc desc nulls first last limit offset with insert into update set delete returning lateral variadic
		coalesce pg_catalog json_agg count text string_agg max to_json json_to_record json_to_recordset json_array_elements 0
		case when then else end int4 json_build_array to_jsonb default distinct all f materialized union
		~ @ & to_tsvector to_tsquery plainto_tsquery phraseto_tsquery websearch_to_tsquery regconfig
		left join on row_to_json nullif json json_strip_nulls set_config concat substr length conflict do nothing excluded
		array unnest group g sum avg min jsonb current_setting
		encode explain format analyze verbose settings buffers wal`) {
		set[word] = true
	}
	return set
}()

// ForeignToken returns a token of a statement that comes neither from the builder nor from the
// catalog, whose tokens are known.
func ForeignToken(known map[string]bool, sql string) string {
	for _, tok := range token.FindAllString(sql, -1) {
		if !vocabulary[tok] && !known[tok] && tok != " " && !parameter.MatchString(tok) && !numbered.MatchString(tok) {
			return tok
		}
	}
	return ""
}

// numbered are the names of ours that have a number.
var numbered = regexp.MustCompile(`^[trejmsow][0-9]{1,2}$`)

var parameter = regexp.MustCompile(`^\$[1-9][0-9]*$`)

// CatalogTokens are the tokens of all SQL in a catalog.
func CatalogTokens(c *catalog.Catalog) map[string]bool {
	known := map[string]bool{}
	add := func(sql string) {
		for _, tok := range token.FindAllString(sql, -1) {
			known[tok] = true
		}
	}
	columns := func(list []catalog.Column) {
		for _, column := range list {
			add(column.SQL)
			add(column.Type)
		}
	}
	for _, r := range c.Relations {
		add(r.SQL)
		add(r.Ident)
		columns(r.Columns)
	}
	for _, list := range c.Routines {
		for _, f := range list {
			add(f.SQL)
			columns(f.Columns)
			for _, a := range f.Arguments {
				add(a.SQL)
				add(a.Type)
			}
		}
	}
	for _, sql := range c.Types {
		add(sql)
	}
	if c.Formats != nil {
		for _, m := range c.Formats.Rows {
			add(m.Aggregate)
			add(m.Row)
		}
		for _, m := range c.Formats.Any {
			add(m.Aggregate)
		}
	}
	return known
}
