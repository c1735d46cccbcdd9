package token

import (
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestCSRF(t *testing.T) {
	t.Parallel()
	secret, err := NewSecret("n4vVq0dXcJ2mEw8rTz6uYb1aKs5hLf3g-csrf")
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewSecret("another secret that is long enough, too")
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewCSRF(secret)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := NewCSRF(other)
	if err != nil {
		t.Fatal(err)
	}
	session := uuid.New()
	text := c.Mint(session)
	if !c.Check(session, text) || !c.Check(uuid.Nil, c.Mint(uuid.Nil)) {
		t.Fatal("a token of the session is refused")
	}
	if c.Mint(session) == text {
		t.Error("two tokens are the same")
	}
	swap := func(i int) string {
		b := []byte(text)
		b[i] = map[bool]byte{true: 'B', false: 'A'}[b[i] == 'A']
		return string(b)
	}
	for name, wrong := range map[string]string{
		"another session": c.Mint(uuid.New()),
		"no session":      c.Mint(uuid.Nil),
		"another key":     foreign.Mint(session),
		"random changed":  swap(0),
		"MAC changed":     swap(len(text) - 1),
		"cut":             text[:len(text)-1],
		"longer":          text + "A",
		"a newline":       text[:len(text)-1] + "\n",
		"empty":           "",
		"no base64":       strings.Repeat("!", len(text)),
	} {
		if c.Check(session, wrong) {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := NewCSRF(Secret{}); err == nil {
		t.Error("a key was derived from nothing")
	}
}
