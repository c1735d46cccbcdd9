package oauth

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/redirect"
)

// Config is one provider as the configuration describes it.
type Config struct {
	Name         string   // what clients call it: google, keycloak, or any other name
	ClientID     string   // of the application that is registered there
	ClientSecret string   // empty for a public client
	Issuer       string   // of OpenID Connect; empty for that of the preset
	Scopes       []string // beside those of the preset
	Audiences    []string // other clients of the same application whose ID tokens are accepted, of mobile apps for example
	TrustEmail   bool     // its addresses are verified although it does not say so
}

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,39}$`)

// reserved are the names of ways in that are no providers.
var reserved = map[string]bool{"email": true, "phone": true, "anonymous": true, "anonymous_users": true, "password": true, "saml": true}

// Check says why a provider cannot be used as configured.
func (c Config) Check() error {
	preset, known := presets[Canonical(c.Name)]
	switch {
	case !nameForm.MatchString(c.Name):
		return errors.New("has a name that is not made of a to z, digits, _ and -")
	case reserved[c.Name]:
		return fmt.Errorf("has the name %s, which is no provider", c.Name)
	case c.ClientID == "":
		return errors.New("has no client_id")
	case c.Issuer == "" && (!known || preset.issuer == "" && preset.profile == nil):
		return errors.New("has no issuer, and there is no preset for its name")
	case c.Issuer != "" && known && preset.profile != nil:
		return fmt.Errorf("has an issuer, and %s does not speak OpenID Connect", c.Name)
	case c.Issuer != "":
		return CheckIssuer(c.Issuer)
	}
	return nil
}

// CheckIssuer says why a text is no issuer (OpenID Connect Discovery section 3): https, no query, no fragment. Plain http
// is for an issuer on this machine.
func CheckIssuer(text string) error { return redirect.CheckSite(text) }

// Canonical is the name of a provider in the vocabulary of Supabase's clients.
func Canonical(name string) string {
	if name == "microsoft" {
		return "azure"
	}
	return name
}

// preset is what is known of a provider by its name.
type preset struct {
	issuer   string // of OpenID Connect
	scopes   []string
	formPost bool              // it sends its answer as a form when it is asked for name or address
	verified func(claims) bool // whether it vouches for the address; nil is the claim email_verified

	// Without OpenID Connect.
	authURL, tokenURL string
	profile           profileFunc
}

var openID = []string{"openid", "email", "profile"}

var presets = map[string]preset{
	"google": {issuer: "https://accounts.google.com", scopes: openID},
	"gitlab": {issuer: "https://gitlab.com", scopes: openID},
	"apple":  {issuer: "https://appleid.apple.com", scopes: []string{"openid", "email", "name"}, formPost: true},
	// Anybody can write any address into a directory of their own. xms_edov says that its domain is verified.
	"azure": {issuer: "https://login.microsoftonline.com/common/v2.0", scopes: openID,
		verified: func(c claims) bool { return c.truth("xms_edov") }},
	"github": {authURL: "https://github.com/login/oauth/authorize", tokenURL: "https://github.com/login/oauth/access_token",
		scopes: []string{"read:user", "user:email"}, profile: githubProfile},
	"facebook": {authURL: "https://www.facebook.com/v21.0/dialog/oauth", tokenURL: "https://graph.facebook.com/v21.0/oauth/access_token",
		scopes: []string{"email"}, profile: facebookProfile},
	"discord": {authURL: "https://discord.com/oauth2/authorize", tokenURL: "https://discord.com/api/oauth2/token",
		scopes: []string{"identify", "email"}, profile: discordProfile},
}

// tenants are the directories of Microsoft that stand for many: their tokens name the real one.
var tenants = regexp.MustCompile(`^https://login\.microsoftonline\.com/(common|organizations|consumers)/v2\.0$`)

const (
	tenantIssuer = "https://login.microsoftonline.com/{tenantid}/v2.0"
	tenantMark   = "{tenantid}"
)

// secure reports whether an endpoint may be used with an issuer: https, or on the same machine as the issuer.
func secure(endpoint, issuer string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && strings.HasPrefix(issuer, "http://"))
}
