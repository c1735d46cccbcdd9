package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

const contentTypeJSON = "application/json; charset=utf-8"

// answer is the row of a statement, copied.
type answer struct {
	body []byte
	rows int64
}

// maxKept is the size in bytes up to which the buffer of an answer is kept for the next one.
const maxKept = 256 << 10

var answers = sync.Pool{New: func() any { return new(answer) }}

func (a *answer) free() {
	if cap(a.body) <= maxKept {
		answers.Put(a)
	}
}

// take copies the row; the bytes are valid only during the call.
func (a *answer) take(row [][]byte) (err error) {
	if len(row) != 2 {
		return fmt.Errorf("rest: a row of %d columns", len(row))
	}
	a.body = append(a.body[:0], row[0]...)
	a.rows, err = strconv.ParseInt(string(row[1]), 10, 64)
	return err
}

// write answers a request that succeeded.
func (a *answer) write(w http.ResponseWriter, r *Request, p *Plan) {
	header := w.Header()
	status := http.StatusOK
	hasBody := true
	switch r.Action {
	case Read:
		header.Set("Content-Range", contentRange(r.Offset, a.rows))
	case Call:
		if p.routine.Returns == Void {
			status, hasBody = http.StatusNoContent, false
			break
		}
		header.Set("Content-Range", contentRange(r.Offset, a.rows))
	case Insert:
		status, hasBody = http.StatusCreated, r.Return == ReturnRepresentation
		header.Set("Content-Range", "*/*")
	case Update, Delete:
		if hasBody = r.Return == ReturnRepresentation; !hasBody {
			status = http.StatusNoContent
		}
		rows := a.rows
		if r.Action == Delete {
			rows = 0
		}
		header.Set("Content-Range", contentRange(0, rows))
	}
	if r.Action == Insert || r.Action == Update || r.Action == Delete {
		switch r.Return {
		case ReturnRepresentation:
			header.Set("Preference-Applied", "return=representation")
		case ReturnMinimal:
			header.Set("Preference-Applied", "return=minimal")
		}
	}
	if !hasBody {
		w.WriteHeader(status)
		return
	}
	header.Set("Content-Type", contentTypeJSON)
	if r.Head {
		w.WriteHeader(status)
		return
	}
	header.Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(status)
	_, _ = w.Write(a.body) // the client went away: nobody is left to tell
}

// contentRange says which rows of the whole the answer holds; how many there are is not known.
func contentRange(offset, rows int64) string {
	if rows == 0 {
		return "*/*"
	}
	b := make([]byte, 0, 24)
	b = strconv.AppendInt(b, offset, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, offset+rows-1, 10)
	return string(append(b, "/*"...))
}

// fail answers a request that did not succeed.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, caller gateway.Caller, err error) {
	var refusal *Error
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &refusal):
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		return // the client went away
	case errors.Is(err, gateway.ErrBusy):
		w.Header().Set("Retry-After", "1")
		refusal = &Error{Status: http.StatusServiceUnavailable, Code: "PGRST003",
			Message: "Timed out acquiring connection from connection pool."}
	case errors.Is(err, gateway.ErrUnavailable):
		w.Header().Set("Retry-After", "5")
		refusal = &Error{Status: http.StatusServiceUnavailable, Code: "PGRST001",
			Message: "Database connection error. Retrying the connection."}
	case errors.As(err, &pg):
		if len(pg.Code) == 5 && pg.Code[:2] == "ZF" {
			h.Refused(w, r, pg)
			return
		}
		refusal = fromPostgres(pg, caller.Role == "anon", h.Detail)
	case errors.Is(err, context.DeadlineExceeded):
		refusal = &Error{Status: http.StatusGatewayTimeout, Code: "57014", Message: "the request took too long"}
	default:
		refusal = &Error{Status: http.StatusInternalServerError, Code: "PGRSTX00", Message: "internal error"}
	}
	if refusal.Status >= http.StatusInternalServerError {
		h.Logger.LogAttrs(r.Context(), slog.LevelError, "data request failed",
			slog.String("request_id", caller.RequestID), slog.Int("status", refusal.Status),
			slog.String("code", refusal.Code), slog.Any("error", err))
	}
	refusal.write(w, r.Method == http.MethodHead)
}

// write renders the error as PostgREST does.
func (e *Error) write(w http.ResponseWriter, head bool) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	// Strings and nulls always encode.
	_ = encoder.Encode(struct {
		Code    string  `json:"code"`
		Message string  `json:"message"`
		Details *string `json:"details"`
		Hint    *string `json:"hint"`
	}{e.Code, e.Message, nullable(e.Details), nullable(e.Hint)})
	text := bytes.TrimSuffix(body.Bytes(), []byte{'\n'})

	header := w.Header()
	header.Set("Content-Type", contentTypeJSON)
	header.Set("Content-Length", strconv.Itoa(len(text)))
	if e.allow != "" {
		header.Set("Allow", e.allow)
	}
	if e.Status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(e.Status)
	if !head {
		_, _ = w.Write(text) // the client went away: nobody is left to tell
	}
}

// nullable returns nil for the empty string.
func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
