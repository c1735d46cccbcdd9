// Package captcha asks a provider whether the client that sent a token is a person.
//
// Promises: the provider's address comes from the configuration alone; redirects are not followed; what cannot be asked
// is an error and never a yes; neither token nor secret is part of an error.
package captcha

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Provider is whose protocol is spoken. Both take the same form and give the same answer.
type Provider string

// The providers.
const (
	HCaptcha  Provider = "hcaptcha"
	Turnstile Provider = "turnstile"
)

// address is where the providers answer.
var address = map[Provider]string{
	HCaptcha:  "https://api.hcaptcha.com/siteverify",
	Turnstile: "https://challenges.cloudflare.com/turnstile/v0/siteverify",
}

const (
	timeout   = 5 * time.Second
	maxAnswer = 64 << 10
	maxToken  = 8 << 10
)

// Verifier asks a provider. It is safe for concurrent use.
type Verifier struct {
	url    string
	secret string
	client *http.Client
}

// New makes a verifier. An empty URL is that of the provider.
func New(provider Provider, secret, url string) (*Verifier, error) {
	if url == "" {
		url = address[provider]
	}
	if url == "" || secret == "" {
		return nil, errors.New("captcha: provider or secret is missing")
	}
	return &Verifier{url: url, secret: secret, client: &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Verify reports whether the provider vouches for a token. codes are the provider's reasons when it does not.
func (v *Verifier) Verify(ctx context.Context, token string, client netip.Addr) (ok bool, codes []string, err error) {
	if token == "" || len(token) > maxToken {
		return false, []string{"missing-input-response"}, nil
	}
	form := url.Values{"secret": {v.secret}, "response": {token}}
	if client.IsValid() {
		form.Set("remoteip", client.String())
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url, strings.NewReader(form.Encode()))
	if err != nil {
		return false, nil, fmt.Errorf("captcha: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a, err := v.client.Do(r)
	if err != nil {
		return false, nil, fmt.Errorf("captcha: %w", err)
	}
	defer a.Body.Close() //nolint:errcheck // read as far as it is needed
	if a.StatusCode != http.StatusOK {
		return false, nil, fmt.Errorf("captcha: the provider answers %d", a.StatusCode)
	}
	var answer struct {
		Success *bool    `json:"success"`
		Codes   []string `json:"error-codes"`
	}
	if err := json.NewDecoder(io.LimitReader(a.Body, maxAnswer)).Decode(&answer); err != nil {
		return false, nil, fmt.Errorf("captcha: %w", err)
	}
	if answer.Success == nil {
		return false, nil, errors.New("captcha: the provider's answer says nothing")
	}
	for _, code := range answer.Codes { // a mistake of ours, and not of the client
		if strings.Contains(code, "input-secret") || code == "sitekey-secret-mismatch" {
			return false, nil, fmt.Errorf("captcha: the provider refuses the secret: %.40q", code)
		}
	}
	return *answer.Success, answer.Codes, nil
}
