package authn

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// The entry points that this package calls. Each returns jsonb with a status.
const (
	sqlAPIKey      = `select fluxbase.api_key(p_key_hash => $1)`
	sqlLoginBegin  = `select fluxbase.login_begin(p_email => $1)`
	sqlLoginFinish = `select fluxbase.login_finish(p_email => $1, p_user_id => $2, p_encrypted_password => $3, p_matched => $4,` +
		` p_new_hash => $5, p_session_id => $6, p_refresh_hash => $7, p_jti => $8, p_user_agent => $9)`
	sqlSignup = `select fluxbase.signup(p_email => $1, p_encrypted_password => $2, p_user_metadata => $3, p_redirect_to => $4,` +
		` p_code_challenge => $5, p_code_challenge_method => $6, p_session_id => $7, p_refresh_hash => $8, p_jti => $9, p_user_agent => $10)`
	sqlSignupAnonymous = `select fluxbase.signup_anonymous(p_user_metadata => $1, p_session_id => $2, p_refresh_hash => $3, p_jti => $4,` +
		` p_user_agent => $5)`
	sqlMailRequest = `select fluxbase.mail_request(p_kind => $1, p_email => $2, p_redirect_to => $3, p_create_user => $4,` +
		` p_user_metadata => $5, p_code_challenge => $6, p_code_challenge_method => $7)`
	sqlVerify = `select fluxbase.verify(p_type => $1, p_token_hash => $2, p_email => $3, p_code_hash => $4, p_auth_code_hash => $5,` +
		` p_session_id => $6, p_refresh_hash => $7, p_jti => $8, p_user_agent => $9)`
	sqlReauthenticate    = `select fluxbase.reauthenticate()`
	sqlAdminInvite       = `select fluxbase.admin_invite(p_email => $1, p_user_metadata => $2, p_redirect_to => $3)`
	sqlAdminGenerateLink = `select fluxbase.admin_generate_link(p_type => $1, p_email => $2, p_new_email => $3, p_encrypted_password => $4,` +
		` p_user_metadata => $5, p_redirect_to => $6, p_token_id => $7, p_token_hash => $8, p_code_hash => $9)`
	sqlRefresh = `select fluxbase.refresh(p_session_id => $1, p_generation => $2, p_token_hash => $3,` +
		` p_child_hash => $4, p_jti => $5)`
	sqlFlowExchange = `select fluxbase.flow_exchange(p_code_hash => $1, p_challenge => $2, p_session_id => $3, p_refresh_hash => $4,` +
		` p_jti => $5, p_user_agent => $6)`
	sqlLogout       = `select fluxbase.logout(p_scope => $1, p_token_expires_at => $2)`
	sqlUser         = `select fluxbase.user()`
	sqlUserPassword = `select fluxbase.user_password()`
	sqlUserUpdate   = `select fluxbase.user_update(p_email => $1, p_encrypted_password => $2, p_user_metadata => $3,` +
		` p_current_hash => $4, p_current_matched => $5, p_nonce_hash => $6, p_redirect_to => $7, p_code_challenge => $8,` +
		` p_code_challenge_method => $9)`
	sqlSessions      = `select fluxbase.sessions()`
	sqlSessionRevoke = `select fluxbase.session_revoke(p_session_id => $1)`

	sqlOAuthBegin = `select fluxbase.oauth_begin(p_provider => $1, p_state_hash => $2, p_browser_hash => $3, p_sealed => $4,` +
		` p_redirect_to => $5, p_code_challenge => $6, p_code_challenge_method => $7)`
	sqlOAuthLinkBegin = `select fluxbase.oauth_link_begin(p_provider => $1, p_ticket_hash => $2, p_redirect_to => $3,` +
		` p_code_challenge => $4, p_code_challenge_method => $5)`
	sqlOAuthLinkBind = `select fluxbase.oauth_link_bind(p_ticket_hash => $1, p_provider => $2, p_state_hash => $3, p_browser_hash => $4, p_sealed => $5)`
	sqlOAuthConsume  = `select fluxbase.oauth_consume(p_state_hash => $1, p_browser_hash => $2)`
	sqlOAuthFail     = `select fluxbase.oauth_fail(p_flow_id => $1, p_reason => $2)`
	sqlOAuthFinish   = `select fluxbase.oauth_finish(p_flow_id => $1, p_provider => $2, p_provider_id => $3, p_email => $4, p_email_verified => $5,` +
		` p_data => $6, p_code_hash => $7, p_provider_tokens => $8, p_session_id => $9, p_refresh_hash => $10, p_jti => $11, p_user_agent => $12)`
	sqlOAuthIDToken = `select fluxbase.oauth_id_token(p_provider => $1, p_provider_id => $2, p_email => $3, p_email_verified => $4, p_data => $5,` +
		` p_link => $6, p_session_id => $7, p_refresh_hash => $8, p_jti => $9, p_user_agent => $10)`
	sqlIdentities     = `select fluxbase.identities()`
	sqlIdentityUnlink = `select fluxbase.identity_unlink(p_identity_id => $1, p_enabled => $2)`

	sqlFactors            = `select fluxbase.factors()`
	sqlFactorEnroll       = `select fluxbase.factor_enroll(p_factor_id => $1, p_factor_type => $2, p_friendly_name => $3, p_secret => $4)`
	sqlFactorChallenge    = `select fluxbase.factor_challenge(p_factor_id => $1)`
	sqlFactorVerifyBegin  = `select fluxbase.factor_verify_begin(p_factor_id => $1, p_challenge_id => $2)`
	sqlFactorVerifyFinish = `select fluxbase.factor_verify_finish(p_factor_id => $1, p_challenge_id => $2, p_step => $3,` +
		` p_secret => $4, p_new_secret => $5, p_generation => $6, p_refresh_hash => $7, p_jti => $8)`
	sqlFactorUnenroll       = `select fluxbase.factor_unenroll(p_factor_id => $1)`
	sqlRecoveryCodes        = `select fluxbase.recovery_codes()`
	sqlRecoveryCodesReplace = `select fluxbase.recovery_codes_replace(p_code_hashes => $1)`
	sqlRecoveryVerifyBegin  = `select fluxbase.recovery_verify_begin()`
	sqlRecoveryVerifyFinish = `select fluxbase.recovery_verify_finish(p_code_hash => $1, p_generation => $2, p_refresh_hash => $3, p_jti => $4)`
)

// answer is what entry points return; each fills in its own part.
type answer struct {
	Status            string          `json:"status"`
	UserID            uuid.UUID       `json:"user_id"`
	EncryptedPassword string          `json:"encrypted_password"`
	Session           *session        `json:"session"`
	User              json.RawMessage `json:"user"`
	Sessions          json.RawMessage `json:"sessions"`
	Result            json.RawMessage `json:"result"` // what the answer to the client is, as it is
	Total             int64           `json:"total"`  // of all pages
	Code              bool            `json:"code"`   // a flow has got its code

	Link       string `json:"link"` // with the mark in the token's place
	TokenMark  string `json:"token_mark"`
	RedirectTo string `json:"redirect_to"`

	Flow           *flow  `json:"flow"`
	Lifetime       int64  `json:"lifetime"`        // seconds
	ProviderTokens string `json:"provider_tokens"` // sealed
	HandOver       bool   `json:"hand_over"`       // the tokens of the provider

	Factors       json.RawMessage `json:"factors"`
	Factor        *factor         `json:"factor"`
	Account       string          `json:"account"`
	Challenge     json.RawMessage `json:"challenge"`
	Secret        string          `json:"secret"`      // sealed
	Generation    int64           `json:"generation"`  // of the session's refresh token
	RetryAfter    int64           `json:"retry_after"` // seconds
	Seconds       int64           `json:"seconds"`     // that a token may live
	ReadOnly      bool            `json:"read_only"`
	RecoveryCodes json.RawMessage `json:"recovery_codes"`
}

// session is a session that was just issued or refreshed.
type session struct {
	ID         uuid.UUID       `json:"session_id"`
	Generation int64           `json:"generation"`
	JTI        uuid.UUID       `json:"jti"`
	Claims     json.RawMessage `json:"claims"`
	User       json.RawMessage `json:"user"`
}

// factor is a second factor that was just enrolled.
type factor struct {
	ID           uuid.UUID `json:"id"`
	Type         string    `json:"factor_type"`
	FriendlyName string    `json:"friendly_name"`
}

const statusOK = "ok"

// readAnswer decodes an answer. A status other than ok comes back as an error: the refusal that it stands for, or,
// when it stands for none, one for the log.
func readAnswer(text []byte) (*answer, error) {
	a := new(answer)
	if err := json.Unmarshal(text, a); err != nil {
		return nil, fmt.Errorf("unexpected answer of an entry point: %w", err)
	}
	if a.Status == statusOK {
		return a, nil
	}
	if refusal, ok := statusErrors[a.Status]; ok {
		return a, refusal
	}
	return a, fmt.Errorf("unexpected status %q of an entry point", a.Status)
}

// The arguments of entry points, in PostgreSQL's text format.

func byteaArg(b []byte) []byte { return hex.AppendEncode([]byte(`\x`), b) }

func uuidArg(id uuid.UUID) []byte { return []byte(id.String()) }

func boolArg(b bool) []byte { return strconv.AppendBool(nil, b) }

func intArg(n int64) []byte { return strconv.AppendInt(nil, n, 10) }

func timeArg(unix int64) []byte { return time.Unix(unix, 0).UTC().AppendFormat(nil, time.RFC3339) }

// optionalArg is NULL for the empty string.
func optionalArg(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

// printableArg is for texts that no decoder has checked: headers. What PostgreSQL cannot store is left out.
func printableArg(s string) []byte {
	return optionalArg(strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", ""))
}
