package authn

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/password"
	"github.com/wayli-app/fluxbase/controlplane/seal"
	"github.com/wayli-app/fluxbase/controlplane/token"
)

// Signer makes access tokens; [token.Signer] is one.
type Signer interface {
	Sign(claims []byte, jti uuid.UUID, lifetime time.Duration) (text string, expiresAt int64, err error)
}

// RefreshTokens makes and reads refresh tokens; [token.RefreshTokens] does.
type RefreshTokens interface {
	Mint(session uuid.UUID, generation int64) (text string, hash [sha256.Size]byte)
	Parse(text string) (session uuid.UUID, generation int64, hash [sha256.Size]byte, err error)
}

// Hasher hashes and compares passwords; [password.Hasher] does. Compare must cost the same whether the hash is empty,
// wrong or right, and both report [password.ErrBusy] instead of queueing without end.
type Hasher interface {
	Hash(ctx context.Context, password string) (string, error)
	Compare(ctx context.Context, hash, password string) (matched, rehash bool, err error)
}

// Sealer encrypts secrets at rest; [seal.Sealer] is one.
type Sealer interface {
	Seal(place seal.Place, text []byte) string
	Open(place seal.Place, sealed string) (text []byte, stale bool, err error)
}

// Config is what a Handler works with. All fields are needed, except where it says so.
type Config struct {
	Gate     *Gate
	Entries  Entries
	Signer   Signer
	Refresh  RefreshTokens
	Hasher   Hasher
	Policy   func(password, email string) []Violation // rules that a new password breaks, none when it is good
	Settings func() Settings                          // as they are now
	Origin   func(echo.Context) Origin
	Version  string // of this program, for health
	CSRF     CSRF
	// CrossSite reports that another site may be behind a request; [guard.Guard.CrossSite] does.
	CrossSite func(*http.Request) bool
	Captcha   Captcha // nil: nobody is asked
	// LimitRefresh counts a refresh of a session in cookies, and refuses one too many.
	LimitRefresh func(echo.Context) error
	Sealer       Sealer // nil: there is no key, so no second factor is enrolled or checked
	OAuth        OAuth
	Mail         Mail
	Clock        func() time.Time
}

// Violation is a broken rule of the password policy.
type Violation struct {
	Reason  string // in the words of Supabase Auth: length, characters or pwned
	Message string // for people: a sentence without the password
}

// Handler serves the auth routes. It is safe for concurrent use.
type Handler struct{ Config }

// New makes a handler.
func New(c Config) *Handler { return &Handler{c} }

// Router is the part of echo.Echo and echo.Group that Mount uses.
type Router interface {
	Add(method, path string, handler echo.HandlerFunc, middleware ...echo.MiddlewareFunc) *echo.Route
}

// Mount adds the routes below the router's prefix, each with the middleware.
func (h *Handler) Mount(r Router, middleware ...echo.MiddlewareFunc) {
	r.Add(http.MethodGet, "/health", h.Health, middleware...)
	r.Add(http.MethodGet, "/settings", h.PublicSettings, middleware...)
	r.Add(http.MethodPost, "/signup", h.Signup, middleware...)
	r.Add(http.MethodPost, "/token", h.Token, middleware...)
	r.Add(http.MethodPost, "/login", h.Login, middleware...)
	r.Add(http.MethodPost, "/refresh", h.RefreshSession, middleware...)
	r.Add(http.MethodPost, "/logout", h.Logout, middleware...)
	r.Add(http.MethodGet, "/csrf", h.CSRFToken, middleware...)
	r.Add(http.MethodGet, "/user", h.owing((*Handler).user), middleware...)
	r.Add(http.MethodPut, "/user", h.UpdateUser, middleware...)
	r.Add(http.MethodGet, "/sessions", h.signedIn((*Handler).sessions), middleware...)
	r.Add(http.MethodDelete, "/sessions/:id", h.signedIn((*Handler).revokeSession), middleware...)
	r.Add(http.MethodGet, "/authorize", h.Authorize, middleware...)
	r.Add(http.MethodGet, "/callback", h.Callback, middleware...)
	r.Add(http.MethodPost, "/callback", h.CallbackForm, middleware...)
	r.Add(http.MethodGet, "/identities", h.signedIn((*Handler).identities), middleware...)
	r.Add(http.MethodGet, "/user/identities/authorize", h.signedIn((*Handler).authorizeLink), middleware...)
	r.Add(http.MethodDelete, "/user/identities/:id", h.signedIn((*Handler).unlinkIdentity), middleware...)
	h.mountOrganizations(r, middleware...)
	h.mountAdmin(r, middleware...)
	h.mountMail(r, middleware...)
	h.mountAPIKeys(r, middleware...)
	r.Add(http.MethodGet, "/factors", h.owing((*Handler).factors), middleware...)
	r.Add(http.MethodPost, "/factors", h.owing((*Handler).enrollFactor), middleware...)
	r.Add(http.MethodGet, "/factors/recovery-codes", h.owing((*Handler).recoveryCodes), middleware...)
	r.Add(http.MethodPost, "/factors/recovery-codes", h.owing((*Handler).replaceRecoveryCodes), middleware...)
	r.Add(http.MethodPost, "/factors/recovery-codes/verify", h.owing((*Handler).verifyRecoveryCode), middleware...)
	r.Add(http.MethodPost, "/factors/:id/challenge", h.owing((*Handler).challengeFactor), middleware...)
	r.Add(http.MethodPost, "/factors/:id/verify", h.owing((*Handler).verifyFactor), middleware...)
	r.Add(http.MethodDelete, "/factors/:id", h.owing((*Handler).unenrollFactor), middleware...)
}

// call calls an entry point and returns its answer, which is there whenever the error is a refusal.
func (h *Handler) call(c echo.Context, caller gateway.Caller, sql string, args ...[]byte) (*answer, error) {
	text, err := h.Entries.Entry(c.Request().Context(), caller, sql, args)
	var refusal *pgconn.PgError
	switch {
	case caller.ActorID != uuid.Nil && errors.As(err, &refusal) && refusal.Code == "25006": // read_only_sql_transaction
		return nil, errImpersonated
	case err != nil:
		return nil, err
	}
	return readAnswer(text)
}

// tokenResponse is what a client gets for a session.
type tokenResponse struct {
	AccessToken  string          `json:"access_token"`
	TokenType    string          `json:"token_type"`
	ExpiresIn    int64           `json:"expires_in"`
	ExpiresAt    int64           `json:"expires_at"`
	RefreshToken string          `json:"refresh_token"`
	User         json.RawMessage `json:"user"`

	// Of the provider that signed the user in: in the first answer, never again.
	ProviderToken        string `json:"provider_token,omitempty"`
	ProviderRefreshToken string `json:"provider_refresh_token,omitempty"`
}

// sendSession signs the access token of a session and answers with it, or in cookies where these were asked for. The refresh token
// is made from session and generation, so the answer to a repeated refresh is the child that exists already.
func (h *Handler) sendSession(c echo.Context, s *session) error {
	return h.sendSessionWith(c, s, providerTokens{})
}

// sendSessionWith is sendSession with what a provider gave. A page that has its session in cookies is not to see tokens, so it
// does not get these either.
func (h *Handler) sendSessionWith(c echo.Context, s *session, p providerTokens) error {
	if s != nil && cookiesOf(c).answer {
		return h.sendCookies(c, s)
	}
	tokens, err := h.tokens(s)
	if err != nil {
		return err
	}
	tokens.ProviderToken, tokens.ProviderRefreshToken = p.Access, p.Refresh
	WriteJSON(c.Response(), http.StatusOK, tokens)
	return nil
}

// tokens makes those of a session.
func (h *Handler) tokens(s *session) (*tokenResponse, error) {
	if s == nil {
		return nil, errors.New("the answer of an entry point has no session")
	}
	lifetime := h.Settings().AccessTokenLifetime
	access, expiresAt, err := h.sign(s, lifetime)
	if err != nil {
		return nil, err
	}
	refresh, _ := h.Refresh.Mint(s.ID, s.Generation)
	return &tokenResponse{
		AccessToken:  access,
		TokenType:    "bearer",
		ExpiresIn:    int64(lifetime / time.Second),
		ExpiresAt:    expiresAt,
		RefreshToken: refresh,
		User:         s.User,
	}, nil
}

// sign leaves user_metadata out of a token that would be too large with it: what users may write without limit must
// not lock them out. The user object of the answer has it in any case.
func (h *Handler) sign(s *session, lifetime time.Duration) (text string, expiresAt int64, err error) {
	text, expiresAt, err = h.Signer.Sign(s.Claims, s.JTI, lifetime)
	if !errors.Is(err, token.ErrTooLarge) {
		return text, expiresAt, err
	}
	return h.signShort(s, lifetime)
}

// signShort is sign without user_metadata.
func (h *Handler) signShort(s *session, lifetime time.Duration) (text string, expiresAt int64, err error) {
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(s.Claims, &claims); err != nil {
		return "", 0, fmt.Errorf("claims of the session: %w", err)
	}
	claims["user_metadata"] = json.RawMessage("{}")
	shorter, err := json.Marshal(claims)
	if err != nil {
		return "", 0, fmt.Errorf("claims of the session: %w", err)
	}
	return h.Signer.Sign(shorter, s.JTI, lifetime)
}

// hashError translates what the hasher reports; everything that is not a refusal stays what it is.
func hashError(err error) error {
	if errors.Is(err, password.ErrBusy) || errors.Is(err, password.ErrClosed) {
		return errBusy
	}
	return err
}
