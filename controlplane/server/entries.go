package server

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/authn"
	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

const (
	stateTokenDenied = "ZF406"
	sqlTokenDenied   = `select fluxbase.token_denied(p_detail => $1)`
)

// auditedEntries calls entry points and records a token that was denied for its claims. The entry point was rolled
// back, so that a session begun is none and a refresh token not used up; the record needs a transaction of its own.
type auditedEntries struct{ authn.Entries }

// Entry is that of the gateway.
func (e auditedEntries) Entry(ctx context.Context, caller gateway.Caller, sql string, args [][]byte) ([]byte, error) {
	answer, err := e.Entries.Entry(ctx, caller, sql, args)
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) && refusal.Code == stateTokenDenied {
		if _, failed := e.Entries.Entry(ctx, caller, sqlTokenDenied, [][]byte{[]byte(refusal.Detail)}); failed != nil {
			return answer, errors.Join(err, failed)
		}
	}
	return answer, err
}
