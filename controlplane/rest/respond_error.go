package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// fail answers a request that did not succeed.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, caller gateway.Caller, err error) {
	err = h.hideTenant(r, caller, err)
	var refusal *fault.Error
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &refusal):
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		return // the client went away
	case errors.Is(err, gateway.ErrBusy):
		w.Header().Set("Retry-After", "1")
		refusal = &fault.Error{Status: http.StatusServiceUnavailable, Code: "PGRST003",
			Message: "Timed out acquiring connection from connection pool."}
	case errors.Is(err, gateway.ErrUnavailable):
		w.Header().Set("Retry-After", "5")
		refusal = &fault.Error{Status: http.StatusServiceUnavailable, Code: "PGRST001",
			Message: "Database connection error. Retrying the connection."}
	case errors.As(err, &pg):
		if len(pg.Code) == 5 && pg.Code[:2] == "ZF" {
			h.Refused(w, r, pg)
			return
		}
		refusal = fromPostgres(pg, caller.Role == "anon", h.Detail)
	case errors.Is(err, context.DeadlineExceeded):
		refusal = &fault.Error{Status: http.StatusGatewayTimeout, Code: "57014", Message: "the request took too long"}
	default:
		refusal = &fault.Error{Status: http.StatusInternalServerError, Code: "PGRSTX00", Message: "internal error"}
	}
	if refusal.Status >= http.StatusInternalServerError {
		h.Logger.LogAttrs(r.Context(), slog.LevelError, "data request failed",
			slog.String("request_id", caller.RequestID), slog.Int("status", refusal.Status),
			slog.String("code", refusal.Code), slog.Any("error", err))
	}
	h.logDropped(r.Context(), caller, writeError(w, refusal, r.Method == http.MethodHead))
}

// logDropped tells whoever writes the application that headers were dropped.
func (h *Handler) logDropped(ctx context.Context, caller gateway.Caller, names []string) {
	if names != nil {
		h.Logger.LogAttrs(ctx, slog.LevelWarn, "headers that SQL added to an answer are the server's own",
			slog.String("request_id", caller.RequestID), slog.Any("headers", names))
	}
}

// writeError renders the error as PostgREST does. It returns the names of headers that SQL may not add.
func writeError(w http.ResponseWriter, e *fault.Error, head bool) (dropped []string) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	var details any = nullable(e.Details)
	if e.DetailsJSON != nil {
		details = e.DetailsJSON
	}
	// Strings and nulls always encode.
	_ = encoder.Encode(struct {
		Code    string  `json:"code"`
		Message string  `json:"message"`
		Details any     `json:"details"`
		Hint    *string `json:"hint"`
	}{e.Code, e.Message, details, nullable(e.Hint)})
	text := bytes.TrimSuffix(body.Bytes(), []byte{'\n'})

	header := w.Header()
	header.Set("Content-Type", contentTypeJSON)
	header.Set("Content-Length", strconv.Itoa(len(text)))
	if e.ContentRange != "" {
		header.Set("Content-Range", e.ContentRange)
	}
	if e.Allow != "" {
		header.Set("Allow", e.Allow)
	}
	if e.Status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	}
	dropped = addOwn(header, e.Own)
	if !hasContent(e.Status) {
		header.Del("Content-Type")
		header.Del("Content-Length")
	}
	w.WriteHeader(e.Status)
	if !head && hasContent(e.Status) {
		_, _ = w.Write(text) // the client went away: nobody is left to tell
	}
	return dropped
}

// nullable returns nil for the empty string.
func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
