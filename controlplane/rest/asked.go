package rest

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"strconv"
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

// tell returns the SQL that tells what was asked, and adds its arguments to the statement.
func (a *asked) tell(s *gateway.Statement) string {
	list := make([]string, 0, 4)
	for _, one := range [...]struct {
		name  string
		value []byte
	}{{"method", []byte(a.method)}, {"path", []byte(a.path)}, {"headers", a.headers()}, {"cookies", a.cookies()}} {
		s.Args = append(s.Args, one.value)
		list = append(list, "pg_catalog.set_config('request."+one.name+"', $"+strconv.Itoa(len(s.Args))+", true)")
	}
	return strings.Join(list, ", ")
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
