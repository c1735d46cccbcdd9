package dialect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDecodePayload(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ src, want string }{
		{`{}`, `[{}]`},
		{"\n [ ] \t", `[]`},
		{` { "a" : 1 , "b" : [ 1 , { } ] } `, `[{"a":1,"b":[1,{}]}]`},
		{`[{"a":1,"b":2},{"b":3,"a":4}]`, `[{"a":1,"b":2},{"b":3,"a":4}]`},
		{`{"a":"\u00e9\ud83d\ude00\"\\\/\b\f\n\r\t\u001f\u2028"}`, `[{"a":"é😀\"\\/\u0008\u000c\n\r\t\u001f` + "\u2028" + `"}]`},
		{`{"a":12345678901234567890.10e-7,"b":-0}`, `[{"a":12345678901234567890.10e-7,"b":-0}]`},
		{`{"\u0061":1}`, `[{"a":1}]`},
	} {
		p, err := decodePayload([]byte(c.src), 100, nil, false)
		if err != nil || string(p.Parts[0].JSON) != c.want {
			t.Errorf("%s: %+v %v", c.src, p.Parts, err)
		}
	}
	for _, src := range []string{"{\"a\":\"\xff\"}", "{\"a\":\"\xc0\xa7\"}", "{\"a\":\"\xed\xa0\x80\"}", "{\"\xe9\":1}"} {
		if p, err := decodePayload([]byte(src), 100, nil, false); err == nil {
			t.Errorf("%q is not UTF-8 and became %q", src, p.Parts)
		}
	}
	// Many keys take another way to find duplicates.
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, `"k%d":1,`, i)
	}
	if _, err := decodePayload([]byte("{"+b.String()+`"x":1}`), 9, nil, false); err != nil {
		t.Error(err)
	}
	for n, ok := range map[int]bool{maxMembers - 40: true, maxMembers - 39: false} {
		var more strings.Builder
		more.WriteString(b.String())
		for i := range n {
			fmt.Fprintf(&more, `"m%d":1,`, i)
		}
		if _, err := decodePayload([]byte(strings.TrimSuffix("{"+more.String(), ",")+"}"), 9, nil, false); (err == nil) != ok {
			t.Errorf("%d keys: %v", n+40, err)
		}
	}
	for _, twice := range []string{"k0", "k15", "k16", "k39"} {
		if _, err := decodePayload([]byte("{"+b.String()+`"`+twice+`":1}`), 9, nil, false); err == nil {
			t.Errorf("%s stands twice", twice)
		}
	}
}

// FuzzBody compares with encoding/json: what we accept it accepts, and our text says the same.
func FuzzBody(f *testing.F) {
	for _, s := range []string{`{}`, `[]`, `[{"a":1},{"a":null}]`, `{"a":"\u00e9\ud83d\ude00\"\\\/\b"}`, `{"a":{"b":[1,-2.5e10,true]}}`, `{"a":"\ud800"}`, "{\"a\":\"\xff\"}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		p, refusal := decodePayload(src, 50, nil, false)
		if refusal != nil {
			return
		}
		text := p.Parts[0].JSON
		if !p.List {
			src = append(append([]byte("["), src...), ']')
		}
		var want, got []map[string]any
		for into, text := range map[*[]map[string]any]string{&want: string(src), &got: string(text)} {
			d := json.NewDecoder(strings.NewReader(text))
			d.UseNumber()
			if err := d.Decode(into); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
		if !reflect.DeepEqual(want, got) || p.Rows != len(got) || !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 || bytes.Contains(text, []byte(`\u0000`)) {
			t.Errorf("%q became %q", src, text)
		}
		for _, row := range got {
			if len(row) != len(p.Keys()) {
				t.Errorf("keys %q of %v", p.Keys(), row)
			}
		}
	})
}

// BenchmarkBody decodes and re-encodes 1,000 small rows.
func BenchmarkBody(b *testing.B) {
	body := []byte("[")
	for i := range 1000 {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, `{"name":"some name","done":true,"size":12,"data":{"a":[1,2,3]}}`...)
	}
	body = append(body, ']')
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodePayload(body, 100, nil, false); err != nil {
			b.Fatal(err)
		}
	}
}
