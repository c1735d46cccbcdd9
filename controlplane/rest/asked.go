package rest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
)

// What SQL of the application may know of the HTTP request: settings of the transaction with PostgREST's names. They cost a
// statement, so they are set only when some SQL looks at them.

// tell returns the SQL that tells what was asked, and adds its arguments to the statement.
func tell(a *dialect.Asked, s *gateway.Statement) string {
	list := make([]string, 0, 4)
	for _, one := range [...]struct {
		name  string
		value []byte
	}{{"method", []byte(a.Method)}, {"path", []byte(a.Path)}, {"headers", headersOf(a)}, {"cookies", cookiesOf(a)}} {
		s.Args = append(s.Args, one.value)
		list = append(list, "pg_catalog.set_config('request."+one.name+"', $"+strconv.Itoa(len(s.Args))+", true)")
	}
	return strings.Join(list, ", ")
}

// headersOf are the headers as an object of JSON, the names in lower case. What a caller proves its identity with is left
// out: the database has verified it and needs it no more.
func headersOf(a *dialect.Asked) []byte {
	object := make(map[string]string, len(a.Header))
	for name, values := range a.Header {
		switch name {
		case "Authorization", "Proxy-Authorization", "Apikey", "X-Api-Key", "Cookie", "X-Csrf-Token":
		default:
			object[strings.ToLower(name)] = strings.Join(values, ", ")
		}
	}
	return encode(object)
}

// cookiesOf are the cookies as an object of JSON, without those that hold sessions.
func cookiesOf(a *dialect.Asked) []byte {
	object := map[string]string{}
	for _, c := range (&http.Request{Header: a.Header}).Cookies() {
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
