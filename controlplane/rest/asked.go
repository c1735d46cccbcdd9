package rest

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// What SQL of the application may know of the HTTP request: settings of the transaction with PostgREST's names. They cost a
// statement, so they are set only when some SQL looks at them.

// askedSQL asks whether some does.
//
//go:embed asked.sql
var askedSQL string

// asked is what was asked, in the words of HTTP.
type asked struct {
	method, path string
	header       http.Header
}

// newAsked takes it out of what Parse reads.
func newAsked(in *Input) asked {
	a := asked{method: in.Method, path: "/" + in.Name, header: in.Header}
	if in.Target == Function {
		a.path = "/rpc/" + in.Name
	}
	return a
}

// tell returns the statement that tells SQL what was asked.
func (a *asked) tell() *gateway.Statement {
	return &gateway.Statement{
		SQL: "select pg_catalog.set_config('request.method', $1, true), pg_catalog.set_config('request.path', $2, true)," +
			" pg_catalog.set_config('request.headers', $3, true), pg_catalog.set_config('request.cookies', $4, true)",
		Args: [][]byte{[]byte(a.method), []byte(a.path), a.headers(), a.cookies()},
	}
}

// headers are the headers as an object of JSON, the names in lower case. What a caller proves its identity with is left
// out: the database has verified it and needs it no more.
func (a *asked) headers() []byte {
	object := make(map[string]string, len(a.header))
	for name, values := range a.header {
		switch name {
		case "Authorization", "Proxy-Authorization", "Apikey", "X-Api-Key", "Cookie", "X-Csrf-Token":
		default:
			object[strings.ToLower(name)] = strings.Join(values, ", ")
		}
	}
	return encode(object)
}

// cookies are the cookies as an object of JSON, without those that hold sessions.
func (a *asked) cookies() []byte {
	object := map[string]string{}
	for _, c := range (&http.Request{Header: a.header}).Cookies() {
		if !strings.HasPrefix(strings.ToLower(c.Name), reservedCookies) {
			object[c.Name] = c.Value
		}
	}
	return encode(object)
}

// encode returns an object as JSON that PostgreSQL can hold.
func encode(object map[string]string) []byte {
	text, _ := json.Marshal(object) // strings always encode, and what is no UTF-8 is replaced
	return text
}
