package dialect

import (
	"net/http"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
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
func Parse(in Input, l Limits) (*Request, *fault.Error) {
	l = l.WithDefaults()
	r, err := ParseHead(in, &l)
	if err != nil || r.Get || r.Action == Delete {
		return r, err
	}
	if err := r.body(in.Header.Get("Content-Type"), in.Body, &l); err != nil {
		return nil, err
	}
	return r, nil
}

// ParseHead is Parse of everything but the body.
func ParseHead(in Input, l *Limits) (*Request, *fault.Error) {
	r := &Request{Name: in.Name, MaxRows: l.Rows, Asked: newAsked(&in)}
	if err := r.method(in.Method, in.Target); err != nil {
		return nil, err
	}
	if err := r.headers(in.Header, l.TxEnd); err != nil {
		return nil, err
	}
	r.Rollback = l.TxEnd.undoes(&r.Prefer)
	r.MayExplain, r.MaxCost = l.Explain, l.Cost
	if err := r.parseQuery(in.RawQuery, l); err != nil {
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
	return r, nil
}

// method sets the action.
func (r *Request) method(method string, target Target) *fault.Error {
	r.Head = method == http.MethodHead
	r.Get = r.Head || method == http.MethodGet
	if target == Function {
		r.Action = Call
		if !r.Get && method != http.MethodPost {
			return fault.CallMethod(method, "", "OPTIONS, GET, HEAD, POST")
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
		r.Action = Put
	default:
		return fault.Method(method)
	}
	return nil
}

// headers reads Accept, the profile and the preferences.
func (r *Request) headers(h http.Header, end TxEnd) (err *fault.Error) {
	r.Accept, r.Accepted = accept(h["Accept"]), strings.Join(h["Accept"], ", ")
	if r.Get {
		r.Schema = h.Get("Accept-Profile")
	} else {
		r.Schema = h.Get("Content-Profile")
	}
	r.Prefer, err = preferences(h["Prefer"], end)
	return err
}

// Asked is what was asked, in the words of HTTP.
type Asked struct {
	Method, Path string
	Header       http.Header
}

// newAsked takes it out of what Parse reads.
func newAsked(in *Input) Asked {
	a := Asked{Method: in.Method, Path: "/" + in.Name, Header: in.Header}
	if in.Target == Function {
		a.Path = "/rpc/" + in.Name
	}
	return a
}
