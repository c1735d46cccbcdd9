package authn

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// Health says that this process answers; whether the database does is for readyz.
func (h *Handler) Health(c echo.Context) error {
	WriteJSON(c.Response(), http.StatusOK, struct {
		Version     string `json:"version"`
		Name        string `json:"name"`
		Description string `json:"description"`
	}{h.Version, "Fluxbase", "Fluxbase is a user registration and authentication API inside PostgreSQL"})
	return nil
}

// providers are the names that clients of Supabase look for.
var providers = [...]string{
	"anonymous_users", "apple", "azure", "bitbucket", "discord", "facebook", "figma", "fly", "github", "gitlab",
	"google", "kakao", "keycloak", "linkedin", "linkedin_oidc", "notion", "phone", "slack", "slack_oidc", "spotify",
	"twitch", "twitter", "workos", "zoom",
}

// PublicSettings says which ways in there are.
func (h *Handler) PublicSettings(c echo.Context) error {
	external := map[string]bool{"email": true}
	for _, name := range providers {
		external[name] = false
	}
	for _, name := range h.OAuth.Providers.Enabled() {
		external[name] = true
	}
	s := h.Settings()
	external["anonymous_users"] = s.AnonymousUsers
	WriteJSON(c.Response(), http.StatusOK, struct {
		External          map[string]bool `json:"external"`
		DisableSignup     bool            `json:"disable_signup"`
		MailerAutoconfirm bool            `json:"mailer_autoconfirm"`
		PhoneAutoconfirm  bool            `json:"phone_autoconfirm"`
		SMSProvider       string          `json:"sms_provider"`
		SAMLEnabled       bool            `json:"saml_enabled"`
	}{external, !s.SignupEnabled, s.SignupAutoconfirm, false, "", false})
	return nil
}
