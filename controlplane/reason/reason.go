// Package reason says why row security refused a request, for developers: the verdict of auth.explain_access and the
// policies that decided. It serves in development alone. The question is asked on a connection of its own whose login is
// a member of fluxbase_admin; the logins of the server's pools could not ask it and get no right for it.
package reason

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Question is what was refused, or had no effect.
type Question struct {
	User      uuid.UUID // uuid.Nil: a caller without a token
	Session   uuid.UUID // whose active organization is the user's; uuid.Nil: none, as with a key
	Role, AAL string
	Table     string // SQL of its name
	Command   string // select, insert, update or delete
	Row, New  []byte // JSON objects; nil when there is none
	Reads     bool   // the statement reads columns, as a filter does
	Returning bool
}

// timeout bounds one question, with the connection that it may need.
const timeout = 5 * time.Second

// Explainer asks. It opens its connection at the first question; several callers wait for each other.
type Explainer struct {
	connect func(context.Context) (*pgx.Conn, error)
	mu      sync.Mutex
	conn    *pgx.Conn
}

// New returns an Explainer on connections that connect opens, of a member of fluxbase_admin.
func New(connect func(context.Context) (*pgx.Conn, error)) *Explainer {
	return &Explainer{connect: connect}
}

// Close ends the connection.
func (e *Explainer) Close(ctx context.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hangUp(ctx)
}

func (e *Explainer) hangUp(ctx context.Context) {
	if e.conn != nil {
		_ = e.conn.Close(ctx)
		e.conn = nil
	}
}

// line is one of auth.explain_access.
type line struct{ Phase, Kind, Name, Result, Detail string }

// Explain answers in one line: the verdict, its reason, and what decided. Denied tells whether the verdict is that.
func (e *Explainer) Explain(ctx context.Context, q Question) (text string, denied bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn == nil || e.conn.IsClosed() {
		if e.conn, err = e.connect(ctx); err != nil {
			return "", false, err
		}
	}
	lines, err := ask(ctx, e.conn, q)
	if err != nil {
		e.hangUp(context.WithoutCancel(ctx))
		return "", false, err
	}
	return sentence(lines)
}

func ask(ctx context.Context, conn *pgx.Conn, q Question) (lines []line, err error) {
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `set local role fluxbase_admin`); err != nil {
			return err
		}
		var user, session, aal *string
		if q.User != uuid.Nil {
			id := q.User.String()
			user = &id
		}
		if q.Session != uuid.Nil {
			id := q.Session.String()
			session = &id
		}
		if q.AAL != "" {
			aal = &q.AAL
		}
		rows, err := tx.Query(ctx, `
			select coalesce(phase, ''), kind, coalesce(name, ''), coalesce(result, ''), coalesce(detail, '')
			from auth.explain_access(p_user => $1, p_table => $2::text::regclass, p_command => $3, p_row => $4, p_new => $5,
			                         p_reads => $6, p_returning => $7, p_aal => coalesce($8, 'aal1'), p_role => $9,
			                         p_org => case when $1::text is not null then coalesce((
			                           select s.org_id::text from auth.sessions_of(p_user => $1) s where s.id = $10::uuid), '') end)`,
			user, q.Table, q.Command, document(q.Row), document(q.New), q.Reads, q.Returning, aal, q.Role, session)
		if err != nil {
			return err
		}
		lines, err = pgx.CollectRows(rows, pgx.RowToStructByPos[line])
		return err
	})
	return lines, err
}

func document(text []byte) any {
	if text == nil {
		return nil
	}
	return json.RawMessage(text)
}

func sentence(lines []line) (text string, denied bool, err error) {
	var decided []string
	for _, l := range lines {
		if l.Kind == "verdict" {
			text = l.Result
			if l.Detail != "" {
				text += ": " + l.Detail
			}
			denied = l.Result == "denied"
			continue
		}
		if l.Result == "fail" || l.Result == "null" || l.Result == "error" {
			decided = append(decided, fmt.Sprintf("%s %s %s", l.Kind, l.Name, l.Result))
		}
	}
	if text == "" {
		return "", false, errors.New("auth.explain_access gave no verdict")
	}
	if denied && decided != nil {
		text += " (" + strings.Join(compact(decided), ", ") + ")"
	}
	return text, denied, nil
}

// compact drops what was said before: a policy is asked in several phases.
func compact(all []string) []string {
	seen := map[string]bool{}
	var kept []string
	for _, s := range all {
		if !seen[s] {
			seen[s] = true
			kept = append(kept, s)
		}
	}
	return kept
}
