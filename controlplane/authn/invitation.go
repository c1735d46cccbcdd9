package authn

import (
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// inviteTokenPrefix is what tokens of invitations begin with.
const inviteTokenPrefix = "fb_invite_"

// invitations lists the open invitations of an organization.
func (h *Handler) invitations(c echo.Context, caller gateway.Caller) error {
	return h.inOrganization(c, caller, http.StatusOK, sqlOrgInvitations)
}

// invite invites an address, by mail unless the client does not want that or nobody sends any. The answer holds a token of its
// own, which is stored nowhere else.
func (h *Handler) invite(c echo.Context, caller gateway.Caller) error {
	var b struct {
		Email *string `json:"email"`
		Role  *string `json:"role"`
		Mail  *bool   `json:"mail"`
	}
	if err := readDocument(c, []string{"email", "role", "mail"}, &b); err != nil {
		return err
	}
	org, err := pathID(c, "org", "organization_not_found")
	if err != nil {
		return err
	}
	token := newInviteToken()
	mail := h.Mail.Sends && (b.Mail == nil || *b.Mail)
	a, err := h.call(c, caller, sqlOrgInvite, org, uuidArg(uuid.New()), optionalArg(text(b.Email)), optionalArg(text(b.Role)), byteaArg(hashOf(token)),
		boolArg(mail))
	if err != nil {
		return slowed(a, err)
	}
	return sendWith(c, a.Result, "token", token)
}

// newInviteToken is 256 random bits as a text.
func newInviteToken() string {
	return inviteTokenPrefix + randomText()
}

// revokeInvitation revokes an open invitation.
func (h *Handler) revokeInvitation(c echo.Context, caller gateway.Caller) error {
	id, err := pathID(c, "id", "invitation_not_found")
	if err != nil {
		return err
	}
	return h.inOrganization(c, caller, http.StatusNoContent, sqlOrgInviteRevoke, id)
}

// myInvitations lists the open invitations for the confirmed address of the signed-in user.
func (h *Handler) myInvitations(c echo.Context, caller gateway.Caller) error {
	return h.pass(c, caller, http.StatusOK, sqlMyInvitations)
}

// acceptInvitation makes the signed-in user a member: by the token of an invitation, or by the id of one that is for the
// user's own confirmed address.
func (h *Handler) acceptInvitation(c echo.Context, caller gateway.Caller) error {
	var b struct {
		Token *string `json:"token"`
		ID    *string `json:"id"`
	}
	if err := readDocument(c, []string{"token", "id"}, &b); err != nil {
		return err
	}
	if (text(b.Token) == "") == (text(b.ID) == "") {
		return badRequest("validation_failed", "Send either the token or the id of the invitation")
	}
	if token := text(b.Token); token != "" {
		return h.pass(c, caller, http.StatusOK, sqlOrgInviteAccept, nil, byteaArg(hashOf(token)))
	}
	id, err := bodyID(text(b.ID), "id")
	if err != nil {
		return err
	}
	return h.pass(c, caller, http.StatusOK, sqlOrgInviteAccept, id, nil)
}
