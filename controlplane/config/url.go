package config

import (
	"log/slog"
	"net/url"
	"strings"
)

// URL is a PostgreSQL connection URL whose password must not be seen: every way of printing it masks the password. It
// keeps the text and not the parsed form, because fmt's walk through unexported fields can reach into a struct behind
// a pointer and can't into a string behind one.
type URL struct{ text *string }

// parsed is a fresh copy of the parsed form; u must not be zero.
func (u URL) parsed() *url.URL {
	parsed, err := url.Parse(*u.text)
	if err != nil {
		return &url.URL{} // not reached: ParseURL has seen the text
	}
	return parsed
}

// secretParameters are the query parameters of a connection URL that hold secrets.
var secretParameters = []string{"password", "sslpassword"}

// ParseURL reads a connection URL, postgres://user@host:port/database?parameter=value. Its errors don't repeat any
// part of the text.
func ParseURL(text string) (URL, error) {
	if !strings.HasPrefix(text, "postgres://") && !strings.HasPrefix(text, "postgresql://") {
		return URL{}, hinted{"must be a URL that begins with postgres://", "a Unix socket is postgres:///database?host=/var/run/postgresql"}
	}
	malformed := hinted{"is not a well-formed URL", "in the user and the password write @ : / ? # % and spaces as %40 %3A %2F %3F %23 %25 %20"}
	parsed, err := url.Parse(text)
	if err != nil || strings.Contains(text, "#") || strings.Count(parsed.Path, "/") > 1 {
		return URL{}, malformed
	}
	if _, err := url.ParseQuery(parsed.RawQuery); err != nil {
		return URL{}, malformed
	}
	u := URL{text: &text}
	if u.User() == "" && u.password() != "" {
		return URL{}, hinted{"has a password and no user", "write postgres://user:password@host/database"}
	}
	return u, nil
}

// IsZero says that no URL is set.
func (u URL) IsZero() bool { return u.text == nil }

// Reveal is the URL with its password, for the driver; empty when none is set. Never log it.
func (u URL) Reveal() string {
	if u.IsZero() {
		return ""
	}
	return *u.text
}

// User is the login that the URL names, empty when it leaves that to the driver.
func (u URL) User() string {
	if u.IsZero() {
		return ""
	}
	if name := u.parsed().User.Username(); name != "" {
		return name
	}
	return u.parsed().Query().Get("user")
}

// password is the password of the URL, empty when it has none.
func (u URL) password() string {
	if u.IsZero() {
		return ""
	}
	if password, set := u.parsed().User.Password(); set {
		return password
	}
	return u.parsed().Query().Get("password")
}

func (u URL) hides() bool {
	return u.password() != "" || !u.IsZero() && u.parsed().Query().Get("sslpassword") != ""
}

// WithUser is the same database for another login. The password is dropped, as each login has one of its own; an
// empty name leaves the login to the driver.
func (u URL) WithUser(name string) URL {
	if u.IsZero() {
		return u
	}
	other := u.parsed()
	other.User = nil
	if name != "" {
		other.User = url.User(name)
	}
	if query := other.Query(); query.Has("user") || query.Has("password") {
		query.Del("user")
		query.Del("password")
		other.RawQuery = query.Encode()
	}
	text := other.String()
	return URL{text: &text}
}

// String is the URL with its password masked, empty when none is set.
func (u URL) String() string {
	if u.IsZero() {
		return ""
	}
	shown := u.parsed()
	query, changed := shown.Query(), false
	for _, name := range secretParameters {
		if query.Has(name) {
			query.Set(name, "xxxxx")
			changed = true
		}
	}
	if changed {
		shown.RawQuery = query.Encode()
	}
	return shown.Redacted()
}

// GoString is String, for %#v.
func (u URL) GoString() string { return u.String() }

// LogValue is String, for slog.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// MarshalText is String, for encoding/json and its like.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }
