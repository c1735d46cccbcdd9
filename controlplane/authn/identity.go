package authn

import (
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// AuthorizeLink answers the signed-in user with the address to which a browser shall go to link an identity. It leads by
// way of this server, which gives that browser its cookie: the request here may come from a page of another site or from a
// program, where none would stay.
func (h *Handler) AuthorizeLink(c echo.Context) error {
	caller, _, err := h.Gate.Session(c.Request(), h.Origin(c))
	if err != nil {
		return err
	}
	q, err := query(c)
	if err != nil {
		return err
	}
	p, err := h.provider(q.Get("provider"))
	if err != nil {
		return err
	}
	target, err := h.target(q.Get("redirect_to"))
	if err != nil {
		return err
	}
	ticket := randomText()
	challenge, method := challengeArgs(q)
	if _, err := h.call(c, caller, sqlOAuthLinkBegin, []byte(p.Name()), byteaArg(hashOf(ticket)), []byte(target.String()), challenge, method); err != nil {
		return err
	}
	for _, name := range []string{"redirect_to", "code_challenge", "code_challenge_method", "skip_http_redirect"} {
		q.Del(name)
	}
	q.Set("provider", p.Name())
	q.Set("ticket", ticket)
	address := h.OAuth.PublicURL + linkPath + "?" + q.Encode()
	WriteJSON(c.Response(), http.StatusOK, struct {
		URL string `json:"url"`
	}{address})
	return nil
}

// IDToken exchanges an ID token that the client got from a provider itself for a session; with link_identity it links the
// identity to the signed-in user first.
func (h *Handler) IDToken(c echo.Context) error {
	b, err := readBody(c, idTokenMembers)
	if err != nil {
		return err
	}
	raw := text(b.IDToken)
	if text(b.Provider) == "" || raw == "" {
		return badRequest("validation_failed", "provider and id_token are required")
	}
	caller := h.Origin(c).anonymous()
	link := b.LinkIdentity != nil && *b.LinkIdentity
	if link {
		if caller, _, err = h.Gate.Session(c.Request(), h.Origin(c)); err != nil {
			return err
		}
	}
	p, err := h.provider(text(b.Provider))
	if err != nil {
		return err
	}
	identity, err := p.VerifyIDToken(c.Request().Context(), raw, text(b.AccessToken), text(b.Nonce))
	if err := h.identityError(c, p, err); err != nil {
		return err
	}
	args, err := identityArgs(identity)
	if err != nil {
		return err
	}
	a, err := h.issue(c, caller, sqlOAuthIDToken, append(args, boolArg(link))...)
	if err != nil {
		return err
	}
	return h.sendSession(c, a.Session)
}

// Identities lists the ways in of the signed-in user.
func (h *Handler) Identities(c echo.Context) error {
	caller, _, err := h.Gate.Session(c.Request(), h.Origin(c))
	if err != nil {
		return err
	}
	a, err := h.call(c, caller, sqlIdentities)
	if err != nil {
		return err
	}
	writeRaw(c.Response(), http.StatusOK, a.Result)
	return nil
}

// UnlinkIdentity takes a way in from the signed-in user, never the last one.
func (h *Handler) UnlinkIdentity(c echo.Context) error {
	caller, _, err := h.Gate.Session(c.Request(), h.Origin(c))
	if err != nil {
		return err
	}
	given := c.Param("id")
	id, err := uuid.Parse(given)
	if err != nil || id.String() != given {
		return statusErrors["identity_not_found"]
	}
	enabled := "{" + strings.Join(h.OAuth.Providers.Enabled(), ",") + "}" // names have no character that would need quotes
	if _, err := h.call(c, caller, sqlIdentityUnlink, uuidArg(id), []byte(enabled)); err != nil {
		return err
	}
	WriteJSON(c.Response(), http.StatusOK, struct{}{})
	return nil
}
