package authn

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
)

// query is the parameters of a request, each of which may be there once.
func query(c echo.Context) (url.Values, error) {
	values, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return nil, badRequest("validation_failed", "The query is not well-formed")
	}
	for name, all := range values {
		if len(all) > 1 || strings.ContainsRune(all[0], 0) {
			return nil, badRequest("validation_failed", fmt.Sprintf("The parameter %.40q is there twice or has an impossible value", name))
		}
	}
	return values, nil
}

// challengeArgs are the client's code challenge and its method, NULL without one. Without a method it is plain (RFC 7636
// section 4.3).
func challengeArgs(q url.Values) (challenge, method []byte) {
	if !q.Has("code_challenge") && !q.Has("code_challenge_method") {
		return nil, nil
	}
	name := q.Get("code_challenge_method")
	if name == "" {
		name = "plain"
	}
	return []byte(q.Get("code_challenge")), []byte(name)
}
