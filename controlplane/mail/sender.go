package mail

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// The entry points of the outbox.
const (
	sqlClaim  = `select fluxbase.mail_claim(p_limit => $1)`
	sqlBegin  = `select fluxbase.mail_begin(p_id => $1, p_token_hash => $2, p_code_hash => $3)`
	sqlFinish = `select fluxbase.mail_finish(p_id => $1, p_error => $2, p_permanent => $3)`
)

const (
	batch        = 5                // mails of one claim: all of them are sent well before it ends
	sendTimeout  = 45 * time.Second // of one mail
	pollInterval = 5 * time.Second  // how late a mail is of which nobody told
	reportTime   = 5 * time.Second  // to say how it went while the server stops
)

// own is the caller of what the server asks for itself.
var own = gateway.Caller{Role: "anon"}

// Entries calls entry points of the schema fluxbase; [gateway.Gateway] does.
type Entries interface {
	Entry(ctx context.Context, caller gateway.Caller, sql string, args [][]byte) ([]byte, error)
}

// Tokens makes the secrets of links and codes; [token.MailTokens] does.
type Tokens interface {
	Mint(id uuid.UUID) (link, code string)
	LinkHash(link string) [32]byte
	CodeHash(address, code string) [32]byte
}

// Transport hands a mail on; [SMTP] does.
type Transport interface {
	Send(ctx context.Context, m Message) error
}

// Sender empties the outbox. Any number of them may run on one database.
type Sender struct {
	entries   Entries
	tokens    Tokens
	transport Transport
	log       *slog.Logger
	wake      chan struct{}
}

// NewSender makes a sender.
func NewSender(entries Entries, tokens Tokens, transport Transport, log *slog.Logger) *Sender {
	return &Sender{entries: entries, tokens: tokens, transport: transport, log: log, wake: make(chan struct{}, 1)}
}

// Wake makes the sender look at the outbox now.
func (s *Sender) Wake() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Run sends until ctx ends.
func (s *Sender) Run(ctx context.Context) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		for n := batch; n == batch && ctx.Err() == nil; {
			var err error
			if n, err = s.sendBatch(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("the outbox was not read", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-ticker.C:
		}
	}
}

type claimed struct {
	ID          uuid.UUID  `json:"id"`
	TokenID     *uuid.UUID `json:"token_id"`
	CodeSubject string     `json:"code_subject"`
}

// sendBatch claims mails and sends them one after the other. It returns how many there were.
func (s *Sender) sendBatch(ctx context.Context) (int, error) {
	var mails []claimed
	if _, err := s.call(ctx, sqlClaim, &mails, []byte(strconv.Itoa(batch))); err != nil {
		return 0, err
	}
	for _, m := range mails {
		if ctx.Err() != nil {
			break // the claim ends by itself
		}
		if err := s.send(ctx, m); err != nil && ctx.Err() == nil {
			s.log.Warn("a mail was not sent", "mail", m.ID, "error", err)
		}
	}
	return len(mails), nil
}

// rendered is a mail as PostgreSQL has it: with marks where the secrets go.
type rendered struct {
	Recipient string    `json:"recipient"`
	Kind      string    `json:"kind"`
	CreatedAt time.Time `json:"created_at"`
	TokenMark string    `json:"token_mark"`
	CodeMark  string    `json:"code_mark"`
	Subject   string    `json:"subject"`
	Text      string    `json:"text"`
	HTML      string    `json:"html"`
}

// send sends one mail and reports how that ended.
func (s *Sender) send(ctx context.Context, m claimed) error {
	var link, code string
	var linkHash, codeHash []byte
	if m.TokenID != nil {
		link, code = s.tokens.Mint(*m.TokenID)
		l, c := s.tokens.LinkHash(link), s.tokens.CodeHash(m.CodeSubject, code)
		linkHash, codeHash = hex.AppendEncode([]byte(`\x`), l[:]), hex.AppendEncode([]byte(`\x`), c[:])
	}
	var raw json.RawMessage
	status, err := s.call(ctx, sqlBegin, &raw, []byte(m.ID.String()), linkHash, codeHash)
	switch {
	case err != nil:
		return err
	case status == "mail_not_found":
		return nil // superseded, used, or another server has it
	case status == "mail_not_rendered":
		var reason string
		if err := json.Unmarshal(raw, &reason); err != nil {
			return err
		}
		return s.finish(ctx, m.ID, fmt.Errorf("template: %s", reason))
	case status != "ok":
		return fmt.Errorf("unexpected status %q of mail_begin", status)
	}
	var r rendered
	if err := json.Unmarshal(raw, &r); err != nil {
		return err
	}
	// Link and code consist of letters, digits, - and _: they need no escaping, neither in a URL nor in HTML.
	put := strings.NewReplacer(r.TokenMark, link, r.CodeMark, code)
	sending, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return s.finish(ctx, m.ID, s.transport.Send(sending, Message{
		ID: m.ID.String(), To: r.Recipient, Subject: r.Subject, Text: put.Replace(r.Text), HTML: put.Replace(r.HTML), Date: r.CreatedAt,
	}))
}

// finish reports how sending ended, also while the server stops, and returns failure.
func (s *Sender) finish(ctx context.Context, id uuid.UUID, failure error) error {
	reporting, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportTime)
	defer cancel()
	var text []byte
	if failure != nil {
		text = []byte(strings.ReplaceAll(strings.ToValidUTF8(failure.Error(), ""), "\x00", ""))
	}
	if _, err := s.call(reporting, sqlFinish, nil, []byte(id.String()), text, strconv.AppendBool(nil, Permanent(failure))); err != nil {
		return err
	}
	return failure
}

// call calls an entry point; its result goes into the value, its status is for the caller.
func (s *Sender) call(ctx context.Context, sql string, result any, args ...[]byte) (status string, err error) {
	text, err := s.entries.Entry(ctx, own, sql, args)
	if err != nil {
		return "", err
	}
	var a struct {
		Status string          `json:"status"`
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return "", fmt.Errorf("unexpected answer of an entry point: %w", err)
	}
	if result != nil && len(a.Result) > 0 {
		if err := json.Unmarshal(a.Result, result); err != nil {
			return "", fmt.Errorf("unexpected answer of an entry point: %w", err)
		}
	}
	return a.Status, nil
}
