package mail_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/wayli-app/fluxbase/controlplane/mail/mailtest"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// eventually waits until a query says what it should.
func eventually(t *testing.T, s *servertest.Server, want, sql string, args ...any) {
	t.Helper()
	got := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if got = s.Value(t, sql, args...); got == want {
			return
		}
	}
	t.Fatalf("%s: %s, want %s", sql, got, want)
}

// A flow that psql has begun is mailed by a server, with the link and the code that only the server can make.
func TestSender(t *testing.T) {
	t.Parallel()
	inbox := mailtest.Start(t, mailtest.Options{})
	s := servertest.Start(t, append(inbox.Variables(), "FLUXBASE_SERVER_PUBLIC_URL=https://api.example.com", "FLUXBASE_AUTH_SITE_URL=https://app.example.com")...)
	s.CreateUser(t, "ann@example.com")
	id := s.Value(t, `auth.send_mail('recovery', 'ann@example.com')`)
	m := inbox.Next(t, "ann@example.com")
	link := regexp.MustCompile(`https://api\.example\.com/auth/v1/verify\?token=([A-Za-z0-9_-]{43})&type=recovery&redirect_to=https%3A%2F%2Fapp\.example\.com\n`).FindStringSubmatch(m.Text)
	code := regexp.MustCompile(`\b[0-9]{6}\b`).FindString(m.Text)
	if link == nil || code == "" || !strings.Contains(m.HTML, "token="+link[1]+"&amp;type=recovery") || !strings.Contains(m.HTML, code) {
		t.Fatalf("%+v", m)
	}
	if m.From != "no-reply@acme.test" || m.Header.Get("Message-Id") != "<"+id+"@acme.test>" || strings.Contains(m.Text+m.HTML+m.Subject, "FLUXBASE") {
		t.Errorf("%+v", m)
	}
	eventually(t, s, "sent 1", `select status || ' ' || attempts from auth.outbox where id = $1::uuid`, id)
	if got := s.Value(t, `select concat_ws(' ', t.token_hash = sha256($1), t.code_hash <> sha256($2), u.recovery_sent_at is not null)
		from auth.one_time_tokens t join auth.users u on u.id = t.user_id`, []byte(link[1]), []byte(code)); got != "t t t" {
		t.Errorf("stored: %s", got)
	}
	if n := s.Value(t, `select count(*) from (select to_jsonb(m)::text t from auth.mail_outbox m union all select to_jsonb(k)::text from auth.one_time_tokens k
		union all select to_jsonb(a)::text from audit.log a) x where t like '%' || $1 || '%' or t like '%"' || $2 || '"%'`, link[1], code); n != "0" {
		t.Errorf("%s rows hold the link or the code", n)
	}
	if strings.Contains(s.Log.String(), link[1]) || strings.Contains(s.Log.String(), code) {
		t.Error("the log has the link or the code")
	}

	// A refusal for now is tried again and says the same; one for good ends it.
	refusals := 0
	inbox.Refuse(func(string) error {
		if refusals++; refusals < 3 {
			return &smtp.SMTPError{Code: 451, Message: "greylisted"}
		}
		return nil
	})
	again := s.Value(t, `auth.send_mail('magiclink', 'ann@example.com')`)
	eventually(t, s, "pending 1", `select status || ' ' || attempts from auth.outbox where id = $1::uuid and last_error like '%greylisted%'`, again)
	s.Exec(t, `select auth.retry_mail($1)`, again)
	eventually(t, s, "pending 2", `select status || ' ' || attempts from auth.outbox where id = $1::uuid`, again)
	s.Exec(t, `select auth.retry_mail($1)`, again)
	eventually(t, s, "sent 3", `select status || ' ' || attempts from auth.outbox where id = $1::uuid`, again)
	inbox.Next(t, "ann@example.com")
	inbox.Refuse(func(string) error { return &smtp.SMTPError{Code: 550, Message: "no such mailbox"} })
	failed := s.Value(t, `auth.send_mail('magiclink', 'ann@example.com')`)
	eventually(t, s, "failed 1", `select status || ' ' || attempts from auth.outbox where id = $1::uuid and last_error like '%no such mailbox%'`, failed)
	inbox.Refuse(nil)

	s.Exec(t, `select auth.reset_mfa('ann@example.com', 'test')`)
	if m := inbox.Next(t, "ann@example.com"); !strings.Contains(m.Subject, "second factors") {
		t.Errorf("%+v", m)
	}
}

// Of many servers, one sends a mail.
func TestSendersShareTheOutbox(t *testing.T) {
	t.Parallel()
	inbox := mailtest.Start(t, mailtest.Options{})
	variables := append(inbox.Variables(), "FLUXBASE_SERVER_PUBLIC_URL=https://api.example.com")
	s := servertest.Start(t, variables...)
	servertest.On(t, s.DB, variables...)
	servertest.On(t, s.DB, variables...)
	s.Exec(t, `select auth.create_user('user' || i || '@example.com', p_confirmed => false) from generate_series(1, 40) i`)
	s.Exec(t, `select auth.send_mail('confirmation', 'user' || i || '@example.com') from generate_series(1, 40) i`)
	eventually(t, s, "40", `select count(*) from auth.outbox where status = 'sent'`)
	seen := map[string]int{}
	for _, m := range inbox.All() {
		seen[m.To]++
	}
	for to, n := range seen {
		if n != 1 {
			t.Errorf("%s has got %d mails", to, n)
		}
	}
	if len(seen) != 40 {
		t.Errorf("%d addresses", len(seen))
	}
}
