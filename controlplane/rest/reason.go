package rest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/planner"
)

// ReasonHeader carries, in development, why a request was refused or wrote no row.
const ReasonHeader = "Fluxbase-Reason"

// Denial is a request that lacked a right, or whose write touched no row.
type Denial struct {
	Table     string   // SQL of its name
	Command   string   // select, insert, update or delete
	Row       []byte   // JSON object that the filters find, whoever asks; nil when there is none
	New       [][]byte // JSON objects that were to be written
	Reads     bool     // the statement reads columns, as a filter does
	Returning bool
}

// maxExplained is how many of the rows of a body are looked at.
const maxExplained = 10

// explain says why a request was refused, in a header and as the hint of the error, or why its write had no effect.
// It does nothing in production, where nobody explains.
func (h *Handler) explain(w http.ResponseWriter, r *http.Request, caller gateway.Caller, request *dialect.Request, plan *planner.Plan, a *answer, err error) {
	if h.Reason == nil || plan == nil || plan.Relation == nil {
		return
	}
	var pg *pgconn.PgError
	switch {
	case err == nil && a.rows == 0 && (plan.Action == dialect.Update || plan.Action == dialect.Delete):
	case errors.As(err, &pg) && pg.Code == "42501":
	default:
		return
	}
	denial, found := h.denial(r.Context(), request, plan)
	reason := "no row matches the filters, whoever asks"
	if found || err != nil {
		var problem error
		if reason, problem = h.Reason(r.Context(), caller, denial); problem != nil {
			h.Logger.LogAttrs(r.Context(), slog.LevelWarn, "why a request was refused could not be found out",
				slog.String("request_id", caller.RequestID), slog.Any("error", problem))
			return
		}
	}
	if reason == "" {
		return
	}
	w.Header().Set(ReasonHeader, oneLine(reason))
	if pg != nil && pg.Hint == "" {
		pg.Hint = reason
	}
}

// denial gathers what an explanation needs. The row that the filters name is read with the rights of a service key:
// the caller may not see it, and is not shown it.
func (h *Handler) denial(ctx context.Context, request *dialect.Request, plan *planner.Plan) (d Denial, found bool) {
	d = Denial{Table: plan.Relation.SQL, Command: commands[plan.Action], Reads: len(request.Where) > 0, Returning: plan.Represents()}
	for _, body := range plan.Bodies() {
		var rows []json.RawMessage
		if json.Unmarshal(body, &rows) == nil && len(d.New)+len(rows) <= maxExplained {
			for _, row := range rows {
				d.New = append(d.New, row)
			}
		}
	}
	if plan.Action != dialect.Update && plan.Action != dialect.Delete {
		return d, true
	}
	d.Row, found = h.hiddenRow(ctx, request)
	return d, found
}

// hiddenRow reads the first row that the filters name. When it cannot be read the question is asked without it.
func (h *Handler) hiddenRow(ctx context.Context, request *dialect.Request) (row []byte, found bool) {
	current := h.Cache.Current()
	one := int64(1)
	plan, refusal := planner.New(current, &dialect.Request{Action: dialect.Read, Get: true, Schema: request.Schema, Name: request.Name,
		Query: dialect.Query{Where: request.Where, Limit: &one}})
	if refusal != nil {
		return nil, true
	}
	var rows []json.RawMessage
	err := h.Gateway.Query(ctx, gateway.Caller{Role: "service_role"}, plan.Statement(), gateway.QueryOptions{ReadOnly: true}, func(row [][]byte) error {
		return json.Unmarshal(row[0], &rows)
	})
	if err != nil {
		return nil, true
	}
	if len(rows) == 0 {
		return nil, false
	}
	return rows[0], true
}

// commands are what auth.explain_access calls the actions on a table.
var commands = map[dialect.Action]string{dialect.Read: "select", dialect.Insert: "insert", dialect.Put: "insert", dialect.Update: "update", dialect.Delete: "delete"}

// oneLine is text that a header may hold.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
