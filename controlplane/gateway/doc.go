// Package gateway turns one HTTP request into one write to PostgreSQL and one read from it.
//
// Each request is a batch of three statements and one Sync:
//
//	reset role                     undoes a role that an earlier request left behind
//	select fluxbase.begin_request  the gate: is the session alive, then role, context, timeouts
//	the statement of the request   runs as the role that the gate has set
//
// There is no BEGIN and no COMMIT: PostgreSQL treats the statements up to the Sync as one implicit transaction, and an
// error in one of them skips all that follow. When the gate refuses, the statement does not run. A request whose effects
// are not wanted ([QueryOptions].Rollback) has an explicit transaction and its ROLLBACK in the same write. What needs several
// statements, as a large insert does, has a round trip for each; see [Gateway.Transaction].
//
// Reads whose statement is known to be fast wait in a [lane] for one of half of the pool's connections, and those who wait go
// together: several batches in one write, each with its own Sync, so each is a transaction and an answer of its own.
//
// # Statements
//
// Every connection keeps its own bounded cache of prepared statements, keyed by role and text, because a plan under row
// level security belongs to a role. On first use the Parse message travels in the same write, behind the gate, so that
// names are resolved with the rights of the request and no round trip is added. Parameters and results are in text
// format and typed by PostgreSQL, so no description of a statement is ever needed or asked for. With
// [PoolerTransaction] all statements are unnamed and parsed anew, which works behind any transaction pooler.
//
// # Three logins
//
// Requests with a service key use the login fluxbase_service, all others fluxbase_api, and entry points of the schema
// fluxbase are called by fluxbase_server, which never runs text that came from a request. See [Gateway.Query] and
// [Gateway.Entry].
//
// # Failures
//
// Check [ErrBusy] and [ErrUnavailable] first; what remains is a *pgconn.PgError, an error of the context, or the error
// of the caller's own function. A batch is sent a second time only where that cannot do anything twice:
//
//   - nothing had been sent, or the request is read-only and no row was delivered;
//   - the gate could not run, as opposed to: it refused. That connection was damaged by an earlier request and is closed;
//   - a cached statement was gone or its result type had changed: PostgreSQL has rolled the batch back;
//   - the context key was replaced since it was read.
//
// A write whose connection broke after it was sent is never repeated: its outcome is unknown and the caller is told
// [ErrUnavailable].
package gateway
