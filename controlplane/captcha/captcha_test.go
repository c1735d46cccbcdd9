package captcha_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/captcha"
)

// The answers are those of the providers' documentation.
func TestVerify(t *testing.T) {
	t.Parallel()
	var got url.Values
	answers := map[string]string{
		"good":     `{"success":true,"challenge_ts":"2026-11-25T10:00:00Z","hostname":"app.example.com"}`,
		"used":     `{"success":false,"error-codes":["timeout-or-duplicate"]}`,
		"secret":   `{"success":false,"error-codes":["invalid-input-secret"]}`,
		"mismatch": `{"success":false,"error-codes":["sitekey-secret-mismatch"]}`,
		"silent":   `{}`,
		"no json":  `<html>`,
		"long":     `{"success":true,"x":"` + strings.Repeat("x", 100<<10) + `"}`,
	}
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.ParseForm() != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		got = r.PostForm
		switch token := r.PostForm.Get("response"); token {
		case "redirect":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "broken":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			_, _ = fmt.Fprint(w, answers[token])
		}
	}))
	defer provider.Close()
	v, err := captcha.New(captcha.Turnstile, "s3cr3t value", provider.URL)
	if err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]struct {
		ok     bool
		codes  []string
		failed bool
	}{
		"good": {ok: true}, "used": {codes: []string{"timeout-or-duplicate"}}, "": {codes: []string{"missing-input-response"}},
		strings.Repeat("x", 9000): {codes: []string{"missing-input-response"}},
		"secret":                  {failed: true}, "mismatch": {failed: true}, "silent": {failed: true}, "no json": {failed: true}, "long": {failed: true},
		"redirect": {failed: true}, "broken": {failed: true},
	} {
		ok, codes, err := v.Verify(t.Context(), token, netip.MustParseAddr("203.0.113.9"))
		if ok != want.ok || !slices.Equal(codes, want.codes) || (err != nil) != want.failed {
			t.Errorf("%.20s: %t %v %v", token, ok, codes, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cr3t value") {
			t.Errorf("%.20s: the error has the secret", token)
		}
	}
	if _, _, err := v.Verify(t.Context(), "good", netip.MustParseAddr("203.0.113.9")); err != nil ||
		got.Encode() != "remoteip=203.0.113.9&response=good&secret=s3cr3t+value" {
		t.Errorf("sent: %v %v", got, err)
	}
	provider.Close()
	if ok, _, err := v.Verify(t.Context(), "good", netip.Addr{}); ok || err == nil {
		t.Errorf("a provider that is gone vouches: %v", err)
	}
	for _, p := range []captcha.Provider{captcha.HCaptcha, captcha.Turnstile} {
		if _, err := captcha.New(p, "x", ""); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
	if _, err := captcha.New("other", "x", ""); err == nil {
		t.Error("an unknown provider has an address")
	}
	if _, err := captcha.New(captcha.HCaptcha, "", ""); err == nil {
		t.Error("no secret")
	}
}
