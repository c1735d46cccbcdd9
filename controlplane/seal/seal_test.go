package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/seal"
)

const (
	first  = "first-key-0123456789-abcdefghijkl-q"
	second = "second-key-9876543210-zyxwvutsrqp-m"
)

var place = seal.Place{Table: "auth.mfa_factors", Column: "secret", Row: "8f0e6a6e-0000-4000-8000-000000000001"}

func sealer(t testing.TB, current, previous string) *seal.Sealer {
	t.Helper()
	s, err := seal.New(current, previous)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	s := sealer(t, first, "")
	for _, text := range []string{"", "x", "JBSWY3DPEHPK3PXP", strings.Repeat("long ", 10000)} {
		sealed := s.Seal(place, []byte(text))
		if len(text) > 1 && strings.Contains(sealed, text) {
			t.Error("the text can be read")
		}
		if !strings.HasPrefix(sealed, "v1."+s.KeyID()+".") {
			t.Errorf("form of %.40s", sealed)
		}
		got, stale, err := s.Open(place, sealed)
		if err != nil || stale || string(got) != text {
			t.Errorf("opened %q, stale %v, %v", got, stale, err)
		}
		if again := s.Seal(place, []byte(text)); again == sealed {
			t.Error("the same nonce twice")
		}
	}
}

// A sealed text opens at its own place only, and no changed byte goes unnoticed.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	s := sealer(t, first, second)
	sealed := s.Seal(place, []byte("secret"))
	for name, other := range map[string]seal.Place{
		"table":  {Table: "auth.identities", Column: place.Column, Row: place.Row},
		"column": {Table: place.Table, Column: "other", Row: place.Row},
		"row":    {Table: place.Table, Column: place.Column, Row: "8f0e6a6e-0000-4000-8000-000000000002"},
		"border": {Table: place.Table + "s", Column: "ecret", Row: place.Row},
		"empty":  {},
	} {
		if _, _, err := s.Open(other, sealed); !errors.Is(err, seal.ErrBroken) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	for i := range sealed {
		changed := []byte(sealed)
		changed[i] ^= 1
		if _, _, err := s.Open(place, string(changed)); err == nil {
			t.Errorf("byte %d changed and it opens", i)
		}
	}
	for _, text := range []string{"", "v1", "v1.", "v1.." + sealed, sealed[:len(sealed)-1], sealed + "A", sealed + "\n", "v2" + sealed[2:], "v1." + s.KeyID() + ".", "v1." + s.KeyID() + ".AAAA"} {
		if got, _, err := s.Open(place, text); err == nil {
			t.Errorf("%.30q opens as %q", text, got)
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	before, after, gone := sealer(t, first, ""), sealer(t, second, first), sealer(t, second, "")
	sealed := before.Seal(place, []byte("secret"))
	text, stale, err := after.Open(place, sealed)
	if err != nil || !stale || string(text) != "secret" {
		t.Errorf("with the previous key: %q, stale %v, %v", text, stale, err)
	}
	renewed := after.Seal(place, text)
	if text, stale, err := gone.Open(place, renewed); err != nil || stale || string(text) != "secret" {
		t.Errorf("sealed anew: %q, stale %v, %v", text, stale, err)
	}
	if _, _, err := gone.Open(place, sealed); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("without the previous key: %v", err)
	}
	// The id names the key; a text under the id of another key does not open with it.
	forged := strings.Replace(sealed, before.KeyID(), gone.KeyID(), 1)
	if _, _, err := after.Open(place, forged); !errors.Is(err, seal.ErrBroken) {
		t.Errorf("under another id: %v", err)
	}
}

func TestKeysAreNeededAndLong(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{{"", ""}, {"", second}, {first[:31], ""}, {first, second[:31]}} {
		s, err := seal.New(c[0], c[1])
		if err == nil || s != nil {
			t.Errorf("accepted %q", c)
		} else if !strings.Contains(err.Error(), "auth.encryption_key") || strings.Contains(err.Error(), "0123456789") {
			t.Errorf("error %v", err)
		}
	}
}

func TestSealerDoesNotPrint(t *testing.T) {
	t.Parallel()
	s := sealer(t, first, second)
	whole := struct{ s *seal.Sealer }{s}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "sealer", s)
	text := log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		text += fmt.Sprintf(verb, s) + fmt.Sprintf(verb, whole) + fmt.Sprintf(verb, *s)
	}
	for _, canary := range []string{"0123456789", "9876543210", fmt.Sprintf("%x", "0123456789")} {
		if strings.Contains(text, canary) {
			t.Errorf("printed: %s", text)
		}
	}
}
