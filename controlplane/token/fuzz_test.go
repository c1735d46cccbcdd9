package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzVerify signs any header and payload with the right secret, so that the
// fuzzer gets past the signature, and also tries the payload as a whole token.
// What is accepted must be accepted again in the form that PostgreSQL gets,
// mean the same to another JSON reader, and not bear the change of one character.
func FuzzVerify(f *testing.F) {
	f.Add(testHeader, payload("", ""))
	f.Add(`{"typ":"JWT","kid":"a","alg":"HS256"}`, payload("email", `"\u00e9\ud83d\ude00\\"`))
	f.Add(`{"alg":"none","typ":"JWT"}`, payload("act", "null"))
	f.Add(testHeader, payload("", "", `"ROLE":"service_role"`))
	f.Add(testHeader, payload("user_metadata", `{"a":[1e5,-0,0.10,{"b":"\u0001"}]}`))
	f.Add(testHeader, forge(testSecret, testHeader, payload("", "")))
	f.Fuzz(func(t *testing.T, header, body string) {
		g := newGate(t)
		if err := g.ring.Replace(mustKey(t, "", testSecret), mustKey(t, "a", testSecret)); err != nil {
			t.Fatal(err)
		}
		g.verifier.Verify(body) //nolint:errcheck // must not panic
		text := forge(testSecret, header, body)
		access, err := g.verifier.Verify(text)
		if err != nil {
			if again, err2 := g.verifier.Verify(text); err2 == nil || err2.Error() != err.Error() {
				t.Fatalf("refused with %v, then %v %+v", err, err2, again)
			}
			return
		}
		again, err := g.verifier.Verify(forge(testSecret, header, string(access.Claims)))
		if err != nil || !reflect.DeepEqual(again, access) {
			t.Fatalf("%s\nread again: %+v %v", access.Claims, again, err)
		}
		if got, want := decodeAny(t, access.Claims), decodeAny(t, []byte(body)); !reflect.DeepEqual(got, want) {
			t.Fatalf("means %v, meant %v", got, want)
		}
		for i := range len(text) {
			c := byte('A')
			if text[i] == c {
				c = 'B'
			}
			if _, err := g.verifier.Verify(text[:i] + string(c) + text[i+1:]); err == nil {
				t.Fatalf("accepted with %q at %d", c, i)
			}
		}
	})
}

func decodeAny(t *testing.T, text []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return v
}

// FuzzParseRefresh tries any text, and any bytes under a right MAC. What is
// accepted is exactly what Mint makes for the same session and generation.
func FuzzParseRefresh(f *testing.F) {
	r := newRefresh(f, testSecret)
	text, _ := r.Mint(mustUUID(testSess), 1)
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, raw)
	f.Add(text+"\n", raw[:24])
	f.Add("", make([]byte, 24))
	f.Fuzz(func(t *testing.T, text string, said []byte) {
		texts := []string{text}
		if len(said) >= 24 {
			texts = append(texts, base64.RawURLEncoding.EncodeToString(append(said[:24:24], r.mac(said[:24])...)))
		}
		for _, text := range texts {
			session, generation, hash, err := r.Parse(text)
			if err != nil {
				continue
			}
			if minted, h := r.Mint(session, generation); minted != text || h != hash || generation < 1 {
				t.Fatalf("%q is read as %s %d, which is %q", text, session, generation, minted)
			}
		}
	})
}
