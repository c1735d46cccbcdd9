package gateway

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Scrubbing
//
// The gate undoes what an earlier request left behind in the session, with one exception: prepared statements. SQL
// inside a volatile function can DEALLOCATE one and PREPARE another under its name, even in a read-only transaction,
// and the names are readable in pg_prepared_statements. The next request on that connection, somebody else's, would
// bind its context to the foreign statement. So a request that may run volatile functions of the application is
// followed, in the same write, by the statements below and by preparing the gate anew. They are outside the request's
// transaction and travel unnamed, so they cannot be replaced themselves. DISCARD ALL would do the same but also drops
// the plans inside the gate's own functions, which cost more than the whole request.
var scrubSQL = [...]string{
	resetSQL, // the gate can be prepared by the login only
	"deallocate all",
	"close all",  // cursors with hold
	"unlisten *", // channels
}

// sendScrub queues the messages behind the Sync of the request.
func (c *conn) sendScrub(pipeline *pgconn.Pipeline) {
	f := c.pg.Frontend()
	for _, sql := range scrubSQL {
		sendUnnamed(f, sql, nil, nil, nil, nil)
	}
	f.SendParse(&pgproto3.Parse{Name: resetName, Query: resetSQL})
	for _, gate := range c.gates {
		f.SendParse(&pgproto3.Parse{Name: gate.name, Query: gate.sql, ParameterOIDs: gate.types})
	}
	pipeline.SendPipelineSync()
}

// receiveScrub reads the answer to sendScrub. When it is not what it should be the connection is broken, but the
// request, whose end is known by now, keeps its outcome.
func (c *conn) receiveScrub(pipeline *pgconn.Pipeline, out *outcome) {
	c.statements.clear()
	f := c.pg.Frontend()
	for parsed := 0; parsed < len(scrubSQL)+1+len(c.gates); {
		msg, err := f.Receive()
		if err != nil {
			out.broken, out.lost = true, true
			return
		}
		switch msg.(type) {
		case *pgproto3.ParseComplete:
			parsed++
		case *pgproto3.BindComplete, *pgproto3.CommandComplete,
			*pgproto3.NoticeResponse, *pgproto3.ParameterStatus, *pgproto3.NotificationResponse:
		default:
			out.broken = true
			c.abandon()
			return
		}
	}
	if result, err := pipeline.GetResults(); err != nil {
		out.broken = true
	} else if _, ok := result.(*pgconn.PipelineSync); !ok {
		out.broken = true
	}
}

// prepareGates prepares reset role and the gates on a new connection.
func (c *conn) prepareGates(pipeline *pgconn.Pipeline) error {
	pipeline.SendPrepare(resetName, resetSQL, nil)
	for _, gate := range c.gates {
		pipeline.SendPrepare(gate.name, gate.sql, gate.types)
	}
	if err := pipeline.Sync(); err != nil {
		return fmt.Errorf("prepare the gate: %w", err)
	}
	var first error
	for {
		result, err := pipeline.GetResults()
		var pgErr *pgconn.PgError
		switch {
		case errors.As(err, &pgErr):
			if first == nil {
				first = err
			}
		case err != nil:
			return fmt.Errorf("prepare the gate: %w", err)
		}
		if _, ok := result.(*pgconn.PipelineSync); ok || (result == nil && err == nil) {
			break
		}
	}
	if first != nil {
		return fmt.Errorf("prepare the gate: %w", first)
	}
	return nil
}
