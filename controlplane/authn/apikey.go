package authn

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// The entry points for keys of users and organizations. Whose keys one may manage is decided in them.
const (
	sqlKeys      = `select fluxbase.keys(p_org_id => $1)`
	sqlKeyCreate = `select fluxbase.key_create(p_id => $1, p_org_id => $2, p_name => $3, p_scopes => $4, p_expires_at => $5,` +
		` p_prefix => $6, p_key_hash => $7)`
	sqlKeyRotate = `select fluxbase.key_rotate(p_id => $1, p_new_id => $2, p_prefix => $3, p_key_hash => $4, p_overlap_seconds => $5)`
	sqlKeyRevoke = `select fluxbase.key_revoke(p_id => $1)`
)

const (
	shownPrefix    = 12             // characters of a key by which it is known later
	defaultOverlap = 24 * 60 * 60   // seconds
	maxOverlap     = 30 * 24 * 3600 // seconds
)

var errInvalidKeyRequest = badRequest("validation_failed",
	"A key needs a name of up to 200 characters on one line, scopes such as documents:read, at most 50, and an end in the future")

func (h *Handler) mountAPIKeys(r Router, middleware ...echo.MiddlewareFunc) {
	for _, route := range []struct {
		method, path string
		handle       sessionHandler
	}{
		{http.MethodGet, "/api-keys", (*Handler).apiKeys},
		{http.MethodPost, "/api-keys", (*Handler).createAPIKey},
		{http.MethodPost, "/api-keys/:id/rotate", (*Handler).rotateAPIKey},
		{http.MethodDelete, "/api-keys/:id", (*Handler).revokeAPIKey},
	} {
		r.Add(route.method, route.path, h.signedIn(route.handle), middleware...)
	}
}

// newAPIKey is a key with 256 random bits, with the arguments that stand for it in the database.
func newAPIKey() (key string, prefix, hash []byte) {
	key = keyPrefixes[0] + randomText()
	return key, []byte(key[:shownPrefix]), byteaArg(hashOf(key))
}

// optionalOrg is the id of an organization, nil for the caller's own keys.
func optionalOrg(given string) ([]byte, error) {
	if given == "" {
		return nil, nil
	}
	return bodyID(given, "organization_id")
}

// apiKeys lists the living keys of the user, or of an organization.
func (h *Handler) apiKeys(c echo.Context, caller gateway.Caller) error {
	org, err := optionalOrg(c.QueryParam("organization_id"))
	if err != nil {
		return err
	}
	return h.pass(c, caller, http.StatusOK, sqlKeys, org)
}

// createAPIKey makes a key. The answer holds it, which is stored nowhere else.
func (h *Handler) createAPIKey(c echo.Context, caller gateway.Caller) error {
	var b struct {
		Name           *string   `json:"name"`
		OrganizationID *string   `json:"organization_id"`
		Scopes         []*string `json:"scopes"`
		ExpiresAt      *string   `json:"expires_at"`
	}
	if err := readDocument(c, []string{"name", "organization_id", "scopes", "expires_at"}, &b); err != nil {
		return err
	}
	org, err := optionalOrg(text(b.OrganizationID))
	if err != nil {
		return err
	}
	scopes := make([]string, len(b.Scopes))
	for i, scope := range b.Scopes {
		scopes[i] = text(scope)
	}
	var expires []byte
	if given := text(b.ExpiresAt); given != "" {
		at, err := time.Parse(time.RFC3339, given)
		if err != nil {
			return errInvalidKeyRequest
		}
		expires = timeArg(at.Unix())
	}
	key, prefix, hash := newAPIKey()
	a, err := h.call(c, caller, sqlKeyCreate, uuidArg(uuid.New()), org, optionalArg(text(b.Name)), textArrayArg(scopes), expires, prefix, hash)
	if err != nil {
		return whenInvalid(err, errInvalidKeyRequest)
	}
	return sendWith(c, a.Result, "key", key)
}

// rotateAPIKey makes the successor of a key, which lives on for the overlap.
func (h *Handler) rotateAPIKey(c echo.Context, caller gateway.Caller) error {
	id, err := pathID(c, "id", "api_key_not_found")
	if err != nil {
		return err
	}
	var b struct {
		Overlap *int64 `json:"overlap_seconds"`
	}
	if err := readDocument(c, []string{"overlap_seconds"}, &b); err != nil {
		return err
	}
	overlap := int64(defaultOverlap)
	if b.Overlap != nil {
		overlap = *b.Overlap
	}
	if overlap < 0 || overlap > maxOverlap {
		return badRequest("validation_failed", fmt.Sprintf("overlap_seconds must be a number from 0 to %d", maxOverlap))
	}
	key, prefix, hash := newAPIKey()
	a, err := h.call(c, caller, sqlKeyRotate, id, uuidArg(uuid.New()), prefix, hash, intArg(overlap))
	if err != nil {
		return err
	}
	return sendWith(c, a.Result, "key", key)
}

// revokeAPIKey ends a key.
func (h *Handler) revokeAPIKey(c echo.Context, caller gateway.Caller) error {
	id, err := pathID(c, "id", "api_key_not_found")
	if err != nil {
		return err
	}
	return h.pass(c, caller, http.StatusNoContent, sqlKeyRevoke, id)
}

// sendWith answers 201 with a result and a secret that the database does not know.
func sendWith(c echo.Context, result json.RawMessage, name, secret string) error {
	var members map[string]any
	if err := json.Unmarshal(result, &members); err != nil {
		return fmt.Errorf("unexpected answer of an entry point: %w", err)
	}
	members[name] = secret
	WriteJSON(c.Response(), http.StatusCreated, members)
	return nil
}

// textArrayArg is a text[] in PostgreSQL's text format.
func textArrayArg(items []string) []byte {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = `"` + quote.Replace(item) + `"`
	}
	return []byte("{" + strings.Join(quoted, ",") + "}")
}
