package authn

import (
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// The entry points for organizations. Who may do what is decided in them.
const (
	sqlOrgs             = `select fluxbase.orgs()`
	sqlOrgGet           = `select fluxbase.org_get(p_org_id => $1)`
	sqlOrgCreate        = `select fluxbase.org_create(p_org_id => $1, p_slug => $2, p_name => $3)`
	sqlOrgUpdate        = `select fluxbase.org_update(p_org_id => $1, p_slug => $2, p_name => $3)`
	sqlOrgDelete        = `select fluxbase.org_delete(p_org_id => $1)`
	sqlOrgSetActive     = `select fluxbase.org_set_active(p_org_id => $1)`
	sqlOrgMembers       = `select fluxbase.org_members(p_org_id => $1)`
	sqlOrgMemberSetRole = `select fluxbase.org_member_set_role(p_org_id => $1, p_user_id => $2, p_role => $3)`
	sqlOrgMemberRemove  = `select fluxbase.org_member_remove(p_org_id => $1, p_user_id => $2)`
	sqlOrgLeave         = `select fluxbase.org_leave(p_org_id => $1)`
	sqlOrgTransfer      = `select fluxbase.org_transfer(p_org_id => $1, p_user_id => $2)`
	sqlOrgInvite        = `select fluxbase.org_invite(p_org_id => $1, p_id => $2, p_email => $3, p_role => $4, p_token_hash => $5, p_mail => $6)`
	sqlOrgInvitations   = `select fluxbase.org_invitations(p_org_id => $1)`
	sqlOrgInviteRevoke  = `select fluxbase.org_invitation_revoke(p_org_id => $1, p_id => $2)`
	sqlMyInvitations    = `select fluxbase.my_org_invitations()`
	sqlOrgInviteAccept  = `select fluxbase.org_invitation_accept(p_id => $1, p_token_hash => $2)`
)

var (
	errInvalidOrganization = badRequest("validation_failed",
		"A slug has up to 63 characters a-z, 0-9 and hyphens and is no id, and a name 1 to 200 characters on one line")
	errOwnOrganization = badRequest("validation_failed", "The organization is yours already")
)

func (h *Handler) mountOrganizations(r Router, middleware ...echo.MiddlewareFunc) {
	for _, route := range []struct {
		method, path string
		handle       sessionHandler
	}{
		{http.MethodGet, "/organizations", (*Handler).organizations},
		{http.MethodPost, "/organizations", (*Handler).createOrganization},
		{http.MethodPut, "/organizations/active", (*Handler).setActiveOrganization},
		{http.MethodGet, "/organizations/invitations", (*Handler).myInvitations},
		{http.MethodPost, "/organizations/invitations/accept", (*Handler).acceptInvitation},
		{http.MethodGet, "/organizations/:org", (*Handler).organization},
		{http.MethodPatch, "/organizations/:org", (*Handler).updateOrganization},
		{http.MethodDelete, "/organizations/:org", (*Handler).deleteOrganization},
		{http.MethodPost, "/organizations/:org/leave", (*Handler).leaveOrganization},
		{http.MethodPost, "/organizations/:org/transfer", (*Handler).transferOrganization},
		{http.MethodGet, "/organizations/:org/members", (*Handler).members},
		{http.MethodPatch, "/organizations/:org/members/:user", (*Handler).setMemberRole},
		{http.MethodDelete, "/organizations/:org/members/:user", (*Handler).removeMember},
		{http.MethodGet, "/organizations/:org/invitations", (*Handler).invitations},
		{http.MethodPost, "/organizations/:org/invitations", (*Handler).invite},
		{http.MethodDelete, "/organizations/:org/invitations/:id", (*Handler).revokeInvitation},
	} {
		r.Add(route.method, route.path, h.signedIn(route.handle), middleware...)
	}
}

// inOrganization is pass for a route whose path names the organization.
func (h *Handler) inOrganization(c echo.Context, caller gateway.Caller, status int, sql string, args ...[]byte) error {
	org, err := pathID(c, "org", "organization_not_found")
	if err != nil {
		return err
	}
	return h.pass(c, caller, status, sql, append([][]byte{org}, args...)...)
}

// organizations lists the organizations of the signed-in user.
func (h *Handler) organizations(c echo.Context, caller gateway.Caller) error {
	return h.pass(c, caller, http.StatusOK, sqlOrgs)
}

// organization is one of them.
func (h *Handler) organization(c echo.Context, caller gateway.Caller) error {
	return h.inOrganization(c, caller, http.StatusOK, sqlOrgGet)
}

type organizationBody struct {
	Slug *string `json:"slug"`
	Name *string `json:"name"`
}

func (h *Handler) readOrganization(c echo.Context) (b organizationBody, err error) {
	err = readDocument(c, []string{"slug", "name"}, &b)
	return b, err
}

// createOrganization makes an organization that the signed-in user owns.
func (h *Handler) createOrganization(c echo.Context, caller gateway.Caller) error {
	b, err := h.readOrganization(c)
	if err != nil {
		return err
	}
	err = h.pass(c, caller, http.StatusCreated, sqlOrgCreate, uuidArg(uuid.New()), optionalArg(text(b.Slug)), optionalArg(text(b.Name)))
	return whenInvalid(err, errInvalidOrganization)
}

// updateOrganization changes slug or name.
func (h *Handler) updateOrganization(c echo.Context, caller gateway.Caller) error {
	org, err := pathID(c, "org", "organization_not_found")
	if err != nil {
		return err
	}
	b, err := h.readOrganization(c)
	if err != nil {
		return err
	}
	err = h.pass(c, caller, http.StatusOK, sqlOrgUpdate, org, optionalArg(text(b.Slug)), optionalArg(text(b.Name)))
	return whenInvalid(err, errInvalidOrganization)
}

// deleteOrganization deletes an organization with its memberships, invitations and keys.
func (h *Handler) deleteOrganization(c echo.Context, caller gateway.Caller) error {
	return h.inOrganization(c, caller, http.StatusNoContent, sqlOrgDelete)
}

// setActiveOrganization sets the active organization of the session, or none. Policies follow at once; the next refresh
// puts it into the access token.
func (h *Handler) setActiveOrganization(c echo.Context, caller gateway.Caller) error {
	var b struct {
		OrganizationID *string `json:"organization_id"`
	}
	if err := readDocument(c, []string{"organization_id"}, &b); err != nil {
		return err
	}
	var org []byte
	if b.OrganizationID != nil {
		var err error
		if org, err = bodyID(*b.OrganizationID, "organization_id"); err != nil {
			return err
		}
	}
	return h.pass(c, caller, http.StatusNoContent, sqlOrgSetActive, org)
}

// members lists the members of an organization.
func (h *Handler) members(c echo.Context, caller gateway.Caller) error {
	return h.inOrganization(c, caller, http.StatusOK, sqlOrgMembers)
}

// setMemberRole changes the role of a member.
func (h *Handler) setMemberRole(c echo.Context, caller gateway.Caller) error {
	var b struct {
		Role *string `json:"role"`
	}
	if err := readDocument(c, []string{"role"}, &b); err != nil {
		return err
	}
	user, err := pathID(c, "user", "member_not_found")
	if err != nil {
		return err
	}
	return h.inOrganization(c, caller, http.StatusOK, sqlOrgMemberSetRole, user, []byte(text(b.Role)))
}

// removeMember removes a member, or the signed-in user.
func (h *Handler) removeMember(c echo.Context, caller gateway.Caller) error {
	user, err := pathID(c, "user", "member_not_found")
	if err != nil {
		return err
	}
	return h.inOrganization(c, caller, http.StatusNoContent, sqlOrgMemberRemove, user)
}

// leaveOrganization ends the membership of the signed-in user.
func (h *Handler) leaveOrganization(c echo.Context, caller gateway.Caller) error {
	return h.inOrganization(c, caller, http.StatusNoContent, sqlOrgLeave)
}

// transferOrganization makes another member owner in place of the signed-in one.
func (h *Handler) transferOrganization(c echo.Context, caller gateway.Caller) error {
	var b struct {
		UserID *string `json:"user_id"`
	}
	if err := readDocument(c, []string{"user_id"}, &b); err != nil {
		return err
	}
	user, err := bodyID(text(b.UserID), "user_id")
	if err != nil {
		return err
	}
	return whenInvalid(h.inOrganization(c, caller, http.StatusOK, sqlOrgTransfer, user), errOwnOrganization)
}
