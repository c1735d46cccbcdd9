package token

import (
	"strings"
	"testing"
)

func TestParseObjectWritesOneForm(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ in, want string }{
		"empty":        {"{}", `{}`},
		"white space":  {" {\t\"a\" : [ 1 , 2 ] ,\r\n\"b\" : { } , \"c\":[ ] } ", `{"a":[1,2],"b":{},"c":[]}`},
		"words":        {`{"a":true,"b":false,"c":null}`, `{"a":true,"b":false,"c":null}`},
		"numbers":      {`{"a":[0,-0,-1.50,1e5,2E+10,3e-7,9007199254740993]}`, `{"a":[0,-0,-1.50,1e5,2E+10,3e-7,9007199254740993]}`},
		"escapes":      {`{"a":"\"\\\/\b\f\n\r\t"}`, `{"a":"\"\\/\b\f\n\r\t"}`},
		"needless":     {`{"\u0061":"\u0041\u00e9\u20AC\ud83D\uDE00\u007f"}`, "{\"a\":\"Aé€😀\u007f\"}"},
		"needed":       {`{"a":"\u0001\u001F\u0008\u0022\u005c"}`, `{"a":"\u0001\u001f\b\"\\"}`},
		"not shorter":  {`{"a":"` + "\u2028\uffff" + `"}`, `{"a":"` + "\u2028\uffff" + `"}`},
		"cases below":  {`{"a":{"b":1,"B":2}}`, `{"a":{"b":1,"B":2}}`},
		"same in two":  {`{"a":{"b":1},"c":{"b":1}}`, `{"a":{"b":1},"c":{"b":1}}`},
		"long number":  {`{"a":` + strings.Repeat("9", maxDigits) + `}`, `{"a":` + strings.Repeat("9", maxDigits) + `}`},
		"deep":         {`{"a":` + strings.Repeat("[", maxDepth-1) + strings.Repeat("]", maxDepth-1) + `}`, `{"a":` + strings.Repeat("[", maxDepth-1) + strings.Repeat("]", maxDepth-1) + `}`},
		"many members": {manyMembers(maxMembers), manyMembers(maxMembers)},
		"many below":   {`{"a":` + manyMembers(500) + `}`, `{"a":` + manyMembers(500) + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, ok := parseObject([]byte(tc.in))
			if !ok || string(o.text) != tc.want {
				t.Fatalf("got %q %v, want %q", o.text, ok, tc.want)
			}
			again, ok := parseObject(o.text)
			if !ok || string(again.text) != tc.want {
				t.Errorf("second reading gave %q %v", again.text, ok)
			}
		})
	}
}

func TestParseObjectRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		``, ` `, `{`, `}`, `{}x`, `{}{}`, `{},`, `[]`, `1`, `"a"`, `null`,
		`{,}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1 "b":2}`, `{"a":1,,"b":2}`, `{a:1}`, `{'a':1}`, `{"a":1/**/}`,
		`{"a":[1,]}`, `{"a":[,1]}`, `{"a":[1 2]}`, `{"a":[}`, `{"a":[`, `{"a":[1`, `{"a":{}`,
		`{"a":tru}`, `{"a":True}`, `{"a":nul}`, `{"a":NaN}`, `{"a":Infinity}`, `{"a":undefined}`,
		`{"a":01}`, `{"a":+1}`, `{"a":.5}`, `{"a":1.}`, `{"a":-}`, `{"a":1e}`, `{"a":1e+}`, `{"a":0x10}`, `{"a":1_0}`, `{"a":1e1000}`, `{"a":1e-1000}`,
		`{"a":` + strings.Repeat("9", maxDigits+1) + `}`,
		`{"a":"`, `{"a":"\`, `{"a":"\"}`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\u12G4"}`, `{"a":"\U0041"}`,
		"{\"a\":\"\n\"}", "{\"a\":\"\x00\"}", "{\"a\":\"\x1f\"}", "{\"\t\":1}", "{\u00a0}", "\ufeff{}",
		`{"a":"\u0000"}`, `{"\u0000":1}`,
		`{"a":"\ud800"}`, `{"a":"\udc00"}`, `{"a":"\ud800\u0041"}`, `{"a":"\ud800x"}`, `{"a":"\udc00\ud800"}`, `{"a":"\ud800\ud800"}`, `{"a":"\ud800\udc0"}`, `{"a":"\ud83d\n"}`, `{"a":"\ud83dxxde00"}`, `{"a":"\ud83d\nde00"}`,
		"{\"a\":\"\xff\"}", "{\"a\":\"\xc0\x80\"}", "{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\xf4\x90\x80\x80\"}", "{\"a\":\"\xe2\x82\"}", "{\"\xff\":1}",
		`{"a":1,"a":1}`, `{"a":1,"\u0061":1}`, `{"a":1,"A":1}`, `{"K":1,"` + "\u212a" + `":1}`, `{"a":{"b":1,"b":2}}`, `{"a":[{"b":1,"\u0062":2}]}`,
		`{"a":` + strings.Replace(manyMembers(40), `"m7"`, `"m8"`, 1) + `}`,
		`{"a":` + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth) + `}`,
		strings.Repeat(`{"a":`, maxDepth) + "{}" + strings.Repeat("}", maxDepth),
		manyMembers(maxMembers + 1),
	} {
		if o, ok := parseObject([]byte(in)); ok {
			t.Errorf("accepts %.80q as %.80q", in, o.text)
		}
	}
}

func manyMembers(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = `"m` + string(appendRune(nil, rune('0'+i%10)))
		for j := i / 10; j > 0; j /= 10 {
			names[i] += string(rune('0' + j%10))
		}
		names[i] += `":1`
	}
	return "{" + strings.Join(names, ",") + "}"
}
