package authn

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// authorizeLink answers the signed-in user with the address to which a browser shall go to link an identity. It leads by
// way of this server, which gives that browser its cookie: the request here may come from a page of another site or from a
// program, where none would stay.
func (h *Handler) authorizeLink(c echo.Context, caller gateway.Caller) error {
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

// identities lists the ways in of the signed-in user.
func (h *Handler) identities(c echo.Context, caller gateway.Caller) error {
	return h.pass(c, caller, http.StatusOK, sqlIdentities)
}

// unlinkIdentity takes a way in from the signed-in user, never the last one.
func (h *Handler) unlinkIdentity(c echo.Context, caller gateway.Caller) error {
	id, err := pathID(c, "id", "identity_not_found")
	if err != nil {
		return err
	}
	enabled := "{" + strings.Join(h.OAuth.Providers.Enabled(), ",") + "}" // names have no character that would need quotes
	if _, err := h.call(c, caller, sqlIdentityUnlink, id, []byte(enabled)); err != nil {
		return err
	}
	WriteJSON(c.Response(), http.StatusOK, struct{}{})
	return nil
}
