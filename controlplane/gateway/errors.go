package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

var (
	// ErrBusy reports that no connection became free within the acquire timeout. The caller may try again later.
	ErrBusy = errors.New("gateway: all connections are busy")

	// ErrUnavailable reports that the database cannot be reached, that the connection broke, that the gate is not usable
	// (as opposed to: it refused) or that the gateway is closed. It wraps the cause. After a write it means that the
	// outcome is unknown.
	ErrUnavailable = errors.New("gateway: database unavailable")
)

// SQLSTATE values that the gateway acts on.
const (
	codeInsufficientPrivilege = "42501"
	codeUndefinedStatement    = "26000" // the prepared statement does not exist
	codeFeatureNotSupported   = "0A000" // among others: cached plan must not change result type
	codeQueryCanceled         = "57014"
	classRefusal              = "ZF" // our own class: the gate's refusals
)

// messageContextChanged is the message with which gate and helpers refuse a context whose MAC does not match.
const messageContextChanged = "request context was changed"

// unavailable wraps the cause of a lost or unreachable database.
func unavailable(cause error) error {
	return fmt.Errorf("%w: %w", ErrUnavailable, cause)
}

// isFatal reports whether PostgreSQL closed the connection with this error.
func isFatal(err *pgconn.PgError) bool {
	severity := err.SeverityUnlocalized
	if severity == "" {
		severity = err.Severity
	}
	return severity == "FATAL" || severity == "PANIC"
}

// isRefusal reports whether the error is an answer of the gate rather than its failure.
func isRefusal(err *pgconn.PgError) bool {
	return len(err.Code) == 5 && err.Code[:2] == classRefusal
}

// isStale reports that a prepared statement cannot be run any more: it is gone, or its result type has changed.
func isStale(err *pgconn.PgError) bool {
	return err.Code == codeUndefinedStatement ||
		err.Code == codeFeatureNotSupported && err.Routine == "RevalidateCachedQuery" // the message may be translated
}

// isContextChanged reports whether the context's MAC was not accepted.
func isContextChanged(err *pgconn.PgError) bool {
	return err.Code == codeInsufficientPrivilege && err.Message == messageContextChanged
}

// isCanceled reports whether PostgreSQL ended the statement because ctx ended.
func isCanceled(ctx context.Context, err *pgconn.PgError) bool {
	return err.Code == codeQueryCanceled && ctx.Err() != nil
}

// canceled returns the error for a statement that ended because its context did.
func canceled(ctx context.Context) error {
	return fmt.Errorf("gateway: statement canceled: %w", contextError(ctx))
}

// contextError returns why ctx ended: context.Canceled or context.DeadlineExceeded, with the cause if it has another.
func contextError(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != ctx.Err() {
		return fmt.Errorf("%w: %w", ctx.Err(), cause)
	}
	return ctx.Err()
}
