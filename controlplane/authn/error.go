package authn

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Error is a refusal as a client sees it. Two values with the same fields give the same bytes.
type Error struct {
	Status  int    // of HTTP
	Code    string // error code of Supabase Auth, or one of ours in the same style
	Message string // for people

	// DataCode is what the data API says in place of Code: the code of PostgREST, where it has one.
	DataCode string
	// Reasons says which rules of the password policy were broken; of weak_password only.
	Reasons []string
	// RetryAfter asks the client to wait, in whole seconds; 0 is no header.
	RetryAfter time.Duration
	// Challenge is the parameter list of WWW-Authenticate: Bearer (RFC 6750 section 3), empty without.
	Challenge string
}

// Error returns code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// The API version from which the code of an error is a text under "code", and its two headers.
const (
	versionHeader = "X-Supabase-Api-Version"
	apiVersion    = "2024-01-01"
)

// errorBody is an error from apiVersion on, legacyBody is one before it.
type (
	errorBody struct {
		Code         string        `json:"code"`
		Message      string        `json:"message"`
		WeakPassword *weakPassword `json:"weak_password,omitempty"`
	}
	legacyBody struct {
		Code         int           `json:"code"`
		ErrorCode    string        `json:"error_code"`
		Message      string        `json:"msg"`
		WeakPassword *weakPassword `json:"weak_password,omitempty"`
	}
	weakPassword struct {
		Reasons []string `json:"reasons"`
	}
)

// Write sends the error in the form that the version of the client's request asks for.
func (e *Error) Write(w http.ResponseWriter, r *http.Request) {
	var weak *weakPassword
	if e.Reasons != nil {
		weak = &weakPassword{Reasons: e.Reasons}
	}
	var body any = legacyBody{Code: e.Status, ErrorCode: e.Code, Message: e.Message, WeakPassword: weak}
	if wantsCodes(r.Header.Get(versionHeader)) {
		w.Header().Set(versionHeader, apiVersion)
		body = errorBody{Code: e.Code, Message: e.Message, WeakPassword: weak}
	}
	e.WriteHeaders(w.Header())
	WriteJSON(w, e.Status, body)
}

// WriteHeaders adds the headers that belong to the error whatever its body looks like.
func (e *Error) WriteHeaders(h http.Header) {
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	if e.Challenge != "" {
		h.Set("WWW-Authenticate", "Bearer "+e.Challenge)
	}
}

// wantsCodes reports whether a version is a date not before apiVersion; dates of this form sort as texts.
func wantsCodes(version string) bool {
	_, err := time.Parse(time.DateOnly, version)
	return err == nil && version >= apiVersion
}

// WriteJSON sends a value of ours as a whole JSON document.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // a value of ours that JSON does not know is a mistake in this program
	}
	writeRaw(w, status, body)
}

// writeRaw sends a document that PostgreSQL or WriteJSON made.
func writeRaw(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away is no error of ours
}

func badRequest(code, message string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: code, Message: message}
}

func unprocessable(code, message string) *Error {
	return &Error{Status: http.StatusUnprocessableEntity, Code: code, Message: message}
}

func notFound(code, message string) *Error {
	return &Error{Status: http.StatusNotFound, Code: code, Message: message}
}

// The refusals that do not depend on the request. Handlers return them as they are, so that equal cases answer equally.
var (
	errInvalidCredentials = badRequest("invalid_credentials", "Invalid login credentials")
	errNoAuthorization    = &Error{Status: http.StatusUnauthorized, Code: "no_authorization",
		Message: "This endpoint requires a Bearer token", Challenge: `realm="fluxbase"`}
	errNotBearer = &Error{Status: http.StatusUnauthorized, Code: "no_authorization",
		Message: "The Authorization header is not of the form Bearer <token>", Challenge: `realm="fluxbase"`, DataCode: "PGRST301"}
	errBadToken = &Error{Status: http.StatusUnauthorized, Code: "bad_jwt",
		Message: "invalid JWT: unable to parse or verify signature", Challenge: `error="invalid_token"`, DataCode: "PGRST301"}
	errExpiredToken = &Error{Status: http.StatusUnauthorized, Code: "bad_jwt",
		Message: "invalid JWT: token is expired", Challenge: `error="invalid_token", error_description="JWT expired"`, DataCode: "PGRST303"}
	errInvalidKey = &Error{Status: http.StatusUnauthorized, Code: "invalid_api_key",
		Message: "The API key is unknown, revoked or expired", Challenge: `error="invalid_token"`}
	errSessionNotFound = &Error{Status: http.StatusUnauthorized, Code: "session_not_found",
		Message: "Session from session_id claim in JWT does not exist", Challenge: `error="invalid_token"`}
	errTokenExpired = &Error{Status: http.StatusForbidden, Code: "otp_expired", Message: "Token has expired or is invalid"}
	errLinkExpired  = &Error{Status: http.StatusForbidden, Code: "otp_expired", Message: "Email link is invalid or has expired"}
	// Not an error for whoever asked: the other address has to agree, too.
	errSingleConfirmation = &Error{Status: http.StatusOK, Code: "single_confirmation",
		Message: "Confirmation link accepted. Please proceed to confirm link sent to the other email"}
	errBanned          = &Error{Status: http.StatusForbidden, Code: "user_banned", Message: "User is banned"}
	errRefreshNotFound = badRequest("refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
	errInsufficientAAL = &Error{Status: http.StatusForbidden, Code: "insufficient_aal",
		Message: "AAL2 required: verify a second factor first"}
	errFactorNotFound = &Error{Status: http.StatusNotFound, Code: "mfa_factor_not_found", Message: "Factor not found"}
	errWrongCode      = unprocessable("mfa_verification_failed", "Invalid code entered")
	errNoSealer       = unprocessable("mfa_totp_enroll_not_enabled",
		"MFA enroll is disabled: the server has no encryption key (auth.encryption_key)")
	errNoSealerVerify = unprocessable("mfa_totp_verify_not_enabled",
		"MFA verify is disabled: the server has no encryption key (auth.encryption_key)")
	errImpersonated = &Error{Status: http.StatusForbidden, Code: "impersonated",
		Message: "Only the user can do this; you act as the user"}
	errBusy = &Error{Status: http.StatusServiceUnavailable, Code: "unexpected_failure",
		Message: "The server is busy, try again", RetryAfter: time.Second}
)

// statusErrors are the failures that entry points return as their status, where one status always means one answer.
var statusErrors = map[string]*Error{
	"invalid_credentials":           errInvalidCredentials,
	"current_password_required":     badRequest("current_password_required", "The current password is required to set a new one"),
	"email_not_confirmed":           badRequest("email_not_confirmed", "Email not confirmed"),
	"signup_disabled":               unprocessable("signup_disabled", "Signups not allowed for this instance"),
	"signup_not_invited":            unprocessable("signup_disabled", "Signups are for invited addresses only"),
	"email_address_not_authorized":  badRequest("email_address_not_authorized", "Email addresses of this domain cannot sign up"),
	"flow_state_not_found":          notFound("flow_state_not_found", "invalid flow state, no valid flow state found"),
	"flow_state_expired":            &Error{Status: http.StatusForbidden, Code: "flow_state_expired", Message: "invalid flow state, flow state has expired"},
	"bad_code_verifier":             badRequest("bad_code_verifier", "code challenge does not match previously saved code verifier"),
	"bad_oauth_state":               errBadState,
	"bad_code_challenge":            badRequest("validation_failed", "code_challenge is not one of the method in code_challenge_method (s256 or plain)"),
	"code_challenge_required":       badRequest("validation_failed", "A code challenge is required here: create the client with flowType 'pkce'"),
	"oauth_email_exists":            unprocessable("email_exists", "A user with this email address exists already: sign in as this user and link the provider there"),
	"identity_already_exists":       unprocessable("identity_already_exists", "Identity is already linked to a user"),
	"identity_not_found":            notFound("identity_not_found", "Identity doesn't exist"),
	"single_identity_not_deletable": unprocessable("single_identity_not_deletable", "User must have at least one more way to sign in"),
	"email_identity_not_deletable":  unprocessable("email_conflict_identity_not_deletable", "The identity of the email address goes with the address"),
	"conflict":                      errBusy,
	"over_email_send_rate_limit": {Status: http.StatusTooManyRequests, Code: "over_email_send_rate_limit",
		Message: "For security purposes, a mail of this kind can be requested again later"},
	"code_challenge_invalid":      badRequest("validation_failed", "code_challenge needs 43 characters of base64url with the method s256, or 43 to 128 with plain"),
	"otp_expired":                 errTokenExpired,
	"code_slowed":                 {Status: http.StatusTooManyRequests, Code: "over_request_rate_limit", Message: "Too many wrong codes, try again later"},
	"verify_type_invalid":         badRequest("validation_failed", "Verify requires a type of signup, magiclink, email, recovery, invite or email_change"),
	"address_not_confirmed":       unprocessable("email_not_confirmed", "A confirmed email address is required for this"),
	"reauthentication_needed":     badRequest("reauthentication_needed", "Password update requires reauthentication"),
	"reauthentication_not_valid":  unprocessable("reauthentication_not_valid", "Nonce has expired or is invalid"),
	"anonymous_provider_disabled": unprocessable("anonymous_provider_disabled", "Anonymous sign-ins are disabled"),
	"anonymous_password":          unprocessable("validation_failed", "Updating password of an anonymous user without an email or phone is not allowed"),
	"single_confirmation":         errSingleConfirmation,
	"user_already_exists":         unprocessable("user_already_exists", "User already registered"),
	"email_exists":                unprocessable("email_exists", "A user with this email address has already been registered"),
	"validation_failed":           badRequest("validation_failed", "Unable to validate email address: invalid format"),
	"refresh_token_not_found":     errRefreshNotFound,
	"refresh_token_already_used":  badRequest("refresh_token_already_used", "Invalid Refresh Token: Already Used"),
	"session_expired":             badRequest("session_expired", "Invalid Refresh Token: Session Expired"),
	"session_not_found":           errSessionNotFound,
	"user_banned":                 badRequest("user_banned", "Invalid Refresh Token: User Banned"),
	"user_not_found":              errSessionNotFound,
	"insufficient_permissions":    {Status: http.StatusForbidden, Code: "insufficient_permissions", Message: "You may not do this"},
	"not_admin":                   {Status: http.StatusForbidden, Code: "not_admin", Message: "User not allowed"},
	"no_such_user":                notFound("user_not_found", "User not found"),
	"no_such_session":             notFound("session_not_found", "No such session"),
	"user_in_use":                 unprocessable("user_in_use", "The user has data that must be deleted first"),
	"user_not_impersonable":       {Status: http.StatusForbidden, Code: "user_not_impersonable", Message: "Nobody acts as this user"},
	"user_role_not_permitted":     badRequest("validation_failed", "The role of a user is authenticated or one in the setting request_roles"),
	"api_key_not_found":           notFound("api_key_not_found", "No such API key"),
	"organization_not_found":      notFound("organization_not_found", "No such organization"),
	"organization_exists":         unprocessable("organization_exists", "An organization with this slug exists already"),
	"organization_in_use":         unprocessable("organization_in_use", "The organization has data that must be deleted first"),
	"member_not_found":            notFound("member_not_found", "No such member"),
	"already_member":              unprocessable("already_member", "The user is a member of the organization already"),
	"last_owner":                  unprocessable("last_owner", "An organization keeps at least one owner"),
	"role_not_found":              unprocessable("role_not_found", "No such role of organizations"),
	"invitation_not_found":        notFound("invitation_not_found", "The invitation does not exist, was used or has expired"),

	"mfa_enroll_not_enabled":        unprocessable("mfa_totp_enroll_not_enabled", "MFA enroll is disabled for TOTP"),
	"insufficient_aal":              errInsufficientAAL,
	"too_many_enrolled_mfa_factors": unprocessable("too_many_enrolled_mfa_factors", "Maximum number of factors reached, unenroll to continue"),
	"mfa_factor_name_conflict":      unprocessable("mfa_factor_name_conflict", "A factor with this friendly name exists already"),
	"mfa_friendly_name_invalid":     badRequest("validation_failed", "A friendly name has 1 to 100 characters"),
	"mfa_factor_not_found":          errFactorNotFound,
	"mfa_challenge_not_found":       &Error{Status: http.StatusNotFound, Code: "mfa_factor_not_found", Message: "MFA factor with the provided challenge ID not found"},
	"mfa_challenge_expired":         unprocessable("mfa_challenge_expired", "MFA challenge has expired or was answered, create a new challenge"),
	"mfa_verification_failed":       errWrongCode,
	"mfa_slowed": &Error{Status: http.StatusTooManyRequests, Code: "over_request_rate_limit",
		Message: "Too many failed codes, try again later"},
	"generation_changed": errBusy,
}
