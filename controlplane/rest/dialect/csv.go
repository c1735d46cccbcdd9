package dialect

import (
	"bytes"
	"encoding/csv"
	"io"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// csvToJSON turns CSV (RFC 4180) with a line of names into an array of objects. A value NULL without
// quotes or with them is null, as in PostgREST.
func csvToJSON(body []byte) ([]byte, *fault.Error) {
	in := csv.NewReader(bytes.NewReader(body))
	in.FieldsPerRecord = -1 // counted below, for PostgREST's words
	in.ReuseRecord = true
	header, err := in.Read()
	if err != nil {
		return nil, fault.Body("CSV without a line of names", "")
	}
	keys := make([][]byte, len(header))
	for i, name := range header {
		keys[i] = AppendKey(nil, name)
	}
	out := append(make([]byte, 0, 2*len(body)), '[')
	for {
		record, err := in.Read()
		if err == io.EOF {
			return append(out, ']'), nil
		}
		if err != nil {
			return nil, fault.Body("Invalid CSV", err.Error())
		}
		if len(record) != len(keys) {
			return nil, fault.Body("All lines must have same number of fields", "")
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = appendRecord(out, keys, record)
	}
}

// appendRecord appends the object of a line, whose keys have their colons.
func appendRecord(out []byte, keys [][]byte, record []string) []byte {
	for i, value := range record {
		separator := byte(',')
		if i == 0 {
			separator = '{'
		}
		out = append(append(out, separator), keys[i]...)
		out = appendValue(out, value)
	}
	return append(out, '}')
}

// appendValue appends a value of CSV.
func appendValue(out []byte, value string) []byte {
	if value == "NULL" {
		return append(out, "null"...)
	}
	return appendString(out, value)
}

// formFields reads a form. A name may stand in it several times.
func formFields(body []byte) (fields []NamedValue, _ *fault.Error) {
	for rest := string(body); rest != ""; {
		var field string
		field, rest, _ = strings.Cut(rest, "&")
		if field == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(field, "=")
		name, err := Unescape(rawName)
		if err != nil {
			return nil, fault.Body("Forms are UTF-8 without NUL", "")
		}
		value, err := Unescape(rawValue)
		if err != nil {
			return nil, fault.Body("Forms are UTF-8 without NUL", "")
		}
		fields = append(fields, NamedValue{Name: name, Value: value})
	}
	return fields, nil
}

// formToJSON turns a form into an object of strings.
func formToJSON(body []byte) ([]byte, *fault.Error) {
	fields, err := formFields(body)
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, 2*len(body)+2), '{')
	for i, f := range fields {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendString(AppendKey(out, f.Name), f.Value)
	}
	return append(out, '}'), nil
}

// appendString appends a string of JSON. A byte that is no UTF-8 stays, so that the decoder refuses it.
func appendString(out []byte, s string) []byte {
	out = append(out, '"')
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			out = append(out, s[i])
		} else {
			out = appendEscaped(out, rune(s[i]))
		}
	}
	return append(out, '"')
}

// AppendKey appends a key of a JSON object and its colon.
func AppendKey(dst []byte, key string) []byte {
	return append(appendString(dst, key), ':')
}
