package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/token"
)

var (
	issuerName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)
	roleName   = regexp.MustCompile(`^[^\x00-\x20,]{1,63}$`)
)

// closedRoles are those that no token of another issuer may ask for.
var closedRoles = []string{"service_role", "none"}

// trustedIssuers is auth.trusted_issuers.
func trustedIssuers() kind[[]TrustedIssuer] {
	type row = TrustedIssuer
	text := textKind("text")
	return recordsOf([]column[row]{
		field("name", matching(issuerName, "must be lower-case letters, digits, - and _, and begin with a letter"), func(i *row) *string { return &i.Name }, true),
		field("issuer", text, func(i *row) *string { return &i.Issuer }, false),
		field("jwks_url", jwksURL(), func(i *row) *string { return &i.JWKSURL }, false),
		field("secret", kind[Secret]{parse: func(text string) (Secret, error) { return NewSecret(text), nil }}, func(i *row) *Secret { return &i.Secret }, false),
		field("secret_file", text, func(i *row) *string { return &i.SecretFile }, false),
		listField("algorithms", func(item string) error {
			if !slices.Contains(token.ForeignAlgorithms, item) {
				return errors.New("must be of " + strings.Join(token.ForeignAlgorithms, ", "))
			}
			return nil
		}, func(i *row) *[]string { return &i.Algorithms }),
		field("audience", text, func(i *row) *string { return &i.Audience }, false),
		field("role_claim", kind[string]{parse: func(text string) (string, error) {
			return text, checkRoleClaim(text)
		}}, func(i *row) *string { return &i.RoleClaim }, false),
		field("default_role", requestRole(), func(i *row) *string { return &i.DefaultRole }, false),
		listField("allowed_roles", func(item string) error {
			_, err := requestRole().parse(item)
			return err
		}, func(i *row) *[]string { return &i.AllowedRoles }),
		listField("required_claims", checkSecretText, func(i *row) *[]string { return &i.RequiredClaims }),
		field("subject_is_user", boolean(), func(i *row) *bool { return &i.SubjectIsUser }, false),
		field("without_session", boolean(), func(i *row) *bool { return &i.WithoutSession }, true),
	}, checkIssuer)
}

func checkIssuer(row TrustedIssuer, before []TrustedIssuer) error {
	given := 0
	for _, there := range []bool{row.JWKSURL != "", !row.Secret.IsZero(), row.SecretFile != ""} {
		if there {
			given++
		}
	}
	shared := slices.ContainsFunc(row.Algorithms, func(alg string) bool { return strings.HasPrefix(alg, "HS") })
	switch {
	case slices.ContainsFunc(before, func(i TrustedIssuer) bool { return i.Name == row.Name }):
		return errors.New("is the second issuer of this name")
	case slices.ContainsFunc(before, func(i TrustedIssuer) bool { return i.Issuer == row.Issuer }):
		return errors.New("is the second one with this issuer, or without any")
	case given != 1:
		return hinted{"has no keys, or two kinds of them", "give it one of jwks_url, secret and secret_file"}
	case !row.WithoutSession:
		return hinted{"refuses every token: its tokens have no session here", "set without_session to true, knowing that only their issuer can end them"}
	case row.JWKSURL != "" && shared:
		return hinted{"takes shared secrets (HS...) from a public address", "name RS256, ES256 or another algorithm with key pairs"}
	case row.JWKSURL != "" && (row.Issuer == "" || row.Audience == "" || len(row.Algorithms) == 0):
		return hinted{"needs issuer, audience and algorithms beside jwks_url", "an identity provider signs tokens for many; only these tell which are for you"}
	}
	return nil
}

// deriveIssuers reads the files of secrets and fills in what is left out.
func (r *resolver) deriveIssuers() {
	const key = "auth.trusted_issuers"
	if !r.valid(key, "auth.jwt_issuer", "auth.jwt_secret") {
		return
	}
	a := &r.config.Auth
	for n := range a.TrustedIssuers {
		i := &a.TrustedIssuers[n]
		refuse := func(message, hint string) { r.refuse(key, fmt.Sprintf("[%d] %s", n+1, message), hint) }
		if i.SecretFile != "" {
			in, faults := r.fromSecretFile(i.SecretFile)
			if len(faults) > 0 {
				refuse("secret_file "+faults[0].err.Error(), "")
				continue
			}
			i.Secret = NewSecret(in.text)
		}
		secret := i.Secret.Reveal()
		switch {
		case i.Issuer == a.JWTIssuer:
			refuse("has our own issuer, auth.jwt_issuer", "")
		case secret == "":
		case secret == a.JWTSecret.Reveal():
			refuse("has the same secret as auth.jwt_secret", "make a secret of our own: openssl rand -base64 48")
		case secret[0] != '{' && len(secret) < minSecretBytes:
			refuse(fmt.Sprintf("has a secret of %d bytes; at least %d are needed", len(secret), minSecretBytes), "")
		}
		if len(i.Algorithms) == 0 {
			i.Algorithms = []string{"HS256"}
			if strings.HasPrefix(secret, "{") {
				i.Algorithms = token.ForeignAlgorithms
			}
		}
		if i.RoleClaim == "" {
			i.RoleClaim = ".role"
		}
		switch {
		case i.RequiredClaims == nil:
			i.RequiredClaims = []string{"exp"}
		case slices.Equal(i.RequiredClaims, []string{"none"}):
			i.RequiredClaims = []string{}
		}
	}
}

func checkRoleClaim(text string) error {
	_, err := token.ParseRolePath(text)
	return err
}

// matching is a text of a form.
func matching(form *regexp.Regexp, refusal string) kind[string] {
	return kind[string]{parse: func(text string) (string, error) {
		if !form.MatchString(text) {
			return "", errors.New(refusal)
		}
		return text, nil
	}}
}

// requestRole is a role of PostgreSQL that tokens of other issuers may ask for.
func requestRole() kind[string] {
	return kind[string]{parse: func(text string) (string, error) {
		if !roleName.MatchString(text) {
			return "", errors.New("must be the name of a role")
		}
		if slices.Contains(closedRoles, text) || strings.HasPrefix(text, "fluxbase_") || strings.HasPrefix(text, "pg_") {
			return "", errors.New("names a role that no token may ask for")
		}
		return text, nil
	}}
}

// jwksURL is an address of keys: HTTPS, or HTTP on this machine.
func jwksURL() kind[string] {
	return kind[string]{parse: func(text string) (string, error) {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
			return "", errors.New("must be an https:// address")
		}
		ip := net.ParseIP(u.Hostname())
		if u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return "", hinted{"must be an https:// address", "who can change the keys on their way can make any token"}
		}
		return text, nil
	}}
}
