package rest

import (
	"net/http"
	"strings"
)

// Input is what Parse reads of an HTTP request. Parse keeps no reference to Body.
type Input struct {
	Method   string
	Target   Target
	Name     string // table or function as decoded from the path
	RawQuery string
	Header   http.Header // Accept, Content-Type, Prefer, Range, Accept-Profile, Content-Profile
	Body     []byte
}

// Parse turns an HTTP request into a tree. It looks at nothing but its arguments. Zero fields of l
// mean DefaultLimits.
func Parse(in Input, l Limits) (*Request, *Error) {
	l = l.withDefaults()
	r := &Request{Name: in.Name, MaxRows: l.Rows}
	if err := r.method(in.Method, in.Target); err != nil {
		return nil, err
	}
	if err := r.headers(in.Header); err != nil {
		return nil, err
	}
	if err := r.parseQuery(in.RawQuery, &l); err != nil {
		return nil, err
	}
	if err := r.checkRange(); err != nil {
		return nil, err
	}
	if r.Get && !r.Head { // a Range is defined for GET alone
		if err := r.rangeHeader(in.Header.Get("Range")); err != nil {
			return nil, err
		}
	}
	if r.Get || r.Action == Delete {
		return r, nil
	}
	if err := r.body(in.Header.Get("Content-Type"), in.Body, &l); err != nil {
		return nil, err
	}
	return r, nil
}

// method sets the action.
func (r *Request) method(method string, target Target) *Error {
	r.Head = method == http.MethodHead
	r.Get = r.Head || method == http.MethodGet
	if target == Function {
		r.Action = Call
		if !r.Get && method != http.MethodPost {
			return errCallMethod(method, "", "GET, HEAD, POST")
		}
		return nil
	}
	switch {
	case r.Get:
		r.Action = Read
	case method == http.MethodPost:
		r.Action = Insert
	case method == http.MethodPatch:
		r.Action = Update
	case method == http.MethodDelete:
		r.Action = Delete
	case method == http.MethodPut:
		return errUnsupported("PUT")
	default:
		return errMethod(method)
	}
	return nil
}

// headers reads Accept, the profile and the preferences.
func (r *Request) headers(h http.Header) (err *Error) {
	if r.Media, err = accept(h["Accept"]); err != nil {
		return err
	}
	if r.Get {
		r.Schema = h.Get("Accept-Profile")
	} else {
		r.Schema = h.Get("Content-Profile")
	}
	r.Prefer, err = preferences(h["Prefer"])
	return err
}

// body decodes the body of POST and PATCH.
func (r *Request) body(contentType string, body []byte, l *Limits) *Error {
	if r.Action == Call && len(body) == 0 {
		body = []byte("{}")
	} else if !isJSON(contentType) {
		return errContentType(contentType)
	}
	if int64(len(body)) > l.Body {
		return errLimit(http.StatusRequestEntityTooLarge, "body", l.Body)
	}
	p, err := decodePayload(body, l.Nesting, r.Columns, r.Prefer.Missing == MissingDefault)
	if err != nil {
		return err
	}
	switch {
	case r.Action == Call && p.List:
		return errBody("Arguments of a function are a JSON object", "an array was sent")
	case r.Action == Update && p.Rows > 1:
		return errBody("PATCH takes one JSON object", "an array of several was sent")
	}
	r.Payload = p
	return nil
}

// isJSON tells whether a Content-Type is JSON in UTF-8. A missing one means JSON, as in PostgREST.
func isJSON(contentType string) bool {
	kind, params, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "", "application/json":
	default:
		return false
	}
	params = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(params), `"`, ""))
	return params == "" || params == "charset=utf-8"
}
