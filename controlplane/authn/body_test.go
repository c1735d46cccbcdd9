package authn

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

// read reads a body as a route that takes the members of sign-up.
func read(contentType, text string) (*body, error) {
	r := httptest.NewRequest("POST", "/", strings.NewReader(text))
	r.Header.Set("Content-Type", contentType)
	return readBody(echo.New().NewContext(r, httptest.NewRecorder()), signupMembers)
}

// members are n of them.
func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"m%d":1`, i)
	}
	return b.String()[1:]
}

func TestBodyAccepts(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"what auth-js sends": `{"email":"a@b.c","password":"x","data":{},"gotrue_meta_security":{},"code_challenge":null,"code_challenge_method":null}`,
		"white space":        " \n{ \"email\" : \"a@b.c\" }\t\r\n",
		"nested data":        `{"data":{"a":[{"b":{"B":1}}],"Email":"other"}}`,
		"surrogate pair":     `{"data":{"a":"\ud83d\ude00"}}`,
		"escaped backslash":  `{"data":{"a":"\\ud83d \\\\u0000"}}`,
		"replacement":        `{"data":{"a":"\ufffd�"}}`,
		"numbers":            `{"data":{"a":[0,-1.5e300,12345678901234567890,1E-300]}}`,
		"nesting at limit":   `{"data":` + strings.Repeat(`{"a":`, maxNesting-1) + `1` + strings.Repeat(`}`, maxNesting-1) + `}`,
		"members at limit":   `{"data":{` + members(maxMembers) + `}}`,
		"empty":              `{}`,
	} {
		if _, err := read("application/json", text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, contentType := range []string{"application/json", "application/json;charset=UTF-8", "Application/JSON; charset=\"utf-8\""} {
		if _, err := read(contentType, `{}`); err != nil {
			t.Errorf("%s: %v", contentType, err)
		}
	}
}

func TestBodyRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":               ``,
		"array":                 `[]`,
		"text":                  `"email"`,
		"null":                  `null`,
		"two documents":         `{}{}`,
		"trailing text":         `{} x`,
		"unclosed":              `{"email":"a"`,
		"trailing comma":        `{"email":"a",}`,
		"comment":               `{/**/}`,
		"single quotes":         `{'email':'a'}`,
		"key that is no text":   `{1:2}`,
		"unknown member":        `{"emails":"a"}`,
		"member of other route": `{"refresh_token":"a"}`,
		"member twice":          `{"email":"a","email":"b"}`,
		"twice by escape":       `{"email":"a","\u0065mail":"b"}`,
		"case variant":          `{"Email":"a"}`,
		"case variant, fold":    `{"email":"a","EMAIL":"b"}`,
		"case variant, kelvin":  "{\"data\":{},\"to\u212aen\":\"b\"}",
		"twice in data":         `{"data":{"a":1,"a":2}}`,
		"twice deep in data":    `{"data":{"a":[{"b":1,"b":2}]}}`,
		"wrong type":            `{"email":1}`,
		"invalid UTF-8":         "{\"email\":\"\xff\"}",
		"NUL":                   `{"email":"a\u0000b"}`,
		"NUL in a key":          `{"data":{"\u0000":1}}`,
		"high surrogate":        `{"email":"\ud800"}`,
		"high surrogate, text":  `{"email":"\ud800x\udc00"}`,
		"two high surrogates":   `{"email":"\ud800\ud800"}`,
		"low surrogate":         `{"email":"\udc00"}`,
		"after backslashes":     `{"email":"\\\udc00"}`,
		"too deep":              `{"data":` + strings.Repeat(`{"a":`, maxNesting) + `1` + strings.Repeat(`}`, maxNesting) + `}`,
		"too deep array":        `{"data":{"a":` + strings.Repeat(`[`, 50000) + strings.Repeat(`]`, 50000) + `}}`,
		"array one too deep":    `{"data":{"a":` + strings.Repeat(`[`, maxNesting-1) + strings.Repeat(`]`, maxNesting-1) + `}}`,
		"too many members":      `{"data":{` + members(maxMembers+1) + `}}`,
		"huge exponent":         `{"data":{"a":1e400}}`,
		"tiny exponent":         `{"data":{"a":1e-20000}}`,
		"long number":           `{"data":{"a":` + strings.Repeat("1", 100) + `}}`,
		"too large":             `{"email":"` + strings.Repeat("a", maxBodyBytes) + `"}`,
	} {
		_, err := read("application/json", text)
		if e, ok := err.(*Error); !ok || e.Code != "bad_json" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, contentType := range []string{
		"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1",
		"application/json; version=2", "application/jsonx", "application/vnd.api+json", "application/json, text/plain", ";",
	} {
		if _, err := read(contentType, `{}`); err == nil {
			t.Errorf("content type %q was accepted", contentType)
		}
	}
	for _, header := range []string{"Content-Type", "Content-Encoding"} { // two of the former are none, a body in disguise is none
		r := httptest.NewRequest("POST", "/", strings.NewReader(`{}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Add(header, "application/json")
		if _, err := readBody(echo.New().NewContext(r, httptest.NewRecorder()), signupMembers); err == nil {
			t.Errorf("another %s was accepted", header)
		}
	}
}

// The name of an unknown member may be a misplaced secret.
func TestBodyErrorsRepeatNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"c4n4ry":1}`, `{"email":"c4n4ry","email":"c4n4ry"}`, `c4n4ry`, `{"data":"c4n4ry"}`, `{"email":{"c4n4ry":1}}`} {
		b, err := read("application/json", text)
		if err == nil {
			_, err = b.metadata()
		}
		if err == nil || strings.Contains(err.Error(), "c4n4ry") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{}`:                          ``,
		`{"data":null}`:               ``,
		`{"data":{}}`:                 `{}`,
		`{"data":{ "b":1.50,"a":[]}}`: `{"a":[],"b":1.50}`,
	} {
		b, err := read("application/json", text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := b.metadata(); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{`{"data":[]}`, `{"data":"a"}`, `{"data":1}`, `{"data":true}`} {
		b, err := read("application/json", text)
		if err == nil {
			_, err = b.metadata()
		}
		if err == nil {
			t.Errorf("%s was accepted", text)
		}
	}
}

// FuzzBody: what is accepted means the same to a reader that takes the first of equal names and to one that takes the
// last, and writing it again changes nothing.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{}`, `{"email":"a\u0041","data":{"a":[1,{"b":null}]}}`, `{"data":{"\\":"\ud83d\ude00"}}`, `{"email":"\\\udc00"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := read("application/json", text)
		if err != nil {
			return
		}
		if strings.Contains(strings.Join([]string{valueOf(b.Email), valueOf(b.Password)}, ""), "\x00") {
			t.Error("a NUL came through")
		}
		data, err := b.metadata()
		if err != nil || data == nil {
			return
		}
		var before, after any
		if json.Unmarshal(b.Data, &before) != nil || json.Unmarshal(data, &after) != nil {
			t.Fatalf("not JSON any more: %s", data)
		}
		x, _ := json.Marshal(before)
		y, _ := json.Marshal(after)
		if string(x) != string(y) {
			t.Errorf("%s became %s", x, y)
		}
	})
}

func valueOf(s *string) string { return text(s) }
