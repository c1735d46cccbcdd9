package config

import (
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/oauth"
)

// Mode says how much the server may tell and how strict it is.
type Mode string

const (
	Production  Mode = "production"  // the default
	Development Mode = "development" // readable logs, full error texts, listens on the loopback address
)

// Config is the checked configuration. It is made by [Load] or [LoadForInstall] and not changed afterwards.
type Config struct {
	Mode         Mode
	Server       Server
	Database     Database
	Auth         Auth
	REST         REST
	Mail         Mail
	RateLimiting RateLimiting
	Logging      Logging
	Monitoring   Monitoring

	values   []Value
	warnings []string
}

// Server is the HTTP listener and its limits. A timeout of 0 is none.
type Server struct {
	Listen            string // host:port; an empty host is every address of the machine
	Port              int    // the port of Listen
	MetricsListen     string // host:port of the listener for Prometheus; empty without
	PublicURL         string // scheme://host[:port] at which clients reach the server; empty when nobody said it
	ShutdownTimeout   time.Duration
	ReadTimeout       time.Duration
	ReadHeaderTimeout time.Duration
	WriteTimeout      time.Duration
	IdleTimeout       time.Duration
	MaxHeaderBytes    int64
	MaxBodyBytes      int64
	MaxURLBytes       int64

	MaxConnectionsPerAddress int            // 0 = no limit
	TrustedProxies           []netip.Prefix // whose word about a client's address is believed
	AddressHeader            AddressHeader  // where they say it

	Admin   AdminListener
	TLS     TLS
	CORS    CORS
	Headers Headers
}

// AddressHeader is the header in which proxies say whom they speak for.
type AddressHeader string

// The headers that can be named; one of them is read.
const (
	ForwardedForHeader AddressHeader = "X-Forwarded-For"
	ForwardedHeader    AddressHeader = "Forwarded" // RFC 7239
)

// TLSVersion is a version of the protocol.
type TLSVersion string

// The oldest versions that can be asked for (RFC 5246, RFC 8446).
const (
	TLS12 TLSVersion = "1.2"
	TLS13 TLSVersion = "1.3"
)

// TLS is how connections are encrypted.
type TLS struct {
	Enabled           bool
	CertFile          string
	KeyFile           string
	MinVersion        TLSVersion
	TerminatedByProxy bool
	RedirectListen    string // host:port of the listener that redirects; empty without
	RedirectHost      string // host:port to redirect to

	ACME ACME // in place of the files

	HSTSMaxAge            time.Duration // 0 = no header
	HSTSIncludeSubdomains bool
	HSTSPreload           bool
}

// ACME is how certificates come from a CA by themselves. Without hosts they do not.
type ACME struct {
	Hosts        []string
	CacheDir     string
	Email        string
	DirectoryURL string // of the CA; empty is Let's Encrypt
	CAFile       string // certificates of those who vouch for the directory; empty is the machine's
}

// AdminListener is where administration and metrics are, for clients with a certificate alone.
type AdminListener struct {
	Listen       string // host:port; empty for none: administration is where everything is
	CertFile     string
	KeyFile      string
	ClientCAFile string // who signs the certificates of clients
}

// CORS is what pages of other origins may do.
type CORS struct {
	AllowedOrigins   []string // scheme://host[:port], as browsers write it
	AllowedHeaders   []string // beside those that are always allowed
	ExposedHeaders   []string // beside those that are always exposed
	AllowCredentials bool
	MaxAge           time.Duration
}

// Headers are the values of the headers that protect browsers; [HeaderOff] leaves one out.
type Headers struct {
	ContentSecurityPolicy     string
	FrameOptions              string
	ReferrerPolicy            string
	PermissionsPolicy         string
	CrossOriginOpenerPolicy   string
	CrossOriginResourcePolicy string
}

// Pooler is what stands between the server and PostgreSQL.
type Pooler string

const (
	NoPooler          Pooler = "none"        // sessions are ours: statements stay prepared
	TransactionPooler Pooler = "transaction" // PgBouncer and the like: unnamed statements only
)

// Database is how the server and the installer reach PostgreSQL.
type Database struct {
	URL         URL // the data login, fluxbase_api
	ServiceURL  URL // fluxbase_service
	ServerURL   URL // fluxbase_server
	DirectURL   URL // the installing user, past any pooler
	Pooler      Pooler
	PoolSize    int           // as configured; see Connections
	PoolTimeout time.Duration // how long a request waits for a free connection
}

// Connections is the size of the data pool: PoolSize or, when that is 0, four for each processor that this
// process may use.
func (d Database) Connections() int {
	if d.PoolSize > 0 {
		return d.PoolSize
	}
	return 4 * runtime.GOMAXPROCS(0)
}

// Auth is what tokens and passwords look like. The fields that [Config.DatabaseSettings] lists are settings of the
// database: the server reads them there and not here.
type Auth struct {
	JWTSecret                Secret
	EncryptionKey            Secret // of package seal; not set = nothing can be sealed
	EncryptionKeyPrevious    Secret
	SiteURL                  string   // where a browser goes when nobody says where; empty without
	InvitationURL            string   // where mailed invitations into organizations lead; empty for the site
	RedirectURLs             []string // where else it may go; see package redirect
	Providers                []Provider
	Captcha                  Captcha
	BreachedPasswords        string // directory; empty without
	JWTIssuer                string
	JWTAudience              string
	TrustedIssuers           []TrustedIssuer
	AccessTokenLifetime      time.Duration
	ClockLeeway              time.Duration
	PasswordMinLength        int
	PasswordRequireUppercase bool
	PasswordRequireLowercase bool
	PasswordRequireNumber    bool
	PasswordRequireSpecial   bool
	PasswordBcryptCost       int
}

// Provider is an identity provider; see package oauth.
type Provider struct {
	Name             string `json:"name"`
	ClientID         string `json:"client_id"`
	ClientSecret     Secret `json:"client_secret,omitzero"`
	ClientSecretFile string `json:"client_secret_file,omitempty"` // where ClientSecret was read
	Issuer           string `json:"issuer,omitempty"`
	Scopes           string `json:"scopes,omitempty"`    // separated by spaces
	Audiences        string `json:"audiences,omitempty"` // separated by spaces
	TrustEmail       bool   `json:"trust_email,omitempty"`
}

// OAuth is the provider as package oauth takes it.
func (p Provider) OAuth() oauth.Config {
	return oauth.Config{Name: p.Name, ClientID: p.ClientID, ClientSecret: p.ClientSecret.Reveal(), Issuer: p.Issuer,
		Scopes: strings.Fields(p.Scopes), Audiences: strings.Fields(p.Audiences), TrustEmail: p.TrustEmail}
}

// TrustedIssuer is somebody else whose tokens the data API accepts. One of JWKSURL and Secret is set.
type TrustedIssuer struct {
	Name           string   `json:"name"`
	Issuer         string   `json:"issuer,omitempty"` // claim iss; empty = the tokens have none
	JWKSURL        string   `json:"jwks_url,omitempty"`
	Secret         Secret   `json:"secret,omitzero"` // a shared secret, or a JWK or JWK set
	SecretFile     string   `json:"secret_file,omitempty"`
	Algorithms     []string `json:"algorithms,omitempty"`
	Audience       string   `json:"audience,omitempty"`
	RoleClaim      string   `json:"role_claim,omitempty"`
	DefaultRole    string   `json:"default_role,omitempty"`
	AllowedRoles   []string `json:"allowed_roles,omitempty"`
	RequiredClaims []string `json:"required_claims,omitempty"`
	SubjectIsUser  bool     `json:"subject_is_user,omitempty"`
	WithoutSession bool     `json:"without_session,omitempty"`
}

// ErrorDetail is how much of PostgreSQL's error text a client of the data API sees.
type ErrorDetail string

const (
	FullDetail    ErrorDetail = "full"    // message, details and hint
	MessageDetail ErrorDetail = "message" // code and message
	CodeDetail    ErrorDetail = "code"    // code alone
)

// REST is what the data API exposes.
type REST struct {
	Schemas          []string
	ExtraSearchPath  []string // searched behind the schema of a request, and not exposed
	MaxRows          int64    // 0 = no limit
	ErrorDetail      ErrorDetail
	MaxBulkBytes     int64 // 0 = no bulk inserts
	Compression      bool
	ETag             bool
	Aggregates       bool // clients may use aggregate functions
	TxEnd            string
	OpenAPIMode      string
	PlanEnabled      bool
	PreRequest       string
	MaxCost          int64         // 0 = no limit
	StatementTimeout time.Duration // 0 = the default of the login
}

// MailTLSMode is how the connection to the SMTP server is encrypted.
type MailTLSMode string

// How a connection begins.
const (
	MailStartTLS MailTLSMode = "starttls" // plain, and encrypted before anything is sent (RFC 3207)
	MailTLS      MailTLSMode = "tls"      // encrypted (RFC 8314)
	MailPlain    MailTLSMode = "none"     // and stays plain
)

// MailLinks is what opening a mailed link does.
type MailLinks string

const (
	ConfirmPage MailLinks = "confirm_page" // shows a page whose button uses the link
	DirectLinks MailLinks = "direct"       // uses the link
)

// Mail is how mails go out; without Host they don't.
type Mail struct {
	Host     string
	Port     int
	TLS      MailTLSMode
	User     string
	Password Secret
	From     string
	Timeout  time.Duration
	Links    MailLinks
}

// CaptchaProvider is whose CAPTCHA is asked for.
type CaptchaProvider string

// NoCaptcha asks for none.
const NoCaptcha CaptchaProvider = "none"

// Captcha is how people are told from programs.
type Captcha struct {
	Provider CaptchaProvider
	Secret   Secret
	URL      string // where the provider answers; empty is its usual address
}

// StoreFailure is what becomes of requests that cannot be counted.
type StoreFailure string

// What is refused then.
const (
	RefuseSensitive StoreFailure = "refuse_sensitive" // requests under durable rules
	RefuseAll       StoreFailure = "refuse"           // requests under any rule that is enforced
	PassAll         StoreFailure = "pass"             // none
)

// RateLimiting is the volume limits of the HTTP server; a limit of 0 is none.
type RateLimiting struct {
	Enabled      bool
	PerMinute    int64
	PerHour      int64
	Endpoints    []EndpointLimit
	RedisURL     Secret // not set = counted in PostgreSQL
	StoreFailure StoreFailure
}

// EndpointLimit is a limit of its own for one path.
type EndpointLimit struct {
	Path      string `json:"path"`
	Method    string `json:"method,omitempty"` // empty = every method
	PerMinute int64  `json:"per_minute,omitempty"`
	PerHour   int64  `json:"per_hour,omitempty"`
}

// Logging is the server's log and the copy of the audit log in a file.
type Logging struct {
	Level        slog.Level
	Format       string // json or text
	AuditEnabled bool
	AuditLogFile string
}

// Monitoring is the alert rules of the configuration.
type Monitoring struct {
	Alerts []Alert
}

// Alert is one rule: when Condition holds, Action is taken.
type Alert struct {
	Name      string `json:"name"`
	Condition string `json:"condition"`
	Action    string `json:"action"`
}
