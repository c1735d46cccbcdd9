package rest

import (
	"bytes"
	"testing"
)

// FuzzBulk reads arbitrary bodies twice, as a small one and as that of a bulk insert in chunks of a row: both are refused
// with the same code, or both hold the same rows.
func FuzzBulk(f *testing.F) {
	for _, seed := range []string{
		`[]`, ` [ ] `, `{"a":1}`, `[{"a":1},{"a":"x]}\\\""}]`, `[{"a":[{}]} , {"a":{"b":null}}]`, `[{"a":1},]`, `[{"a":1}`, `[,]`, `[1]`, `{}{}`, "",
		"a,b\n1,2\n3,\"x\ny\"", "a\n\"", `[{"a":1},{"b":2}]`, `[{"a":"\u0000"}]`, `[{"a":}]`,
	} {
		for _, csv := range []bool{false, true} {
			f.Add([]byte(seed), csv, false)
			f.Add([]byte(seed), csv, true)
		}
	}
	limits := Limits{}.withDefaults()
	f.Fuzz(func(t *testing.T, body []byte, csv, columns bool) {
		r := &Request{Action: Insert, Name: "tasks"}
		if columns {
			r.Columns, r.Prefer.Missing = []string{"a", "b"}, MissingDefault
		}
		text := body
		var want Payload
		var refusal *Error
		if csv {
			text, refusal = csvToJSON(body)
		}
		if refusal == nil {
			want, refusal = r.jsonBody(text, &limits)
		}
		b, err := readBulk(r, csv, bytes.NewReader(body), &limits, 1)
		if err != nil {
			if got, ok := err.(*Error); !ok || refusal == nil || got.Code != refusal.Code || got.Status != refusal.Status {
				t.Fatalf("%q: bulk %v, small %v", body, err, refusal)
			}
			return
		}
		defer b.close()
		if refusal != nil {
			t.Fatalf("%q: bulk accepts, small %v", body, refusal)
		}
		in, err := b.rewind()
		if err != nil {
			t.Fatal(err)
		}
		joined := make([][]byte, len(b.Parts))
		var c chunk
		for c.get(in) == nil {
			rows := c.json[1 : len(c.json)-1]
			if len(joined[c.part]) > 0 && len(rows) > 0 {
				joined[c.part] = append(joined[c.part], ',')
			}
			joined[c.part] = append(joined[c.part], rows...)
		}
		if b.Rows != want.Rows || len(b.Parts) != len(want.Parts) {
			t.Fatalf("%q: %d rows in %d parts, want %d in %d", body, b.Rows, len(b.Parts), want.Rows, len(want.Parts))
		}
		for i, p := range want.Parts {
			if got := "[" + string(joined[i]) + "]"; got != string(p.JSON) || !sameKeys(b.Parts[i].Keys, p.Keys) {
				t.Fatalf("%q: %s, want %s", body, got, p.JSON)
			}
		}
	})
}
