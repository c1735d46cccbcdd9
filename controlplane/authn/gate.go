package authn

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/issuer"
	"github.com/wayli-app/fluxbase/controlplane/token"
)

// roleAnon is the role of a request without credentials.
const roleAnon = "anon"

// Origin is what the server itself knows about a request.
type Origin struct {
	IP        netip.Addr
	RequestID string
}

// anonymous is a caller without credentials.
func (o Origin) anonymous() gateway.Caller {
	return gateway.Caller{Role: roleAnon, IP: o.IP, RequestID: o.RequestID}
}

// Verifier decides on access tokens; [token.Verifier] is one.
type Verifier interface {
	Verify(text string) (token.Access, error)
}

// Entries calls entry points of the schema fluxbase; [gateway.Gateway] does.
type Entries interface {
	Entry(ctx context.Context, caller gateway.Caller, sql string, args [][]byte) ([]byte, error)
}

// Gate turns the credentials of a request into a caller. It says who is asking; whether the session or the key is
// still alive is asked of the database with each batch. It is safe for concurrent use.
type Gate struct {
	verifier Verifier
	entries  Entries
	keys     keyCache
	issuers  Issuers // nil: none but ours
}

// Issuers decides on tokens of other issuers; [issuer.Issuers] does. The error is [issuer.ErrUnknown] for a token that
// none of them claims to have made.
type Issuers interface {
	Verify(ctx context.Context, text string) (access token.Access, id uuid.UUID, err error)
}

// Trust makes [Gate.DataCaller] accept tokens of other issuers. It is called before the gate is used.
func (g *Gate) Trust(issuers Issuers) { g.issuers = issuers }

// NewGate makes a gate. clock measures how long an API key is remembered.
func NewGate(verifier Verifier, entries Entries, clock func() time.Time) *Gate {
	return &Gate{verifier: verifier, entries: entries, keys: keyCache{clock: clock}}
}

// Caller returns on whose behalf a request runs:
//
//   - Authorization: Bearer with an access token or an API key decides alone. A token that is not accepted is an error,
//     and so is any other form of the header (RFC 6750 section 2.1).
//   - Without that header, an API key in apikey or X-API-Key.
//   - With none of them, the role anon.
//
// Refusals are of type *[Error]; other errors are those of the database, which is asked about keys that it has not
// vouched for lately.
func (g *Gate) Caller(r *http.Request, o Origin) (gateway.Caller, error) {
	credentials, err := readCredentials(r.Header)
	if err != nil {
		return gateway.Caller{}, err
	}
	switch {
	case credentials.key != "":
		return g.keyCaller(r.Context(), credentials.key, o)
	case credentials.token != "":
		access, err := g.verify(credentials.token)
		if err != nil {
			return gateway.Caller{}, err
		}
		return tokenCaller(&access, o), nil
	default:
		return o.anonymous(), nil
	}
}

// DataCaller is Caller for the data API, where tokens of trusted issuers are accepted besides ours. Our own claim iss is
// ours alone, so no token has two judges.
func (g *Gate) DataCaller(r *http.Request, o Origin) (gateway.Caller, error) {
	if g.issuers == nil {
		return g.Caller(r, o)
	}
	credentials, err := readCredentials(r.Header)
	if err != nil {
		return gateway.Caller{}, err
	}
	if credentials.token == "" {
		return g.Caller(r, o)
	}
	access, id, err := g.issuers.Verify(r.Context(), credentials.token)
	switch {
	case errors.Is(err, issuer.ErrUnknown):
		return g.Caller(r, o)
	case err != nil:
		return gateway.Caller{}, refusal(err)
	}
	return gateway.Caller{
		Role: access.Role, UserID: access.Subject, IssuerID: id, Claims: access.Claims, IP: o.IP, RequestID: o.RequestID,
	}, nil
}

// Session is Caller for routes that are about the session itself: it also returns what the token says, and refuses
// whoever has none.
func (g *Gate) Session(r *http.Request, o Origin) (gateway.Caller, token.Access, error) {
	credentials, err := readCredentials(r.Header)
	if err != nil {
		return gateway.Caller{}, token.Access{}, err
	}
	if credentials.token == "" {
		return gateway.Caller{}, token.Access{}, errNoAuthorization
	}
	access, err := g.verify(credentials.token)
	if err != nil {
		return gateway.Caller{}, token.Access{}, err
	}
	return tokenCaller(&access, o), access, nil
}

// Forget makes the gate ask the database again about a key, which it refused.
func (g *Gate) Forget(key uuid.UUID) { g.keys.forget(key) }

func (g *Gate) verify(text string) (token.Access, error) {
	access, err := g.verifier.Verify(text)
	if err != nil {
		return access, refusal(err)
	}
	return access, nil
}

// refusal is the answer to a token that was not accepted.
func refusal(err error) error {
	if errors.Is(err, token.ErrExpired) {
		return errExpiredToken
	}
	return errBadToken
}

func tokenCaller(a *token.Access, o Origin) gateway.Caller {
	return gateway.Caller{
		Role:      a.Role,
		UserID:    a.Subject,
		SessionID: a.SessionID,
		JTI:       a.JTI,
		OrgID:     a.OrgID,
		ActorID:   a.Actor,
		AAL:       a.AAL,
		Claims:    a.Claims,
		IP:        o.IP,
		RequestID: o.RequestID,
	}
}

// credentials are those of one request: at most one of the two.
type credentials struct{ token, key string }

func readCredentials(h http.Header) (credentials, error) {
	if values, ok := h["Authorization"]; ok {
		bearer, err := readBearer(values)
		if err != nil {
			return credentials{}, err
		}
		if isKey(bearer) {
			return credentials{key: bearer}, nil
		}
		return credentials{token: bearer}, nil
	}
	key := ""
	for _, name := range [...]string{"Apikey", "X-Api-Key"} {
		for _, value := range h[name] {
			if !isKey(value) || key != "" && value != key {
				return credentials{}, errInvalidKey
			}
			key = value
		}
	}
	return credentials{key: key}, nil
}

// readBearer reads the one value of Authorization; the scheme's case does not matter (RFC 9110 section 11.1).
func readBearer(values []string) (string, error) {
	if len(values) != 1 {
		return "", errNotBearer
	}
	scheme, bearer, found := strings.Cut(values[0], " ")
	if !found || !strings.EqualFold(scheme, "Bearer") || bearer == "" {
		return "", errNotBearer
	}
	return bearer, nil
}
