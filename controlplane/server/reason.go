package server

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/config"
	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/reason"
	"github.com/wayli-app/fluxbase/controlplane/rest"
)

// openReason returns what explains refusals to developers: nothing outside of development, and nothing without
// database.direct_url, whose login is a member of fluxbase_admin. The logins of the pools cannot explain.
func (s *Server) openReason() func(context.Context, gateway.Caller, rest.Denial) (string, error) {
	key, url := s.directURL()
	if s.config.Mode != config.Development || key == "" {
		return nil
	}
	s.reason = reason.New(func(ctx context.Context) (*pgx.Conn, error) { return s.connect(ctx, key, url) })
	return s.explain
}

// explain asks for each row that was to be written until one is denied.
func (s *Server) explain(ctx context.Context, caller gateway.Caller, d rest.Denial) (string, error) {
	// A key of an organization is nobody that auth.explain_access can be asked about, and service_role passes.
	if caller.Role == "service_role" || caller.UserID == uuid.Nil && caller.Role != "anon" {
		return "", nil
	}
	q := reason.Question{User: caller.UserID, Session: caller.SessionID, Role: caller.Role, AAL: caller.AAL, Table: d.Table, Command: d.Command,
		Row: d.Row, Reads: d.Reads, Returning: d.Returning}
	rows := d.New
	if len(rows) == 0 {
		rows = [][]byte{nil}
	}
	for _, row := range rows {
		if d.Command == "insert" {
			q.Row = row
		} else {
			q.New = row
		}
		text, denied, err := s.reason.Explain(ctx, q)
		if err != nil || denied {
			return text, err
		}
		if row == nil || len(rows) == 1 {
			return text, nil
		}
	}
	return "", nil
}
