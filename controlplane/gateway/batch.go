package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// stage says which statement of a batch the server has reached.
type stage int

const (
	stageBegin stage = iota // of a batch that is undone
	stageReset
	stageGate
	stageBefore
	stageCost
	stageStatement
	stageConstraints // of a batch that is undone
	stageDone        // all statements have completed; what is left is the commit
)

// has tells whether the batch has a statement of this stage.
func (b *batch) has(s stage) bool {
	switch s {
	case stageBegin, stageConstraints:
		return b.rollback
	case stageGate:
		return b.gate != nil
	case stageBefore:
		return b.before != nil
	case stageCost:
		return b.maxCost > 0
	}
	return true
}

// from returns the first stage, of this one and those after it, that the batch has.
func (b *batch) from(s stage) stage {
	for !b.has(s) {
		s++
	}
	return s
}

// binaryFormat asks for all result columns in binary format.
var binaryFormat = []int16{1}

// gateStatement is the statement that a pool's batches begin with, behind reset role.
type gateStatement struct {
	name    string // under which each connection has it prepared
	sql     string
	types   []uint32
	formats []int16
}

const (
	resetName = "fluxbase_reset"
	resetSQL  = "reset role"
)

// maxParameters is the limit of the protocol's Bind message.
const maxParameters = 65535

// batch is one request as it goes to a connection.
type batch struct {
	gate       *gateStatement // nil: no gate, only for statements of our own
	gateParams [][]byte
	key        statementKey
	args       [][]byte
	results    []int16 // result formats; nil is text
	once       bool    // do not keep the statement
	fresh      bool    // do not trust the cached form of the statement
	scrub      bool    // afterwards drop what only a volatile function can leave behind
	rollback   bool    // undo everything at the end
	before     *Statement
	maxCost    float64 // refuse a statement whose estimated cost is above it; 0 is no limit
	row        func([][]byte) error
}

// outcome says how a batch ended.
type outcome struct {
	err    error // nil, *pgconn.PgError or what broke the connection
	rowErr error // first error of the row function; rows after it were dropped
	stage  stage // stage in which err was raised
	rows   bool  // the row function was called
	cached bool  // the statement ran in a form that was prepared by an earlier batch
	broken bool  // the connection must not be used again
	lost   bool  // broken from outside: the server ended it or cannot be reached
}

// validate refuses what cannot be told to the server.
func (b *batch) validate() error {
	if len(b.args) > maxParameters {
		return fmt.Errorf("gateway: %d parameters, the protocol allows %d", len(b.args), maxParameters)
	}
	// The text is a zero-terminated string of the protocol: what follows a NUL would be read as further fields.
	if strings.IndexByte(b.key.sql, 0) >= 0 {
		return errors.New("gateway: statement contains a NUL")
	}
	return nil
}

// run sends b in one write and reads the answer up to the last ReadyForQuery.
//
// pgconn's Pipeline provides the lock, the watch of the context, the flush that cannot deadlock, and the Sync; the
// messages before the Sync are written to and read from the connection's Frontend directly. That spares the pipeline's
// bookkeeping per statement and its Describe messages, which nothing here needs.
func (c *conn) run(ctx context.Context, b *batch) (out outcome) {
	pipeline := c.pg.StartPipeline(ctx)
	if !c.pg.IsBusy() { // the context is done already, or the connection is closed
		out.err, out.broken = pipeline.Close(), c.pg.IsClosed()
		return out
	}
	finished := false
	defer func() {
		if !finished { // the row function panicked
			c.abandon()
			_ = pipeline.Close()
		}
	}()

	if b.rollback {
		c.sendBegin()
	}
	statement := c.send(b, &out)
	if b.rollback {
		c.sendRollback(pipeline)
	}
	pipeline.SendPipelineSync()
	scrub := b.scrub && !c.unnamed
	if scrub {
		c.sendScrub(pipeline)
	}
	if err := pipeline.Flush(); err != nil {
		finished = true
		_ = pipeline.Close()
		out.lose(err)
		return out
	}

	c.receive(b, statement, &out)
	if !out.broken {
		c.receiveSync(pipeline, &out)
	}
	if !out.broken && b.rollback {
		c.receiveRollback(pipeline, &out)
	}
	if !out.broken && scrub {
		c.receiveScrub(pipeline, &out)
	}

	finished = true
	// An answer that was not read to its end makes Close read on, fail, cancel the statement and close the connection.
	// The outcome is known by then, so its error says nothing new.
	_ = pipeline.Close()
	if c.pg.IsClosed() || c.pg.TxStatus() != 'I' {
		out.broken = true
	}
	return out
}

// send queues the messages of the batch and returns the statement that it prepares, if it prepares one.
func (c *conn) send(b *batch, out *outcome) *prepared {
	f := c.pg.Frontend()
	if c.unnamed {
		sendUnnamed(f, resetSQL, nil, nil, nil, nil)
		if b.gate != nil {
			sendUnnamed(f, b.gate.sql, b.gate.types, b.gateParams, b.gate.formats, nil)
		}
		b.sendBefore(f)
		sendUnnamed(f, b.key.sql, nil, b.args, nil, b.results)
		return nil
	}

	known := c.statements.get(b.key)
	if known != nil && (b.fresh || known.stale) {
		// First, so that no error of the batch can keep the server from closing it. Closing what does not exist is no error.
		c.statements.remove(known)
		f.SendClose(&pgproto3.Close{ObjectType: 'S', Name: known.name})
		known = nil
	}
	if known == nil && !b.once {
		if old := c.statements.evict(); old != nil {
			f.SendClose(&pgproto3.Close{ObjectType: 'S', Name: old.name})
		}
	}

	sendBound(f, resetName, nil, nil, nil)
	if b.gate != nil {
		sendBound(f, b.gate.name, b.gateParams, b.gate.formats, nil)
	}
	b.sendBefore(f)
	switch {
	case known != nil:
		out.cached = true
		c.sendCost(b, known)
		sendBound(f, known.name, b.args, nil, b.results)
		return nil
	case b.once:
		sendUnnamed(f, b.key.sql, nil, b.args, nil, b.results)
		return nil
	default:
		p := c.statements.next(b.key)
		f.SendParse(&pgproto3.Parse{Name: p.name, Query: b.key.sql})
		c.sendCost(b, p)
		sendBound(f, p.name, b.args, nil, b.results)
		return p
	}
}

// sendBefore queues the statement before the statement, if there is one.
func (b *batch) sendBefore(f *pgproto3.Frontend) {
	if b.before != nil {
		sendUnnamed(f, b.before.SQL, nil, b.before.Args, nil, nil)
	}
}

func sendBound(f *pgproto3.Frontend, name string, params [][]byte, formats, results []int16) {
	f.SendBind(&pgproto3.Bind{
		PreparedStatement:    name,
		Parameters:           params,
		ParameterFormatCodes: formats,
		ResultFormatCodes:    results,
	})
	f.SendExecute(&pgproto3.Execute{})
}

func sendUnnamed(f *pgproto3.Frontend, sql string, types []uint32, params [][]byte, formats, results []int16) {
	f.SendParse(&pgproto3.Parse{Query: sql, ParameterOIDs: types})
	sendBound(f, "", params, formats, results)
}

// receive reads the answer up to the end of the last statement or to the first error. statement, if not nil, enters the
// cache as soon as the server has parsed it: a prepared statement outlives the rollback of its transaction.
func (c *conn) receive(b *batch, statement *prepared, out *outcome) {
	f := c.pg.Frontend()
	out.stage = b.from(stageBegin)
	for out.stage < stageDone {
		msg, err := f.Receive()
		if err != nil {
			out.lose(err)
			return
		}
		switch msg := msg.(type) {
		case *pgproto3.DataRow:
			if out.stage == stageStatement && out.rowErr == nil {
				out.rows = true
				out.rowErr = b.row(msg.Values)
			}
		case *pgproto3.CommandComplete, *pgproto3.EmptyQueryResponse:
			out.stage = b.from(out.stage + 1)
		case *pgproto3.ParseComplete:
			if statement != nil && out.stage > stageBefore { // what was parsed before that has no name
				c.statements.add(statement)
				statement = nil
			}
		case *pgproto3.ErrorResponse:
			err := pgconn.ErrorResponseToPgError(msg)
			if known := c.statements.get(b.key); known != nil && out.cached && isStale(err) {
				known.stale = true // even if the request is repeated on another connection
			}
			c.fail(err, out)
			return
		case *pgproto3.BindComplete, *pgproto3.CloseComplete,
			*pgproto3.NoticeResponse, *pgproto3.ParameterStatus, *pgproto3.NotificationResponse:
		default:
			// COPY, above all: while it waits for data the server does not even read the Sync.
			out.err, out.broken = fmt.Errorf("gateway: unexpected %T", msg), true
			c.abandon()
			return
		}
	}
}

// receiveSync reads up to ReadyForQuery. An error in front of it is the commit's, for instance of a deferred constraint.
func (c *conn) receiveSync(pipeline *pgconn.Pipeline, out *outcome) {
	for {
		result, err := pipeline.GetResults()
		if err == nil {
			if _, ok := result.(*pgconn.PipelineSync); ok {
				return
			}
			err = fmt.Errorf("gateway: unexpected %T instead of ReadyForQuery", result)
		}
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) {
			out.lose(err)
			return
		}
		c.fail(pgErr, out)
		if out.broken {
			return
		}
	}
}

// fail records an error of the server; the first one counts.
func (c *conn) fail(err *pgconn.PgError, out *outcome) {
	if out.err == nil {
		out.err = err
	}
	if isFatal(err) {
		out.lose(err)
		c.abandon()
	}
}

// lose records that the connection ended; an earlier error counts.
func (out *outcome) lose(err error) {
	out.broken, out.lost = true, true
	if out.err == nil {
		out.err = err
	}
}
