package authn

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// The entry points for administrators. Who is one is decided in them.
const (
	sqlAdminBegin      = `select fluxbase.admin_begin(p_user_id => $1)`
	sqlAdminUsers      = `select fluxbase.admin_users(p_page => $1, p_per_page => $2, p_filter => $3)`
	sqlAdminUser       = `select fluxbase.admin_user(p_user_id => $1)`
	sqlAdminUserCreate = `select fluxbase.admin_user_create(p_user_id => $1, p_email => $2, p_encrypted_password => $3, p_email_confirm => $4,` +
		` p_user_metadata => $5, p_app_metadata => $6, p_role => $7, p_ban_seconds => $8)`
	sqlAdminUserUpdate = `select fluxbase.admin_user_update(p_user_id => $1, p_email => $2, p_encrypted_password => $3, p_email_confirm => $4,` +
		` p_user_metadata => $5, p_app_metadata => $6, p_role => $7, p_ban_seconds => $8)`
	sqlAdminUserDelete   = `select fluxbase.admin_user_delete(p_user_id => $1)`
	sqlAdminUserSessions = `select fluxbase.admin_user_sessions(p_user_id => $1)`
	sqlAdminUserRevoke   = `select fluxbase.admin_user_revoke(p_user_id => $1, p_session_id => $2)`
)

// Pages of users.
const (
	defaultPerPage = 50
	maxPerPage     = 1000
	maxPage        = 1 << 40 // times maxPerPage fits into a bigint
)

// adminMembers are the attributes of a user as administrators send them.
var adminMembers = []string{"id", "email", "phone", "password", "password_hash", "email_confirm", "phone_confirm",
	"user_metadata", "app_metadata", "ban_duration", "role", "nonce"}

type adminBody struct {
	ID           *string         `json:"id"`
	Email        *string         `json:"email"`
	Phone        *string         `json:"phone"`
	Password     *string         `json:"password"`
	PasswordHash *string         `json:"password_hash"`
	EmailConfirm *bool           `json:"email_confirm"`
	PhoneConfirm *bool           `json:"phone_confirm"` // known; there are no phones
	UserMetadata json.RawMessage `json:"user_metadata"`
	AppMetadata  json.RawMessage `json:"app_metadata"`
	BanDuration  *string         `json:"ban_duration"`
	Role         *string         `json:"role"`
	Nonce        *string         `json:"nonce"` // known; reauthentication is for the user's own changes
}

func (h *Handler) mountAdmin(r Router, middleware ...echo.MiddlewareFunc) {
	for _, route := range []struct {
		method, path string
		handle       sessionHandler
	}{
		{http.MethodGet, "/admin/users", (*Handler).adminUsers},
		{http.MethodPost, "/admin/users", (*Handler).adminCreateUser},
		{http.MethodGet, "/admin/users/:id", (*Handler).adminUser},
		{http.MethodPut, "/admin/users/:id", (*Handler).adminUpdateUser},
		{http.MethodDelete, "/admin/users/:id", (*Handler).adminDeleteUser},
		{http.MethodGet, "/admin/users/:id/sessions", (*Handler).adminSessions},
		{http.MethodDelete, "/admin/users/:id/sessions", (*Handler).adminRevokeSessions},
		{http.MethodDelete, "/admin/users/:id/sessions/:session", (*Handler).adminRevokeSession},
		{http.MethodGet, "/admin/users/:id/factors", (*Handler).adminFactors},
		{http.MethodDelete, "/admin/users/:id/factors/:factor", (*Handler).adminDeleteFactor},
		{http.MethodPost, "/admin/users/:id/impersonate", (*Handler).impersonate},
		{http.MethodPost, "/admin/impersonations/:session/token", (*Handler).impersonationToken},
	} {
		r.Add(route.method, route.path, h.identified(route.handle), middleware...)
	}
}

// adminUsers answers with a page of users, how many there are in X-Total-Count, and the next and last page in Link
// (RFC 8288). Its first parameter is the page: that is where clients look for it.
func (h *Handler) adminUsers(c echo.Context, caller gateway.Caller) error {
	page, err := pageNumber(c, "page", 1, maxPage)
	if err != nil {
		return err
	}
	perPage, err := pageNumber(c, "per_page", defaultPerPage, maxPerPage)
	if err != nil {
		return err
	}
	filter := c.QueryParam("filter")
	a, err := h.call(c, caller, sqlAdminUsers, intArg(page), intArg(perPage), printableArg(filter))
	if err != nil {
		return err
	}
	last := max(1, (a.Total+perPage-1)/perPage)
	rest := fmt.Sprintf("&per_page=%d", perPage)
	if filter != "" {
		rest += "&filter=" + url.QueryEscape(filter)
	}
	link := func(page int64, rel string) string {
		return fmt.Sprintf(`<%s?page=%d%s>; rel="%s"`, c.Path(), page, rest, rel)
	}
	links := []string{link(last, "last")}
	if page < last {
		links = append([]string{link(page+1, "next")}, links...)
	}
	c.Response().Header().Set("Link", strings.Join(links, ", "))
	c.Response().Header().Set("X-Total-Count", strconv.FormatInt(a.Total, 10))
	writeRaw(c.Response(), http.StatusOK, a.Result)
	return nil
}

func pageNumber(c echo.Context, name string, missing, most int64) (int64, error) {
	given := c.QueryParam(name)
	if given == "" {
		return missing, nil
	}
	n, err := strconv.ParseInt(given, 10, 64)
	if err != nil || n < 1 || n > most {
		return 0, badRequest("validation_failed", fmt.Sprintf("%s must be a number from 1 to %d", name, most))
	}
	return n, nil
}

func (h *Handler) adminUser(c echo.Context, caller gateway.Caller) error {
	user, err := pathID(c, "id", "no_such_user")
	if err != nil {
		return err
	}
	return h.pass(c, caller, http.StatusOK, sqlAdminUser, user)
}

func (h *Handler) adminCreateUser(c echo.Context, caller gateway.Caller) error {
	b := new(adminBody)
	if err := readDocument(c, adminMembers, b); err != nil {
		return err
	}
	id := uuidArg(uuid.New())
	if given := text(b.ID); given != "" {
		var err error
		if id, err = bodyID(given, "id"); err != nil {
			return err
		}
	}
	if text(b.Email) == "" {
		return badRequest("validation_failed", "Cannot create a user without an email")
	}
	args, err := h.adminArgs(c, caller, nil, b)
	if err != nil {
		return err
	}
	return h.pass(c, caller, http.StatusOK, sqlAdminUserCreate, append([][]byte{id}, args...)...)
}

func (h *Handler) adminUpdateUser(c echo.Context, caller gateway.Caller) error {
	user, err := pathID(c, "id", "no_such_user")
	if err != nil {
		return err
	}
	b := new(adminBody)
	if err := readDocument(c, adminMembers, b); err != nil {
		return err
	}
	args, err := h.adminArgs(c, caller, user, b)
	if err != nil {
		return err
	}
	return h.pass(c, caller, http.StatusOK, sqlAdminUserUpdate, append([][]byte{user}, args...)...)
}

// adminArgs are the arguments that making and changing a user share; user is nil for one that is made.
func (h *Handler) adminArgs(c echo.Context, caller gateway.Caller, user []byte, b *adminBody) ([][]byte, error) {
	if text(b.Phone) != "" {
		return nil, badRequest("phone_provider_disabled", "Phone logins are disabled")
	}
	ban, err := banSeconds(text(b.BanDuration))
	if err != nil {
		return nil, err
	}
	userMetadata, err := objectArg(b.UserMetadata, "user_metadata")
	if err != nil {
		return nil, err
	}
	appMetadata, err := objectArg(b.AppMetadata, "app_metadata")
	if err != nil {
		return nil, err
	}
	hash := text(b.PasswordHash)
	if secret := text(b.Password); secret != "" {
		if hash != "" {
			return nil, badRequest("validation_failed", "Only a password or a password hash should be provided")
		}
		if hash, err = h.hashForUser(c, caller, user, secret, text(b.Email)); err != nil {
			return nil, err
		}
	}
	var confirm []byte
	if b.EmailConfirm != nil {
		confirm = boolArg(*b.EmailConfirm)
	}
	return [][]byte{optionalArg(text(b.Email)), optionalArg(hash), confirm, userMetadata, appMetadata, optionalArg(text(b.Role)), ban}, nil
}

// hashForUser hashes a password that an administrator gives a user, checked against the address that the user will
// have. The database is asked first: only administrators may make this server hash.
func (h *Handler) hashForUser(c echo.Context, caller gateway.Caller, user []byte, secret, email string) (string, error) {
	a, err := h.call(c, caller, sqlAdminBegin, user)
	if err != nil {
		return "", err
	}
	if email == "" {
		if err := json.Unmarshal(a.Result, &email); err != nil {
			return "", fmt.Errorf("unexpected answer of an entry point: %w", err)
		}
	}
	return h.hashNew(c.Request().Context(), secret, email)
}

// banSeconds reads ban_duration: none, or a duration as Go writes it.
func banSeconds(given string) ([]byte, error) {
	switch given {
	case "":
		return nil, nil
	case "none":
		return intArg(0), nil
	}
	d, err := time.ParseDuration(given)
	if err != nil || d < time.Second {
		return nil, badRequest("validation_failed", `ban_duration must be "none" or a duration such as 24h`)
	}
	return intArg(int64(d / time.Second)), nil
}

func (h *Handler) adminDeleteUser(c echo.Context, caller gateway.Caller) error {
	user, err := pathID(c, "id", "no_such_user")
	if err != nil {
		return err
	}
	if c.Request().ContentLength != 0 {
		var b struct {
			Soft bool `json:"should_soft_delete"`
		}
		if err := readDocument(c, []string{"should_soft_delete"}, &b); err != nil {
			return err
		}
		if b.Soft {
			return badRequest("validation_failed", "Users cannot be deleted softly; ban them instead")
		}
	}
	return h.pass(c, caller, http.StatusOK, sqlAdminUserDelete, user)
}

func (h *Handler) adminSessions(c echo.Context, caller gateway.Caller) error {
	user, err := pathID(c, "id", "no_such_user")
	if err != nil {
		return err
	}
	return h.pass(c, caller, http.StatusOK, sqlAdminUserSessions, user)
}

func (h *Handler) adminRevokeSessions(c echo.Context, caller gateway.Caller) error {
	user, err := pathID(c, "id", "no_such_user")
	if err != nil {
		return err
	}
	return h.pass(c, caller, http.StatusNoContent, sqlAdminUserRevoke, user, nil)
}

func (h *Handler) adminRevokeSession(c echo.Context, caller gateway.Caller) error {
	user, err := pathID(c, "id", "no_such_user")
	if err != nil {
		return err
	}
	session, err := pathID(c, "session", "no_such_session")
	if err != nil {
		return err
	}
	return h.pass(c, caller, http.StatusNoContent, sqlAdminUserRevoke, user, session)
}
