package gateway

import (
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// A batch that is undone runs in an explicit transaction. Its ROLLBACK stands behind the Sync, so that it runs after an
// error, too, which skips everything up to the Sync; it is part of the same write. Before that, deferred constraints are
// checked as the commit would have checked them.
const (
	beginSQL       = "begin"
	constraintsSQL = "set constraints all immediate"
	rollbackSQL    = "rollback"
)

// sendBegin queues the begin of a batch that is undone.
func (c *conn) sendBegin() {
	sendUnnamed(c.pg.Frontend(), beginSQL, nil, nil, nil, nil)
}

// sendRollback queues the end of a batch that is undone, all but its last Sync.
func (c *conn) sendRollback(pipeline *pgconn.Pipeline) {
	sendUnnamed(c.pg.Frontend(), constraintsSQL, nil, nil, nil, nil)
	pipeline.SendPipelineSync()
	sendUnnamed(c.pg.Frontend(), rollbackSQL, nil, nil, nil, nil)
}

// receiveRollback reads the answer to sendRollback. Without one the connection is not used again, which undoes the
// transaction, too.
func (c *conn) receiveRollback(pipeline *pgconn.Pipeline, out *outcome) {
	f := c.pg.Frontend()
	for done := false; !done; {
		msg, err := f.Receive()
		if err != nil {
			out.lose(err)
			return
		}
		switch msg.(type) {
		case *pgproto3.CommandComplete:
			done = true
		case *pgproto3.ParseComplete, *pgproto3.BindComplete,
			*pgproto3.NoticeResponse, *pgproto3.ParameterStatus, *pgproto3.NotificationResponse:
		default:
			out.broken = true
			c.abandon()
			return
		}
	}
	c.receiveSync(pipeline, out)
}
