package config

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// postgrestPrefix begins the variables of PostgREST.
const postgrestPrefix = "PGRST_"

// postgrestNames are the variables of PostgREST that name one of our options. Ours go before, be it in the environment
// or in the file.
var postgrestNames = map[string]string{
	"DB_URI":                "database.url",
	"DB_SCHEMAS":            "rest.schemas",
	"DB_SCHEMA":             "rest.schemas",
	"DB_MAX_ROWS":           "rest.max_rows",
	"DB_TX_END":             "rest.tx_end",
	"DB_AGGREGATES_ENABLED": "rest.aggregates",
	"DB_PLAN_ENABLED":       "rest.plan_enabled",
	"DB_EXTRA_SEARCH_PATH":  "rest.extra_search_path",
	"DB_PRE_REQUEST":        "rest.pre_request",
	"DB_POOL":               "database.pool_size",
	"OPENAPI_MODE":          "rest.openapi_mode",
	"SERVER_PORT":           "server.port",
}

// postgrestIssuer are the variables that together make an issuer.
var postgrestIssuer = []string{"JWT_SECRET", "JWT_SECRET_IS_BASE64", "JWT_AUD", "JWT_ROLE_CLAIM_KEY"}

// postgrestFree are variables without a meaning here whose absence nobody would notice.
var postgrestFree = []string{
	"ADMIN_SERVER_PORT", "DB_CHANNEL", "DB_CHANNEL_ENABLED", "DB_CONFIG", "DB_POOL_MAX_LIFETIME", "DB_POOL_MAX_IDLETIME",
	"DB_POOL_AUTOMATIC_RECOVERY", "JWT_CACHE_MAX_ENTRIES", "JWT_CACHE_MAX_LIFETIME", "LOG_LEVEL", "LOG_QUERY", "OPENAPI_SERVER_PROXY_URI",
	"SERVER_TIMING_ENABLED", "SERVER_TRACE_HEADER", "DB_POOL_ACQUISITION_TIMEOUT",
}

const settingsPrefix = "APP_SETTINGS_"

// fromPostgREST is the value that a variable of PostgREST gives an option, when neither the environment nor the file
// names that itself.
func (r *resolver) fromPostgREST(o option) (in *input, source string, faults []fault) {
	for name, key := range postgrestNames {
		text, set := r.variables[postgrestPrefix+name]
		if key != o.Key || !set || text == "" {
			continue
		}
		in, faults := fromText(text, o.shape)
		return &in, postgrestPrefix + name, faults
	}
	if host := r.variables[postgrestPrefix+"SERVER_HOST"]; o.Key == "server.listen" && host != "" {
		if strings.HasPrefix(host, "*") || strings.HasPrefix(host, "!") {
			host = "" // all addresses, of whatever family
		}
		port := r.variables[postgrestPrefix+"SERVER_PORT"]
		if port == "" {
			port = "3000"
		}
		return &input{text: hostPort(host, port)}, postgrestPrefix + "SERVER_HOST", nil
	}
	return nil, "", nil
}

func hostPort(host, port string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]:" + port
	}
	return host + ":" + port
}

// derivePostgREST adds the issuer that PostgREST's secret stands for, and says what else of its configuration is here.
func (r *resolver) derivePostgREST() {
	var names []string
	for name := range r.variables {
		if rest, ours := strings.CutPrefix(name, postgrestPrefix); ours {
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		variable, value := postgrestPrefix+name, r.variables[postgrestPrefix+name]
		refuse := func(message, hint string) {
			r.problems = append(r.problems, Problem{Source: printable(variable), Message: message, Hint: hint})
		}
		setting, isSetting := strings.CutPrefix(name, settingsPrefix)
		switch _, known := postgrestNames[name]; {
		case known, name == "SERVER_HOST", slices.Contains(postgrestIssuer, name), slices.Contains(postgrestFree, name):
		case isSetting:
			r.config.warnings = append(r.config.warnings, fmt.Sprintf(
				"%s is not read: run once, with its value, alter role %s set app.settings.%s = '...'", printable(variable), apiLogin, printable(strings.ToLower(setting))))
		case name == "DB_ANON_ROLE" && value == "anon":
		case name == "DB_ANON_ROLE":
			refuse("must be anon: requests without a token run as the role anon", "give anon what it may do, for example: grant that_role to anon, when that role inherits")
		case name == "DB_PREPARED_STATEMENTS" && value == "false":
			r.config.warnings = append(r.config.warnings, variable+" is not read: set "+variableOf("database.pooler")+"=transaction behind a pooler")
		case name == "DB_PREPARED_STATEMENTS":
		default:
			refuse("is not supported", "unset it, and see docs/trusted-issuers.md")
		}
	}
	if r.variables[postgrestPrefix+"JWT_SECRET"] != "" && r.valid("auth.trusted_issuers") {
		r.addPostgRESTIssuer()
	}
}

// addPostgRESTIssuer makes PGRST_JWT_SECRET an issuer like any other, with PostgREST's own defaults.
func (r *resolver) addPostgRESTIssuer() {
	const variable = postgrestPrefix + "JWT_SECRET"
	refuse := func(message, hint string) {
		r.problems = append(r.problems, Problem{Source: variable, Message: message, Hint: hint})
	}
	secret := r.variables[variable]
	if path, isFile := strings.CutPrefix(secret, "@"); isFile {
		in, faults := r.fromSecretFile(path)
		if len(faults) > 0 {
			refuse(faults[0].err.Error(), "")
			return
		}
		secret = in.text
	}
	if r.variables[postgrestPrefix+"JWT_SECRET_IS_BASE64"] == "true" {
		decoded, err := base64.StdEncoding.DecodeString(strings.NewReplacer("_", "/", "-", "+", ".", "=").Replace(secret))
		if err != nil {
			refuse("is no base64, and PGRST_JWT_SECRET_IS_BASE64 is true", "")
			return
		}
		secret = string(decoded)
	}
	issuer := TrustedIssuer{
		Name: "postgrest", Secret: NewSecret(secret), Audience: r.variables[postgrestPrefix+"JWT_AUD"],
		RoleClaim: r.variables[postgrestPrefix+"JWT_ROLE_CLAIM_KEY"], DefaultRole: "anon", RequiredClaims: []string{}, WithoutSession: true,
	}
	if issuer.RoleClaim != "" {
		if err := checkRoleClaim(issuer.RoleClaim); err != nil {
			r.problems = append(r.problems, Problem{Source: postgrestPrefix + "JWT_ROLE_CLAIM_KEY", Message: err.Error()})
			return
		}
	}
	for _, other := range r.config.Auth.TrustedIssuers {
		if other.Name == issuer.Name || other.Issuer == "" {
			return // the configuration names it itself
		}
	}
	r.config.Auth.TrustedIssuers = append(slices.Clip(r.config.Auth.TrustedIssuers), issuer)
	r.values["auth.trusted_issuers"].Source = variable
}
