package config

import (
	"log/slog"
	"net/netip"
	"time"
)

// Options lists every configuration key, in the order of the reference.
func Options() []Option {
	table := options()
	list := make([]Option, len(table))
	for i, o := range table {
		list[i] = o.Option
	}
	return list
}

// The logins that schema/roles.sql creates.
const (
	apiLogin     = "fluxbase_api"
	serviceLogin = "fluxbase_service"
	serverLogin  = "fluxbase_server"
)

// options is the table from which all of this package derives. The mode comes first, as defaults depend on it.
func options() []option {
	table := []option{
		entry("mode", oneOf(Production, Development), func(c *Config) *Mode { return &c.Mode }, "production",
			"Strictness as a whole. `development` changes the defaults that say so below and lets a database password be the name of its user."),
	}
	for _, section := range [][]option{
		serverOptions(), tlsOptions(), adminOptions(), corsOptions(), headerOptions(), databaseOptions(), authOptions(), restOptions(), mailOptions(), rateLimitingOptions(), loggingOptions(), monitoringOptions(),
	} {
		table = append(table, section...)
	}
	return table
}

func serverOptions() []option {
	const day = 24 * time.Hour
	return []option{
		entry("server.listen", address(), func(c *Config) *string { return &c.Server.Listen }, ":8080",
			"Where the server listens. An empty host is every address of the machine, port 0 a free port.",
			inDevelopment("127.0.0.1:8080")),
		entry("server.port", integer(1, 65535), func(c *Config) *int { return &c.Server.Port }, "",
			"The port alone; the host stays that of `server.listen`. It may not contradict a port set there."),
		entry("server.public_url", publicURL(), func(c *Config) *string { return &c.Server.PublicURL }, "",
			"Where clients reach the server, `https://api.example.com`: the beginning of links to it that are mailed or given to providers. In development that of `server.listen`.", setting("public_url"), always),
		entry("server.metrics_listen", address(), func(c *Config) *string { return &c.Server.MetricsListen }, "",
			"Where a listener of its own answers `GET /metrics` for Prometheus, by plain HTTP: keep it inside."),
		entry("server.shutdown_timeout", duration(time.Second, time.Hour), func(c *Config) *time.Duration { return &c.Server.ShutdownTimeout }, "25s",
			"How long requests in flight may take to finish after a signal to stop."),
		entry("server.read_timeout", durationOrNone(time.Second, day), func(c *Config) *time.Duration { return &c.Server.ReadTimeout }, "30s",
			"Time to read a whole request. 0 is no limit."),
		entry("server.read_header_timeout", duration(time.Second, time.Hour), func(c *Config) *time.Duration { return &c.Server.ReadHeaderTimeout }, "10s",
			"Time to read the headers of a request."),
		entry("server.write_timeout", durationOrNone(time.Second, day), func(c *Config) *time.Duration { return &c.Server.WriteTimeout }, "1m",
			"Time from the end of the request's headers to the end of the answer. 0 is no limit."),
		entry("server.idle_timeout", duration(time.Second, day), func(c *Config) *time.Duration { return &c.Server.IdleTimeout }, "2m",
			"How long a connection may wait for its next request."),
		entry("server.max_header_bytes", size(4<<10, 1<<20), func(c *Config) *int64 { return &c.Server.MaxHeaderBytes }, "32kB",
			"Largest header of a request."),
		entry("server.max_body_bytes", size(1<<10, 1<<30), func(c *Config) *int64 { return &c.Server.MaxBodyBytes }, "10MB",
			"Largest body of a request; of a bulk insert (`rest.max_bulk_bytes`), of each row."),
		entry("server.max_url_bytes", size(1<<10, 64<<10), func(c *Config) *int64 { return &c.Server.MaxURLBytes }, "16kB",
			"Longest path and query of a request."),
		entry("server.max_connections_per_address", integer(0, 1_000_000), func(c *Config) *int { return &c.Server.MaxConnectionsPerAddress }, "1000",
			"Most connections of one address at a time, IPv6 by /64; trusted proxies are not counted. 0 is no limit."),
		entry("server.trusted_proxies", networks(), func(c *Config) *[]netip.Prefix { return &c.Server.TrustedProxies }, "",
			"Addresses and networks whose word about the client's address is believed. Without any, it is that of the connection."),
		entry("server.trusted_proxy_header", oneOf(ForwardedForHeader, ForwardedHeader), func(c *Config) *AddressHeader { return &c.Server.AddressHeader },
			"X-Forwarded-For", "The header in which they say it; the other one is not read."),
	}
}

func databaseOptions() []option {
	return []option{
		entry("database.url", connection(), func(c *Config) *URL { return &c.Database.URL }, "",
			"The database and the login for data requests; without a user in it, `"+apiLogin+"`. Needed to serve.", secret),
		entry("database.service_url", connection(), func(c *Config) *URL { return &c.Database.ServiceURL }, "",
			"The same for requests with a service key. Default: `database.url` with user `"+serviceLogin+"` and no password.", secret),
		entry("database.server_url", connection(), func(c *Config) *URL { return &c.Database.ServerURL }, "",
			"The same for the server itself. Default: `database.url` with user `"+serverLogin+"` and no password.", secret),
		entry("database.direct_url", connection(), func(c *Config) *URL { return &c.Database.DirectURL }, "",
			"The installing user, past any pooler. Default: `database.url` without user and password, so that `PGUSER`, `PGPASSWORD` and `~/.pgpass` decide.", secret),
		entry("database.pooler", oneOf(NoPooler, TransactionPooler), func(c *Config) *Pooler { return &c.Database.Pooler }, "none",
			"`transaction` when PgBouncer or another pooler in transaction mode stands before PostgreSQL."),
		entry("database.pool_size", integer(0, 10000), func(c *Config) *int { return &c.Database.PoolSize }, "0",
			"Connections of the data pool. 0 is four for each processor."),
		entry("database.pool_timeout", duration(10*time.Millisecond, time.Minute), func(c *Config) *time.Duration { return &c.Database.PoolTimeout }, "2s",
			"How long a request waits for a free connection before it is answered 503."),
	}
}

func authOptions() []option {
	return []option{
		entry("auth.jwt_secret", signingSecret(), func(c *Config) *Secret { return &c.Auth.JWTSecret }, "",
			"Signs access tokens (HS256). Needed to serve; make one with `openssl rand -base64 48`.", secret),
		entry("auth.encryption_key", signingSecret(), func(c *Config) *Secret { return &c.Auth.EncryptionKey }, "",
			"Encrypts what must be stored readable, such as the secrets of second factors. Without it nobody can enrol one. Keep a copy apart from the database's backups.", secret),
		entry("auth.encryption_key_previous", signingSecret(), func(c *Config) *Secret { return &c.Auth.EncryptionKeyPrevious }, "",
			"The key before, while it is being replaced: what it has encrypted stays readable and is encrypted anew when it is used.", secret),
		entry("auth.site_url", siteURL(), func(c *Config) *string { return &c.Auth.SiteURL }, "",
			"Your application: where browsers go after a sign-in or from a mailed link when nobody says where. Every page of it may be named as the target.",
			inDevelopment("http://localhost:3000"), setting("site_url"), always),
		entry("auth.redirect_urls", redirectURLs(), func(c *Config) *[]string { return &c.Auth.RedirectURLs }, "",
			"Where else they may go: `https://app.example.com/welcome` is one page, `https://app.example.com/**` all of it, `com.example.app://signed-in` an app. Hosts have no patterns.",
			inDevelopment("http://localhost:5173/**,http://127.0.0.1:3000/**,http://127.0.0.1:5173/**")),
		entry("auth.invitation_url", siteURL(), func(c *Config) *string { return &c.Auth.InvitationURL }, "",
			"Your page where mailed invitations into organizations are accepted. Without it they lead to `auth.site_url`.", setting("organization_invitation_url"), always),
		entry("auth.providers", providers(), func(c *Config) *[]Provider { return &c.Auth.Providers }, "",
			"Who may sign people in: `google`, `github`, `facebook`, `microsoft`, `apple`, `gitlab`, `discord`, and any issuer of OpenID Connect under a name of your choice. "+
				"Needs `auth.encryption_key` and `server.public_url`. [oauth.md](oauth.md) explains the fields."),
		entry("auth.captcha.provider", oneOf[CaptchaProvider](NoCaptcha, "hcaptcha", "turnstile"), func(c *Config) *CaptchaProvider { return &c.Auth.Captcha.Provider }, "none",
			"Ask for a CAPTCHA of this provider at sign-up, at password logins, and where a mail is asked for."),
		entry("auth.captcha.secret", secretText(), func(c *Config) *Secret { return &c.Auth.Captcha.Secret }, "",
			"The secret that the provider gave you.", secret),
		entry("auth.captcha.url", textKind("URL"), func(c *Config) *string { return &c.Auth.Captcha.URL }, "",
			"Where the provider answers, if not at its usual address."),
		entry("auth.breached_passwords", textKind("path"), func(c *Config) *string { return &c.Auth.BreachedPasswords }, "",
			"Directory of the ranges of Pwned Passwords, `21BD1.txt` and the like: new passwords that are in them are refused. No password leaves the machine."),
		entry("auth.jwt_issuer", textKind("text"), func(c *Config) *string { return &c.Auth.JWTIssuer }, "fluxbase",
			"`iss` of our tokens; a token with another one is refused."),
		entry("auth.jwt_audience", textKind("text"), func(c *Config) *string { return &c.Auth.JWTAudience }, "authenticated",
			"`aud` of our tokens; a token with another one is refused."),
		entry("auth.trusted_issuers", trustedIssuers(), func(c *Config) *[]TrustedIssuer { return &c.Auth.TrustedIssuers }, "",
			"Others whose tokens the data API accepts; [trusted-issuers.md](trusted-issuers.md) explains the fields."),
		entry("auth.access_token_lifetime", duration(time.Minute, 24*time.Hour), func(c *Config) *time.Duration { return &c.Auth.AccessTokenLifetime }, "15m",
			"How long an access token is good.", setting("access_token_lifetime")),
		entry("auth.clock_leeway", durationOrNone(time.Second, time.Minute), func(c *Config) *time.Duration { return &c.Auth.ClockLeeway }, "10s",
			"How far the clocks of two servers may differ when the times in a token are checked."),
		entry("auth.password_min_length", integer(8, 72), func(c *Config) *int { return &c.Auth.PasswordMinLength }, "12",
			"Least number of characters of a password.", setting("password_min_length")),
		entry("auth.password_require_uppercase", boolean(), func(c *Config) *bool { return &c.Auth.PasswordRequireUppercase }, "false",
			"A password needs an upper-case letter.", setting("password_require_uppercase")),
		entry("auth.password_require_lowercase", boolean(), func(c *Config) *bool { return &c.Auth.PasswordRequireLowercase }, "false",
			"A password needs a lower-case letter.", setting("password_require_lowercase")),
		entry("auth.password_require_number", boolean(), func(c *Config) *bool { return &c.Auth.PasswordRequireNumber }, "false",
			"A password needs a digit.", setting("password_require_number")),
		entry("auth.password_require_special", boolean(), func(c *Config) *bool { return &c.Auth.PasswordRequireSpecial }, "false",
			"A password needs a character that is neither letter nor digit.", setting("password_require_special")),
		entry("auth.password_bcrypt_cost", integer(10, 14), func(c *Config) *int { return &c.Auth.PasswordBcryptCost }, "10",
			"Work factor of password hashes; each step doubles it. A hash of a lower cost is renewed at login.", setting("password_bcrypt_cost")),
	}
}

func restOptions() []option {
	return []option{
		entry("rest.schemas", schemas(), func(c *Config) *[]string { return &c.REST.Schemas }, "public",
			"Schemas that the data API exposes; the first is the default one. `tenant_*` stands for those that `auth.create_tenant_schema()` made."),
		entry("rest.extra_search_path", searchPath(), func(c *Config) *[]string { return &c.REST.ExtraSearchPath }, "public",
			"Schemas that SQL is looked up in behind the one of the request: for operators, types and functions that are not exposed. Empty is none."),
		entry("rest.max_rows", integer[int64](0, 1<<31-1), func(c *Config) *int64 { return &c.REST.MaxRows }, "1000",
			"Most rows of one answer. 0 is no limit."),
		entry("rest.error_detail", oneOf(FullDetail, MessageDetail, CodeDetail), func(c *Config) *ErrorDetail { return &c.REST.ErrorDetail }, "message",
			"How much of PostgreSQL's error text a client sees.", inDevelopment("full")),
		entry("rest.max_bulk_bytes", size(0, 8<<30), func(c *Config) *int64 { return &c.REST.MaxBulkBytes }, "64MB",
			"Largest body of an insert of JSON or CSV. Beyond 1MB it waits in a temporary file (TMPDIR) and is inserted in chunks of one transaction. 0 leaves inserts to `server.max_body_bytes`."),
		entry("rest.compression", boolean(), func(c *Config) *bool { return &c.REST.Compression }, "true",
			"Answers from 4kB on are compressed with gzip for clients that accept it. Off where a proxy does it."),
		entry("rest.etag", boolean(), func(c *Config) *bool { return &c.REST.ETag }, "true",
			"Answers to reads from 4kB on have an `ETag`, and a client that sends it in `If-None-Match` is told 304 while nothing has changed."),
		entry("rest.aggregates", boolean(), func(c *Config) *bool { return &c.REST.Aggregates }, "false",
			"Clients may use count(), sum(), avg(), min() and max() in `select`."),
		entry("rest.tx_end", oneOf("commit", "commit-allow-override", "rollback", "rollback-allow-override"), func(c *Config) *string { return &c.REST.TxEnd }, "commit",
			"Whether what a data request does is kept; with allow-override a client may decide by Prefer: tx=commit or tx=rollback."),
		entry("rest.openapi_mode", oneOf("follow-privileges", "ignore-privileges", "disabled"), func(c *Config) *string { return &c.REST.OpenAPIMode }, "follow-privileges",
			"What the description at the root of the data API tells: what the caller may use, everything, or nothing."),
		entry("rest.max_cost", integer[int64](0, 1<<53), func(c *Config) *int64 { return &c.REST.MaxCost }, "0",
			"Highest cost, as PostgreSQL estimates it, of the statement of a data request; beyond it the request is refused. 0 is no limit."),
		entry("rest.pre_request", textKind("name of a function"), func(c *Config) *string { return &c.REST.PreRequest }, "",
			"Function without arguments that is called before every data request, as its role: schema.function, or one of the schema public."),
		entry("rest.plan_enabled", boolean(), func(c *Config) *bool { return &c.REST.PlanEnabled }, "false",
			"Whether clients may ask for plans of statements. They tell of rows that the caller may not see: not for production."),
		entry("rest.statement_timeout", durationOrNone(time.Millisecond, 24*time.Hour), func(c *Config) *time.Duration { return &c.REST.StatementTimeout }, "0",
			"Longest statement of a data request; a role's own `statement_timeout` (`alter role ... set`) may be shorter. 0 is that of the role, else of the database login."),
	}
}

func rateLimitingOptions() []option {
	return []option{
		entry("rate_limiting.enabled", boolean(), func(c *Config) *bool { return &c.RateLimiting.Enabled }, "true",
			"Limit how often a client may call: by the rules of `ratelimit.rules`, and the ones here.", inDevelopment("false")),
		entry("rate_limiting.per_minute", integer[int64](0, maxLimit), func(c *Config) *int64 { return &c.RateLimiting.PerMinute }, "0",
			"Requests a minute of one client: user or organization, with all API keys of theirs, else other API key, else address. 0 is no limit."),
		entry("rate_limiting.per_hour", integer[int64](0, maxLimit), func(c *Config) *int64 { return &c.RateLimiting.PerHour }, "0",
			"The same for an hour."),
		entry("rate_limiting.endpoints", endpointLimits(), func(c *Config) *[]EndpointLimit { return &c.RateLimiting.Endpoints }, "",
			"Limits of their own for single paths; without `method` for every method."),
		entry("rate_limiting.redis_url", redisURL(), func(c *Config) *Secret { return &c.RateLimiting.RedisURL }, "",
			"Count in this Redis, `redis://user:password@host:6379/0`, or `rediss://` for TLS. Without it PostgreSQL counts.", secret),
		entry("rate_limiting.store_failure", oneOf(RefuseSensitive, RefuseAll, PassAll), func(c *Config) *StoreFailure { return &c.RateLimiting.StoreFailure }, "refuse_sensitive",
			"What becomes of requests that cannot be counted: those under the rules of authentication are refused, or all, or none."),
	}
}

func loggingOptions() []option {
	return []option{
		entry("logging.level", logLevel(), func(c *Config) *slog.Level { return &c.Logging.Level }, "info",
			"Least severity that is logged."),
		entry("logging.format", oneOf("json", "text"), func(c *Config) *string { return &c.Logging.Format }, "json",
			"Form of the log.", inDevelopment("text")),
		entry("logging.audit_enabled", boolean(), func(c *Config) *bool { return &c.Logging.AuditEnabled }, "true",
			"Write the audit log. It is always written to `audit.log` in the database, whatever stands here.", pending),
		entry("logging.audit_log_file", textKind("path"), func(c *Config) *string { return &c.Logging.AuditLogFile }, "",
			"Also append the audit log to this file, one JSON object a line.", pending),
	}
}

func monitoringOptions() []option {
	return []option{
		entry("monitoring.alerts", alerts(), func(c *Config) *[]Alert { return &c.Monitoring.Alerts }, "",
			"Alert rules; `condition` like `failed_logins > 10 in 5m`, `action` one of `notify_admin`, `rate_limit`, `block`.", pending),
	}
}
