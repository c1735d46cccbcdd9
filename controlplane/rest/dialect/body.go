package dialect

import (
	"bytes"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// body decodes the body of POST, PATCH and PUT.
func (r *Request) body(contentType string, body []byte, l *Limits) *fault.Error {
	if int64(len(body)) > l.Body {
		return fault.Limit(http.StatusRequestEntityTooLarge, "body", l.Body)
	}
	kind, parameters, _ := strings.Cut(contentType, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	if !isUTF8(parameters) {
		return fault.ContentType(contentType)
	}
	var err *fault.Error
	switch {
	case kind == "" || kind == "application/json" || r.Action == Call && len(body) == 0:
		r.Payload, err = r.jsonBody(body, l)
	case kind == "text/csv" && r.Action != Call:
		if body, err = csvToJSON(body); err == nil {
			r.Payload, err = r.jsonBody(body, l)
		}
	case kind == mediaForm && r.Action == Call:
		r.Arguments, err = formFields(body)
		if r.Columns != nil {
			r.Arguments = slices.DeleteFunc(r.Arguments, func(a NamedValue) bool { return !slices.Contains(r.Columns, a.Name) })
		}
	case kind == mediaForm:
		if body, err = formToJSON(body); err == nil {
			r.Payload, err = r.jsonBody(body, l)
		}
	case r.Action == Call:
		r.Payload, err = rawBody(kind, contentType, body)
	default:
		err = fault.ContentType(contentType)
	}
	if err == nil && r.Action == Update && r.Payload.Rows > 1 {
		return fault.Body("PATCH takes one JSON object", "an array of several was sent")
	}
	return err
}

// jsonBody decodes JSON. A function may take any document as its one argument.
func (r *Request) jsonBody(body []byte, l *Limits) (p Payload, err *fault.Error) {
	if r.Action != Call {
		return decodePayload(body, l.Nesting, r.Columns, r.Prefer.Missing == MissingDefault && r.Action != Put)
	}
	empty := len(body) == 0
	if empty {
		body = []byte("{}")
	}
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' {
		if p, err = decodePayload(body, l.Nesting, r.Columns, false); err == nil && !empty {
			p.Raw = p.Object()
		}
	} else {
		p.Raw, err = decodeDocument(body, l.Nesting)
	}
	p.Kind = BodyJSON
	return p, err
}

// rawBody takes a body that is the one argument of a function.
func rawBody(kind, contentType string, body []byte) (p Payload, err *fault.Error) {
	switch kind {
	case "application/octet-stream":
		p.Kind = BodyBinary
		p.Raw = append(make([]byte, 0, 2*len(body)+2), `\x`...)
		p.Raw = hex.AppendEncode(p.Raw, body)
		return p, nil
	case "text/plain":
		p.Kind = BodyText
	case "text/xml":
		p.Kind = BodyXML
	default:
		return p, fault.ContentType(contentType)
	}
	if !utf8.Valid(body) || bytes.IndexByte(body, 0) >= 0 {
		return p, fault.Body("Bodies are UTF-8 without NUL", "")
	}
	p.Raw = append([]byte{}, body...)
	return p, nil
}

// isUTF8 tells whether the parameters of a Content-Type leave the charset at UTF-8.
func isUTF8(parameters string) bool {
	for parameters != "" {
		var one string
		one, parameters, _ = strings.Cut(parameters, ";")
		one = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(one), `"`, ""))
		if charset, ok := strings.CutPrefix(one, "charset="); ok && charset != "utf-8" {
			return false
		}
	}
	return true
}
