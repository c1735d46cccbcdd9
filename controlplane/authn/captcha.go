package authn

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"
)

// Captcha asks whether the client that sent a token is a person; [captcha.Verifier] does. codes are the provider's
// reasons when it is not.
type Captcha interface {
	Verify(ctx context.Context, token string, client netip.Addr) (ok bool, codes []string, err error)
}

// checkCaptcha refuses a request without the token of a person, where the configuration asks for one. Clients of Supabase
// send it as gotrue_meta_security.captcha_token. It comes before anything that costs or tells.
func (h *Handler) checkCaptcha(c echo.Context, security json.RawMessage) error {
	if h.Captcha == nil {
		return nil
	}
	var given struct {
		Token string `json:"captcha_token"`
	}
	if len(security) > 0 {
		if err := json.Unmarshal(security, &given); err != nil {
			return badJSON("The member gotrue_meta_security is of the wrong type")
		}
	}
	ok, codes, err := h.Captcha.Verify(c.Request().Context(), given.Token, h.Origin(c).IP)
	switch {
	case err != nil:
		return fmt.Errorf("captcha: %w", err)
	case !ok:
		return badRequest("captcha_failed", "captcha protection: request disallowed ("+reasons(codes)+")")
	}
	return nil
}

// reasons are what a provider said, as far as it looks like its codes.
func reasons(codes []string) string {
	var known []string
	for _, code := range codes {
		if len(code) <= 40 && strings.Trim(code, "abcdefghijklmnopqrstuvwxyz-") == "" {
			known = append(known, code)
		}
	}
	return strings.Join(known, ", ")
}
