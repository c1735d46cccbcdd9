package config

import "time"

func tlsOptions() []option {
	const year = 365 * 24 * time.Hour
	return []option{
		entry("server.tls.enabled", boolean(), func(c *Config) *bool { return &c.Server.TLS.Enabled }, "false",
			"Serve HTTPS. In production the server starts without it only with `server.tls.terminated_by_proxy`."),
		entry("server.tls.cert_file", textKind("path"), func(c *Config) *string { return &c.Server.TLS.CertFile }, "",
			"Certificate chain, PEM. A changed file is used for new connections within seconds."),
		entry("server.tls.key_file", textKind("path"), func(c *Config) *string { return &c.Server.TLS.KeyFile }, "",
			"Private key of the certificate, PEM."),
		entry("server.tls.acme.hosts", hosts(), func(c *Config) *[]string { return &c.Server.TLS.ACME.Hosts }, "",
			"Get certificates for these names from a CA by ACME, in place of the files. Using it accepts the terms of the CA."),
		entry("server.tls.acme.cache_dir", textKind("path"), func(c *Config) *string { return &c.Server.TLS.ACME.CacheDir }, "",
			"Directory, of this server alone, where account and certificates are kept."),
		entry("server.tls.acme.email", textKind("address"), func(c *Config) *string { return &c.Server.TLS.ACME.Email }, "",
			"Whom the CA may write to."),
		entry("server.tls.acme.directory_url", textKind("URL"), func(c *Config) *string { return &c.Server.TLS.ACME.DirectoryURL }, "",
			"The directory of another CA than Let's Encrypt."),
		entry("server.tls.acme.ca_file", textKind("path"), func(c *Config) *string { return &c.Server.TLS.ACME.CAFile }, "",
			"Certificates, PEM, of those who vouch for the directory of a private CA. Without it the machine's own list decides."),
		entry("server.tls.min_version", oneOf(TLS12, TLS13), func(c *Config) *TLSVersion { return &c.Server.TLS.MinVersion }, "1.2",
			"Oldest version of TLS that is spoken."),
		entry("server.tls.terminated_by_proxy", boolean(), func(c *Config) *bool { return &c.Server.TLS.TerminatedByProxy }, "false",
			"A proxy of `server.trusted_proxies` ends TLS, and clients reach the server through it alone."),
		entry("server.tls.redirect_listen", address(), func(c *Config) *string { return &c.Server.TLS.RedirectListen }, "",
			"Where a second listener answers plain HTTP: with a redirect to HTTPS, and `/healthz`."),
		entry("server.tls.redirect_host", address(), func(c *Config) *string { return &c.Server.TLS.RedirectHost }, "",
			"The host and port to redirect to; what the client calls the server is not read."),
		entry("server.tls.hsts_max_age", durationOrNone(time.Second, 10*year), func(c *Config) *time.Duration { return &c.Server.TLS.HSTSMaxAge }, "8760h",
			"How long browsers shall use HTTPS alone (`Strict-Transport-Security`). 0 sends no such header."),
		entry("server.tls.hsts_include_subdomains", boolean(), func(c *Config) *bool { return &c.Server.TLS.HSTSIncludeSubdomains }, "false",
			"The same for all subdomains."),
		entry("server.tls.hsts_preload", boolean(), func(c *Config) *bool { return &c.Server.TLS.HSTSPreload }, "false",
			"Ask for a place in the browsers' lists: needs the subdomains and a year or more."),
	}
}

func adminOptions() []option {
	return []option{
		entry("server.admin.listen", address(), func(c *Config) *string { return &c.Server.Admin.Listen }, "",
			"Where a listener with mutual TLS answers `admin/...` and `GET /metrics`. With it, the main listener has no `admin/...`."),
		entry("server.admin.cert_file", textKind("path"), func(c *Config) *string { return &c.Server.Admin.CertFile }, "",
			"Its certificate chain, PEM; may be that of `server.tls`."),
		entry("server.admin.key_file", textKind("path"), func(c *Config) *string { return &c.Server.Admin.KeyFile }, "",
			"The private key of the certificate, PEM."),
		entry("server.admin.client_ca_file", textKind("path"), func(c *Config) *string { return &c.Server.Admin.ClientCAFile }, "",
			"The certificates, PEM, of those who sign the certificates of clients. Read at start."),
	}
}

func corsOptions() []option {
	return []option{
		entry("server.cors.allowed_origins", origins(), func(c *Config) *[]string { return &c.Server.CORS.AllowedOrigins }, "",
			"Web pages of other origins that may call the API, each exactly as a browser writes it: `https://app.example.com`.",
			inDevelopment("http://localhost:3000,http://localhost:5173")),
		entry("server.cors.allowed_headers", headerNames(), func(c *Config) *[]string { return &c.Server.CORS.AllowedHeaders }, "",
			"Request headers that they may send beside those of the API and of supabase-js."),
		entry("server.cors.exposed_headers", headerNames(), func(c *Config) *[]string { return &c.Server.CORS.ExposedHeaders }, "",
			"Headers of the answer that they may read beside those of the API."),
		entry("server.cors.allow_credentials", boolean(), func(c *Config) *bool { return &c.Server.CORS.AllowCredentials }, "false",
			"They may let the browser send cookies along."),
		entry("server.cors.max_age", durationOrNone(time.Second, 24*time.Hour), func(c *Config) *time.Duration { return &c.Server.CORS.MaxAge }, "2h",
			"How long a browser may remember what it may do. 0 is not at all."),
	}
}

// HeaderOff as the value of a header option leaves the header out.
const HeaderOff = "off"

func headerOptions() []option {
	return []option{
		entry("server.headers.content_security_policy", textKind("text, or off"), func(c *Config) *string { return &c.Server.Headers.ContentSecurityPolicy },
			"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			"`Content-Security-Policy` of every answer."),
		entry("server.headers.frame_options", oneOf("DENY", "SAMEORIGIN", HeaderOff), func(c *Config) *string { return &c.Server.Headers.FrameOptions }, "DENY",
			"`X-Frame-Options`, for browsers that don't know `frame-ancestors`."),
		entry("server.headers.referrer_policy", oneOf("no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin", HeaderOff),
			func(c *Config) *string { return &c.Server.Headers.ReferrerPolicy }, "no-referrer", "`Referrer-Policy`."),
		entry("server.headers.permissions_policy", textKind("text, or off"), func(c *Config) *string { return &c.Server.Headers.PermissionsPolicy },
			"camera=(), display-capture=(), fullscreen=(), geolocation=(), microphone=(), payment=(), usb=()",
			"`Permissions-Policy`."),
		entry("server.headers.cross_origin_opener_policy", oneOf("same-origin", "same-origin-allow-popups", "unsafe-none", HeaderOff),
			func(c *Config) *string { return &c.Server.Headers.CrossOriginOpenerPolicy }, "same-origin", "`Cross-Origin-Opener-Policy`."),
		entry("server.headers.cross_origin_resource_policy", oneOf("same-origin", "same-site", "cross-origin", HeaderOff),
			func(c *Config) *string { return &c.Server.Headers.CrossOriginResourcePolicy }, "same-origin",
			"`Cross-Origin-Resource-Policy`; requests by CORS are not concerned."),
	}
}
