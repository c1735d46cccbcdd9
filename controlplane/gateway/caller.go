package gateway

import (
	"net/netip"

	"github.com/google/uuid"
)

// roleService is the role of requests with a service key; they have a login and a pool of their own.
const roleService = "service_role"

// Caller says on whose behalf a request runs. It is taken from a verified token or key, never from the request itself.
// uuid.Nil and the empty string mean "none".
type Caller struct {
	Role      string // database role: anon, authenticated, service_role or a configured request role
	UserID    uuid.UUID
	SessionID uuid.UUID
	JTI       uuid.UUID // id of the access token
	OrgID     uuid.UUID // active organization
	APIKeyID  uuid.UUID
	IssuerID  uuid.UUID // trusted issuer of the token, in the place of a session of ours; not for Entry
	ActorID   uuid.UUID // the real person under impersonation
	AAL       string    // authenticator assurance level: aal1, aal2
	IP        netip.Addr
	RequestID string // chosen by the server
	Claims    []byte // verified claims as JSON text, nil without a token

	// ClaimsHash is the lower-case hex SHA-256 of Claims when the caller has it at hand, for instance beside a cached
	// token. When empty it is computed. It must belong to Claims: PostgreSQL checks it.
	ClaimsHash string

	// MayOweFactor is for entry points that a session may call although a second factor is required of it and was not
	// shown yet. Everything else refuses such a session with ZF405.
	MayOweFactor bool
}
