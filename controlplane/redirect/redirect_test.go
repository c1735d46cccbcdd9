package redirect_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/redirect"
)

func TestTarget(t *testing.T) {
	t.Parallel()
	list, err := redirect.New("https://app.example.com/shop", []string{
		"https://Admin.example.com/welcome", "https://docs.example.com:8443/**", "https://one.example.com/in?from=us",
		"http://localhost:3000/**", "http://127.0.0.1:5000/back", "com.example.app://signed-in", "https://root.example.com",
	})
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]string{
		"":                                       "https://app.example.com/shop",
		"https://app.example.com/shop":           "https://app.example.com/shop",
		"https://app.example.com/shop/?x=1":      "https://app.example.com/shop/?x=1",
		"https://app.example.com:443/shop/a/b":   "https://app.example.com:443/shop/a/b",
		"HTTPS://APP.example.com/shop/a":         "https://APP.example.com/shop/a",
		"https://admin.example.com/welcome?a=b":  "https://admin.example.com/welcome?a=b",
		"https://docs.example.com:8443":          "https://docs.example.com:8443",
		"https://docs.example.com:8443/any/way":  "https://docs.example.com:8443/any/way",
		"https://one.example.com/in?from=us":     "https://one.example.com/in?from=us",
		"http://localhost:3000/auth/callback":    "http://localhost:3000/auth/callback",
		"http://127.0.0.1:5000/back":             "http://127.0.0.1:5000/back",
		"com.example.app://signed-in?next=%2Fme": "com.example.app://signed-in?next=%2Fme",
		"https://root.example.com/":              "https://root.example.com/",
	}
	for text, want := range allowed {
		got, err := list.Target(text)
		if err != nil || got.String() != want {
			t.Errorf("%q: got %v, %v, want %s", text, got, err, want)
		}
	}
	refused := []string{
		"https://app.example.com/", "https://app.example.com/shopping", "https://app.example.com/shop/../admin",
		"https://app.example.com/shop/%2e%2e/admin", "https://app.example.com/shop/..%2fadmin", `https://app.example.com\@evil.example/shop`,
		"https://app.example.com/shop/..%5cadmin", "https://app.example.com@evil.example/shop", "https://evil.example/shop",
		"https://app.example.com.evil.example/shop", "https://app.example.com:8443/shop", "https://app.example.com:/shop",
		"http://app.example.com/shop", "//app.example.com/shop", "/shop", "shop", "https:app.example.com/shop", "https:///shop",
		"https://app.example.com/shop#x", "https://app.example.com/shop#", "https://user:pw@app.example.com/shop",
		"https://admin.example.com/welcome/x", "https://admin.example.com/welcomes", "https://docs.example.com/any",
		"https://one.example.com/in", "https://one.example.com/in?from=them", "https://one.example.com/in?from=us&from=them",
		"http://localhost:3001/", "http://127.0.0.1:5000/", "com.example.app://elsewhere", "com.example.app:signed-in",
		"javascript://app.example.com/shop", "javascript:alert(1)", "data://app.example.com/shop", "file:///etc/passwd",
		"https://app.example.com/shop\n", " https://app.example.com/shop", "https://app.example.com/shop\tx", "https://app.example.com/sh\u00f6p",
		"https://\uff41pp.example.com/shop", "https://app.example.com/shop/" + strings.Repeat("x", 2100), "https://root.example.com/x",
	}
	for _, text := range refused {
		got, err := list.Target(text)
		var refusal *redirect.RefusedError
		if !errors.As(err, &refusal) || refusal.Target != text {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
}

func TestNothingIsAllowedWithoutConfiguration(t *testing.T) {
	t.Parallel()
	list, err := redirect.New("", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "https://app.example.com/"} {
		if got, err := list.Target(text); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "*", "**", "https://**", "https://*.example.com/**", "https://example.com/*/x", "https://example.com/x*", "https://example.com/?a=*",
		"https://example.com/a?b=c/**", "http://example.com/", "example.com", "javascript://x/**", "https://u@example.com/", "https://example.com/#a",
	} {
		if redirect.CheckPlace(text) == nil {
			t.Errorf("place %q is accepted", text)
		}
	}
	for _, text := range []string{"", "app.example.com", "myapp://x", "https://app.example.com/?a=b", "https://app.example.com/?", "http://app.example.com"} {
		if redirect.CheckSite(text) == nil {
			t.Errorf("site %q is accepted", text)
		}
	}
	for _, text := range []string{"https://app.example.com", "https://app.example.com/base/", "http://localhost:3000", "http://[::1]:3000"} {
		if err := redirect.CheckSite(text); err != nil {
			t.Errorf("site %q: %v", text, err)
		}
	}
}

// Whatever is accepted is on the list in the eyes of a parser that has not been here before.
func FuzzTarget(f *testing.F) {
	list, err := redirect.New("https://app.example.com/shop", []string{"com.example.app://signed-in", "http://localhost:3000/**"})
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{"https://app.example.com/shop/a?b=c", "https://app.example.com/shop/..%2f", "com.example.app://signed-in", "http://localhost:3000@evil.example/", `https://app.example.com\@evil.example/shop`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := list.Target(text)
		if err != nil {
			return
		}
		for _, begin := range []string{"https://app.example.com/shop", "https://app.example.com:443/shop", "com.example.app://signed-in", "http://localhost:3000"} {
			if rest, ok := strings.CutPrefix(strings.ToLower(u.String()), begin); ok && (rest == "" || strings.ContainsAny(rest[:1], "/?")) {
				return
			}
		}
		t.Errorf("%q leads to %s", text, u)
	})
}
