package token

import (
	"regexp"
	"testing"

	"github.com/google/uuid"
)

func TestMailTokens(t *testing.T) {
	t.Parallel()
	make := func(text string) *MailTokens {
		t.Helper()
		secret, err := NewSecret(text)
		if err != nil {
			t.Fatal(err)
		}
		m, err := NewMailTokens(secret)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	m, other := make("n4vVq0dXcJ2mEw8rTz6uYb1aKs5hLf3g"), make("another-secret-of-32-characters-xyz")
	links, codes := map[string]bool{}, map[string]bool{}
	for range 1000 {
		id := uuid.New()
		link, code := m.Mint(id)
		if again, same := m.Mint(id); again != link || same != code {
			t.Fatal("a mail that is sent again says something else")
		}
		if foreign, _ := other.Mint(id); foreign == link {
			t.Fatal("the secret does not matter")
		}
		if !regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`).MatchString(link) || !regexp.MustCompile(`^[0-9]{6}$`).MatchString(code) {
			t.Fatalf("%q %q", link, code)
		}
		links[link], codes[code] = true, true
	}
	if len(links) != 1000 || len(codes) < 980 {
		t.Errorf("%d links, %d codes of 1000", len(links), len(codes))
	}
	hash := m.CodeHash("ann@example.com", "123456")
	if m.CodeHash("Ann@EXAMPLE.com", "123456") != hash {
		t.Error("the case of the address matters")
	}
	for name, c := range map[string][2]string{"code": {"ann@example.com", "123457"}, "address": {"bob@example.com", "123456"},
		"shifted": {"6\nann@example.com", "12345"}, "look-alike": {"ann@example.com", "123456\n"}} {
		if m.CodeHash(c[0], c[1]) == hash {
			t.Errorf("%s: the same hash", name)
		}
	}
	if other.CodeHash("ann@example.com", "123456") == hash {
		t.Error("the secret does not matter")
	}
	if _, err := NewMailTokens(Secret{}); err == nil {
		t.Error("no secret is accepted")
	}
}
