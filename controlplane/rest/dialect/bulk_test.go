package dialect

import (
	"bytes"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
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
	limits := Limits{}.WithDefaults()
	f.Fuzz(func(t *testing.T, body []byte, csv, columns bool) {
		r := &Request{Action: Insert, Name: "tasks"}
		if columns {
			r.Columns, r.Prefer.Missing = []string{"a", "b"}, MissingDefault
		}
		text := body
		var want Payload
		var refusal *fault.Error
		if csv {
			text, refusal = csvToJSON(body)
		}
		if refusal == nil {
			want, refusal = r.jsonBody(text, &limits)
		}
		b, err := ReadBulk(r, csv, bytes.NewReader(body), &limits, 1)
		if err != nil {
			if got, ok := err.(*fault.Error); !ok || refusal == nil || got.Code != refusal.Code || got.Status != refusal.Status {
				t.Fatalf("%q: bulk %v, small %v", body, err, refusal)
			}
			return
		}
		defer b.Close()
		if refusal != nil {
			t.Fatalf("%q: bulk accepts, small %v", body, refusal)
		}
		in, err := b.Rewind()
		if err != nil {
			t.Fatal(err)
		}
		joined := make([][]byte, len(b.Parts))
		var c Chunk
		for c.Get(in) == nil {
			rows := c.JSON[1 : len(c.JSON)-1]
			if len(joined[c.Part]) > 0 && len(rows) > 0 {
				joined[c.Part] = append(joined[c.Part], ',')
			}
			joined[c.Part] = append(joined[c.Part], rows...)
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
