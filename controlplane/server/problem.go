package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/authn"
	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// The refusals that are the server's own.
var (
	errUnexpected = &authn.Error{Status: http.StatusInternalServerError, Code: "unexpected_failure",
		Message: "Unexpected failure, please check server logs for more information"}
	errBusy = &authn.Error{Status: http.StatusServiceUnavailable, Code: "unexpected_failure",
		Message: "The server is busy, try again", RetryAfter: time.Second, DataCode: "PGRST003"}
	errNoDatabase = &authn.Error{Status: http.StatusServiceUnavailable, Code: "unexpected_failure",
		Message: "The database cannot be reached, try again", RetryAfter: 2 * time.Second, DataCode: "PGRST001"}
	errTimeout = &authn.Error{Status: http.StatusGatewayTimeout, Code: "request_timeout",
		Message: "The request took too long", DataCode: "57014"}
	errNotFound = &authn.Error{Status: http.StatusNotFound, Code: "not_found",
		Message: "There is nothing at this path", DataCode: "PGRST125"}
	errMethod = &authn.Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
		Message: "The method is not allowed at this path", DataCode: "PGRST117"}
)

// codes maps our own SQLSTATEs, class ZF, to what a client is told. The list is the database's.
type codes map[string]*authn.Error

const sqlCodes = `select fluxbase.error_codes()`

func (s *Server) readCodes(ctx context.Context) (codes, error) {
	text, err := s.gateway.Entry(ctx, own, sqlCodes, nil)
	if err != nil {
		return nil, fmt.Errorf("read error codes: %w", err)
	}
	var rows []struct {
		SQLState string `json:"sqlstate"`
		Status   int    `json:"status"`
		Code     string `json:"code"`
		Message  string `json:"message"`
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, fmt.Errorf("read error codes: %w", err)
	}
	list := make(codes, len(rows))
	for _, row := range rows {
		e := &authn.Error{Status: row.Status, Code: row.Code, Message: row.Message}
		switch row.Status {
		case http.StatusUnauthorized:
			e.Challenge = `error="invalid_token"`
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			e.RetryAfter = time.Second
		}
		list[row.SQLState] = e
	}
	return list, nil
}

// problem is what a client is told of an error.
func (s *Server) problem(err error) *authn.Error {
	var (
		refusal *authn.Error
		web     *echo.HTTPError
		pg      *pgconn.PgError
	)
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.Is(err, gateway.ErrBusy):
		return errBusy
	case errors.Is(err, gateway.ErrUnavailable):
		return errNoDatabase
	case errors.As(err, &pg):
		if known, ok := s.codes[pg.Code]; ok {
			return known
		}
		switch pg.Code {
		case "57014", "55P03": // query_canceled, lock_not_available
			return errTimeout
		}
		return errUnexpected
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errTimeout
	case errors.As(err, &web) && web.Code == http.StatusNotFound:
		return errNotFound
	case errors.As(err, &web) && web.Code == http.StatusMethodNotAllowed:
		return errMethod
	}
	return errUnexpected
}

// fail answers a request that ended in an error, and logs what the client is not told.
func (s *Server) fail(err error, c echo.Context) {
	e := s.problem(err)
	if protections[e.Code] {
		s.metrics.Refused(e.Code)
	}
	if e.Status >= http.StatusInternalServerError && c.Request().Context().Err() == nil {
		level := slog.LevelError
		if errors.Is(err, gateway.ErrBusy) || e.Status == http.StatusServiceUnavailable {
			level = slog.LevelWarn
		}
		s.log.LogAttrs(c.Request().Context(), level, "request failed", append(details(err),
			slog.String("request_id", requestID(c)), slog.String("method", c.Request().Method),
			slog.String("route", c.Path()), slog.Int("status", e.Status))...)
	}
	if !c.Response().Committed {
		s.answer(c.Response(), c.Request(), e)
	}
}

// details is what an error says, without values of rows.
func details(err error) []slog.Attr {
	attrs := []slog.Attr{slog.Any("error", err)}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		attrs = append(attrs, slog.String("sqlstate", pg.Code), slog.String("where", functions(pg.Where)))
		if impersonal(pg) {
			attrs = append(attrs, slog.String("detail", pg.Detail), slog.String("hint", pg.Hint))
		}
	}
	return attrs
}

// functions are the lines of an error's context that name functions. The others quote what was worked on: a statement with its
// values, a piece of a JSON document, a parameter.
func functions(where string) string {
	var kept []string
	for line := range strings.Lines(where) {
		if line = strings.TrimSuffix(line, "\n"); strings.HasPrefix(line, "PL/pgSQL function ") || strings.HasPrefix(line, "SQL function ") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// impersonal tells whether the details of an error hold no values of rows: those of our own errors, and PostgreSQL's of rights and
// names and of its own troubles. A violated constraint tells the whole row, and what an application raises, anything.
func impersonal(err *pgconn.PgError) bool {
	if strings.HasPrefix(err.Code, "ZF") {
		return true
	}
	if err.Routine == "exec_stmt_raise" { // RAISE of PL/pgSQL, under a code of its choice
		return false
	}
	for _, class := range [...]string{"42", "53", "55", "57", "58", "XX"} {
		if strings.HasPrefix(err.Code, class) {
			return true
		}
	}
	return false
}

// answer sends an error in the form of the API whose path was asked for.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, e *authn.Error) {
	path := r.URL.Path
	switch {
	case below(path, authPrefixes):
		e.Write(w, r)
	case below(path, dataPrefixes):
		writeDataError(w, e)
	default:
		e.WriteHeaders(w.Header())
		authn.WriteJSON(w, e.Status, struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		}{e.Code, e.Message})
	}
}

func below(path string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if rest, ok := strings.CutPrefix(path, prefix); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// writeDataError sends an error as PostgREST does.
func writeDataError(w http.ResponseWriter, e *authn.Error) {
	code := e.Code
	if e.DataCode != "" {
		code = e.DataCode
	}
	e.WriteHeaders(w.Header())
	authn.WriteJSON(w, e.Status, struct {
		Code    string  `json:"code"`
		Message string  `json:"message"`
		Details *string `json:"details"`
		Hint    *string `json:"hint"`
	}{Code: code, Message: e.Message})
}

// refused answers a data request whose session, key or role the database refused. The key is looked up anew next time.
func (s *Server) refused(w http.ResponseWriter, r *http.Request, err *pgconn.PgError) {
	caller := callerOf(r)
	if err.Code == "ZF402" {
		s.gate.Forget(caller.APIKeyID)
	}
	e := s.problem(err)
	if e.Status >= http.StatusInternalServerError {
		s.log.LogAttrs(r.Context(), slog.LevelError, "data request refused", append(details(err),
			slog.String("request_id", caller.RequestID), slog.Int("status", e.Status))...)
	}
	writeDataError(w, e)
}
