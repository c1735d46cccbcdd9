package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ErrPlainHTTP says that the server would talk to its clients in clear text.
var ErrPlainHTTP = errors.New("production mode needs TLS: set server.tls.enabled with cert_file and key_file; or, when a proxy " +
	"before the server ends TLS, set server.tls.terminated_by_proxy to true and name the proxy in server.trusted_proxies")

// ServeError is why a server must not start with this configuration although it is valid. Nil when it may start.
func (c *Config) ServeError() error {
	if c.Mode == Production && !c.Server.TLS.Enabled && !c.Server.TLS.TerminatedByProxy {
		return ErrPlainHTTP
	}
	return nil
}

func (r *resolver) refuse(key, message, hint string) {
	v := r.values[key]
	p := Problem{Key: key, Message: message, Hint: hint}
	if v.Explicit() {
		p.Source = v.Source
	}
	r.problems = append(r.problems, p)
}

// valid says that the options hold what they should, be it their defaults.
func (r *resolver) valid(keys ...string) bool {
	for _, key := range keys {
		if r.values[key].Invalid {
			return false
		}
	}
	return true
}

func (r *resolver) explicit(key string) bool { return r.values[key].Explicit() }

// derive fills in the options that follow from others, and checks those that must agree.
func (r *resolver) derive() {
	r.deriveListen()
	r.derivePublicURL()
	r.deriveURLs()
	r.readProviderSecrets()
	r.checkEncryptionKeys()
	r.derivePostgREST()
	r.deriveIssuers()
	r.checkTLS()
	r.checkMail()
	r.checkMaxCost()
	r.checkCaptcha()
	r.checkAdmin()
}

// checkAdmin makes sure that a listener for administration has all that it needs.
func (r *resolver) checkAdmin() {
	const prefix = "server.admin."
	if !r.valid(prefix+"listen", prefix+"cert_file", prefix+"key_file", prefix+"client_ca_file") {
		return
	}
	a := r.config.Server.Admin
	for _, needed := range []struct{ key, value string }{{"cert_file", a.CertFile}, {"key_file", a.KeyFile}, {"client_ca_file", a.ClientCAFile}} {
		if a.Listen != "" && needed.value == "" {
			r.refuse(prefix+needed.key, "is missing, and "+prefix+"listen is set", "")
		}
	}
}

// checkCaptcha makes sure that a provider can be asked, and not in clear text by way of others.
func (r *resolver) checkCaptcha() {
	const prefix = "auth.captcha."
	if !r.valid(prefix+"provider", prefix+"secret", prefix+"url") {
		return
	}
	c := r.config.Auth.Captcha
	if c.Provider != NoCaptcha && c.Secret.IsZero() {
		r.refuse(prefix+"secret", "is missing, and "+prefix+"provider is set", "")
	}
	if u, err := url.Parse(c.URL); c.URL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopbackHost(u.Hostname()))) {
		r.refuse(prefix+"url", "must be a URL of https", "plain http is for this machine alone")
	}
}

// checkMaxCost makes sure that costs can be asked for: by the name of a statement.
func (r *resolver) checkMaxCost() {
	if r.valid("rest.max_cost", "database.pooler") && r.config.REST.MaxCost > 0 && r.config.Database.Pooler == TransactionPooler {
		r.refuse("rest.max_cost", "is set, and database.pooler is transaction", "a pooler in transaction mode has no named statements; connect without it or use rest.statement_timeout")
	}
}

// checkTLS makes sure that what is said about TLS fits together.
func (r *resolver) checkTLS() {
	const prefix = "server.tls."
	if !r.valid(prefix+"enabled", prefix+"cert_file", prefix+"key_file", prefix+"terminated_by_proxy", prefix+"redirect_listen",
		prefix+"redirect_host", prefix+"hsts_max_age", prefix+"hsts_include_subdomains", prefix+"hsts_preload", "server.trusted_proxies",
		prefix+"acme.hosts", prefix+"acme.cache_dir", prefix+"acme.directory_url", prefix+"acme.ca_file") {
		return
	}
	tls := r.config.Server.TLS
	acme := len(tls.ACME.Hosts) > 0
	switch {
	case acme && !tls.Enabled:
		r.refuse(prefix+"acme.hosts", "is set, and server.tls.enabled is not true", "")
	case acme && (tls.CertFile != "" || tls.KeyFile != ""):
		r.refuse(prefix+"acme.hosts", "is set, and so is the file of a certificate or a key", "one of the two")
	case tls.ACME.CAFile != "" && tls.ACME.DirectoryURL == "":
		r.refuse(prefix+"acme.ca_file", "is set, and server.tls.acme.directory_url is not", "it is about the directory of a private CA")
	case tls.ACME.DirectoryURL != "" && !strings.HasPrefix(tls.ACME.DirectoryURL, "https://"):
		r.refuse(prefix+"acme.directory_url", "must begin with https://", "whoever answers in place of the CA chooses the certificates (RFC 8555 section 6.1)")
	case acme && tls.ACME.CacheDir == "":
		r.refuse(prefix+"acme.cache_dir", "is missing, and server.tls.acme.hosts is set", "without it every start would ask the CA anew, which soon refuses")
	}
	if tls.Enabled && !acme && tls.CertFile == "" {
		r.refuse(prefix+"cert_file", "is missing, and server.tls.enabled is true", "")
	}
	if tls.Enabled && !acme && tls.KeyFile == "" {
		r.refuse(prefix+"key_file", "is missing, and server.tls.enabled is true", "")
	}
	if tls.TerminatedByProxy && len(r.config.Server.TrustedProxies) == 0 {
		r.refuse(prefix+"terminated_by_proxy", "is true, and server.trusted_proxies is empty", "name the addresses of the proxy there")
	}
	if tls.RedirectListen != "" && !tls.Enabled {
		r.refuse(prefix+"redirect_listen", "is set, and server.tls.enabled is not true", "")
	}
	if host, _, _ := net.SplitHostPort(tls.RedirectHost); tls.RedirectListen != "" && host == "" {
		r.refuse(prefix+"redirect_host", "names no host, and server.tls.redirect_listen is set", "for example: api.example.com:443")
	}
	if tls.HSTSPreload && (!tls.HSTSIncludeSubdomains || tls.HSTSMaxAge < 365*24*time.Hour) {
		r.refuse(prefix+"hsts_preload", "needs server.tls.hsts_include_subdomains, and server.tls.hsts_max_age of a year or more", "")
	}
}

// checkMail makes sure that mails can go out and that what is in them leads somewhere.
func (r *resolver) checkMail() {
	if !r.valid("mail.host", "mail.from", "mail.user", "mail.password", "mail.tls", "server.public_url", "auth.site_url") {
		return
	}
	m := r.config.Mail
	if m.Host == "" {
		return
	}
	for _, needed := range []struct{ key, value, hint string }{
		{"mail.from", m.From, "for example: Acme <no-reply@example.com>"},
		{"server.public_url", r.config.Server.PublicURL, "links in mails begin with it; for example: https://api.example.com"},
		{"auth.site_url", r.config.Auth.SiteURL, "links in mails lead there; for example: https://app.example.com"},
	} {
		if needed.value == "" {
			r.refuse(needed.key, "is missing, and mail.host is set", needed.hint)
		}
	}
	if (m.User == "") != m.Password.IsZero() {
		r.refuse("mail.password", "and mail.user belong together", "")
	}
	if m.TLS == MailPlain && m.User != "" && !isLoopbackHost(m.Host) {
		r.refuse("mail.tls", "is none, and mail.password would go over the network", "starttls or tls")
	}
}

// isLoopbackHost says that a host is this machine, by name or by address.
func isLoopbackHost(host string) bool {
	address := net.ParseIP(host)
	return host == "localhost" || address != nil && address.IsLoopback()
}

// checkEncryptionKeys refuses what can only be a slip in a change of keys, or one secret for two purposes.
func (r *resolver) checkEncryptionKeys() {
	const key, previous = "auth.encryption_key", "auth.encryption_key_previous"
	if !r.valid(key, previous, "auth.jwt_secret") {
		return
	}
	a := r.config.Auth
	current := a.EncryptionKey.Reveal()
	switch {
	case current == "" && !a.EncryptionKeyPrevious.IsZero():
		r.refuse(key, "is missing, and "+previous+" is set", "the new key belongs in "+key)
	case current != "" && current == a.EncryptionKeyPrevious.Reveal():
		r.refuse(previous, "is the same as "+key, "it is the key that was in use before, or not set")
	case current != "" && current == a.JWTSecret.Reveal():
		r.refuse(key, "is the same as auth.jwt_secret", makeSecret)
	}
}

// readProviderSecrets reads the secrets that are files of their own.
func (r *resolver) readProviderSecrets() {
	const key = "auth.providers"
	if !r.valid(key) {
		return
	}
	for i := range r.config.Auth.Providers {
		p := &r.config.Auth.Providers[i]
		if p.ClientSecretFile == "" {
			continue
		}
		in, faults := r.fromSecretFile(p.ClientSecretFile)
		if len(faults) == 0 {
			if err := checkSecretText(in.text); err != nil {
				faults = []fault{{err: err}}
			} else {
				p.ClientSecret = NewSecret(in.text)
			}
		}
		for _, f := range faults {
			r.refuse(key, fmt.Sprintf("[%d].client_secret_file %s", i+1, f.err), "")
		}
	}
}

// requireForProviders reports what a sign-in at a provider cannot be without.
func (r *resolver) requireForProviders() {
	if len(r.config.Auth.Providers) == 0 || !r.valid("auth.providers", "auth.encryption_key", "server.public_url") {
		return
	}
	if r.config.Auth.EncryptionKey.IsZero() {
		r.refuse("auth.encryption_key", "is missing, and auth.providers is set", makeSecret)
	}
	if r.config.Server.PublicURL == "" {
		r.refuse("server.public_url", "is missing, and auth.providers is set", "providers send browsers back to https://.../auth/v1/callback below it")
	}
}

// deriveListen makes server.listen and server.port agree.
func (r *resolver) deriveListen() {
	if !r.valid("server.listen", "server.port") {
		return
	}
	server := &r.config.Server
	host, text, _ := net.SplitHostPort(server.Listen) // the kind of the option has checked it
	port, _ := strconv.Atoi(text)
	switch {
	case !r.explicit("server.port"):
		server.Port = port
		r.values["server.port"].Source = sourceDerived
	case !r.explicit("server.listen"):
		server.Listen = net.JoinHostPort(host, strconv.Itoa(server.Port))
		r.values["server.listen"].Source = sourceDerived
	case port != server.Port:
		r.refuse("server.port", "is not the port of server.listen ("+r.values["server.listen"].Source+")", "set one of the two")
	}
}

// derivePublicURL takes the address of the listener in development, where the browser is on the same machine.
func (r *resolver) derivePublicURL() {
	server := &r.config.Server
	if r.config.Mode != Development || r.explicit("server.public_url") || server.Port == 0 || !r.valid("server.listen", "server.port") {
		return
	}
	host, port, _ := net.SplitHostPort(server.Listen)
	if address := net.ParseIP(host); host == "" || address != nil && address.IsUnspecified() {
		host = "127.0.0.1"
	} else if address == nil && host != "localhost" || address != nil && !address.IsLoopback() {
		return
	}
	server.PublicURL = "http://" + net.JoinHostPort(host, port)
	r.values["server.public_url"].Source = sourceDerived
}

// deriveURLs makes the URLs of the other logins from the one of the data login.
func (r *resolver) deriveURLs() {
	db := &r.config.Database
	if r.valid("database.url") && !db.URL.IsZero() && db.URL.User() == "" {
		db.URL = db.URL.WithUser(apiLogin)
	}
	for _, derived := range []struct {
		key, login string
		url        *URL
	}{
		{"database.service_url", serviceLogin, &db.ServiceURL},
		{"database.server_url", serverLogin, &db.ServerURL},
		{"database.direct_url", "", &db.DirectURL},
	} {
		if !r.explicit(derived.key) && !db.URL.IsZero() {
			*derived.url = db.URL.WithUser(derived.login)
			r.values[derived.key].Source = sourceDerived
		}
	}
	if r.config.Mode != Production {
		return
	}
	for _, u := range []struct {
		key string
		url URL
	}{
		{"database.url", db.URL}, {"database.service_url", db.ServiceURL},
		{"database.server_url", db.ServerURL}, {"database.direct_url", db.DirectURL},
	} {
		if password := u.url.password(); password != "" && password == u.url.User() {
			r.refuse(u.key, "has the user's name as password", "in development mode this is allowed")
		}
	}
}

// require reports what must be there and is not.
func (r *resolver) require(why purpose) {
	db := r.config.Database
	switch {
	case why == toInstall:
		if db.DirectURL.IsZero() && r.valid("database.url", "database.direct_url") {
			r.refuse("database.direct_url", "is missing, and so is database.url",
				"set "+variableOf("database.direct_url")+"=postgres://user@host:5432/database")
		}
		return
	case db.URL.IsZero() && r.valid("database.url"):
		r.refuse("database.url", "is missing", "set "+variableOf("database.url")+"=postgres://"+apiLogin+"@host:5432/database")
	}
	if r.config.Auth.JWTSecret.IsZero() && r.valid("auth.jwt_secret") {
		r.refuse("auth.jwt_secret", fmt.Sprintf("is missing; at least %d bytes are needed", minSecretBytes),
			makeSecret+", and set "+variableOf("auth.jwt_secret")+" or "+variableOf("auth.jwt_secret"+fileSuffix))
	}
	r.requireForProviders()
}

// warn collects the warnings.
func (r *resolver) warn() {
	for _, o := range r.table {
		v := r.values[o.Key]
		if !v.Explicit() || v.Invalid {
			continue
		}
		text := o.show(r.config)
		if o.Pending && text != o.Default {
			r.config.warnings = append(r.config.warnings, fmt.Sprintf("%s (%s) is accepted but has no effect yet", o.Key, v.Source))
		}
		if r.file.shared && r.literalSecret(o) && o.hides(r.config) {
			r.config.warnings = append(r.config.warnings, fmt.Sprintf(
				"%s (%s) is a secret in a file that every user may read: chmod 600 %s, or keep it in a variable or a file of its own",
				o.Key, r.file.source(r.file.entries[o.Key].Line), r.file.name))
		}
	}
}
