package sqltest

import (
	"crypto/sha256"
	"encoding/json"
	"html"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

const (
	previewToken = "EXAMPLE_of_a_token_that_is_43_characters_or"
	previewCode  = "123456"
)

type mail struct{ Subject, Text, HTML string }

// begun is a mail as a server gets it, with the token and the code of the preview in the places of its marks.
func begun(t *testing.T, server *pgx.Conn) (mail, string) {
	t.Helper()
	claimed := one[json.RawMessage](t, server, `select fluxbase.mail_claim(10) -> 'result'`)
	var rows []struct{ ID uuid.UUID }
	if err := json.Unmarshal(claimed, &rows); err != nil || len(rows) != 1 {
		t.Fatalf("claimed %s", claimed)
	}
	token, code := sha256.Sum256(rows[0].ID[:]), sha256.Sum256(append([]byte("code"), rows[0].ID[:]...))
	answer := one[json.RawMessage](t, server, `select fluxbase.mail_begin($1, $2, $3)`, rows[0].ID, token[:], code[:])
	var a struct {
		Status string
		Result json.RawMessage
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		t.Fatal(err)
	}
	if a.Status != "ok" {
		return mail{}, a.Status + " " + string(a.Result)
	}
	var r struct {
		Subject, Text, HTML, Recipient string
		TokenMark                      string `json:"token_mark"`
		CodeMark                       string `json:"code_mark"`
	}
	if err := json.Unmarshal(a.Result, &r); err != nil {
		t.Fatal(err)
	}
	put := strings.NewReplacer(r.TokenMark, previewToken, r.CodeMark, previewCode).Replace
	return mail{put(r.Subject), put(r.Text), put(r.HTML)}, r.Recipient
}

func TestPreviewIsWhatIsSent(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin, server := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin"), db.Conn(t, "fluxbase_server")
	exec(t, admin, `select auth.set_setting('site_url', 'https://app.example.com/?a=b&c=d'), auth.set_setting('public_url', 'https://api.example.com')`)
	exec(t, admin, `select auth.create_user('o''neil&sons@example.com', p_confirmed => false)`)
	user := "O'Neil&Sons@example.com"
	exec(t, super, `update auth.users set email_change = 'new+<b>@example.com'`) // the table takes it; what is mailed escapes it
	for _, kind := range []string{"confirmation", "recovery", "magiclink", "invite", "reauthentication"} {
		exec(t, admin, `select auth.send_mail($1, $2)`, kind, user)
		got, recipient := begun(t, server)
		var want mail
		if err := admin.QueryRow(t.Context(), `select subject, body, html from auth.preview_mail($1, $2)`, kind, user).Scan(&want.Subject, &want.Text, &want.HTML); err != nil {
			t.Fatal(err)
		}
		if got != want || recipient != "o'neil&sons@example.com" {
			t.Errorf("%s to %s: sent\n%+v\npreviewed\n%+v", kind, recipient, got, want)
		}
		if kind == "reauthentication" {
			continue
		}
		typ := map[string]string{"confirmation": "signup"}[kind]
		if typ == "" {
			typ = kind
		}
		link := "https://api.example.com/auth/v1/verify?token=" + previewToken + "&type=" + typ + "&redirect_to=https%3A%2F%2Fapp.example.com%2F%3Fa%3Db%26c%3Dd"
		if !strings.Contains(got.Text, link+"\n") || !strings.Contains(got.HTML, `href="`+html.EscapeString(link)+`"`) {
			t.Errorf("%s: the link is not\n%s\nin\n%s\n%s", kind, link, got.Text, got.HTML)
		}
	}
	for _, kind := range []string{"email_change_new", "email_change_current", "email_changed"} {
		var m mail
		if err := admin.QueryRow(t.Context(), `select subject, body, html from auth.preview_mail($1, $2)`, kind, user).Scan(&m.Subject, &m.Text, &m.HTML); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(m.Text, "new+<b>@example.com") || strings.Contains(m.HTML, "<b>") || !strings.Contains(m.HTML, "new+&lt;b&gt;@example.com") {
			t.Errorf("%s: %+v", kind, m)
		}
	}
	if n := one[int](t, super, `select count(*)::int from fluxbase.mail_kinds() k, unnest(k) kind where not exists (select from auth.mail_templates t where t.kind = kind and t.is_default)`); n != 0 {
		t.Errorf("%d kinds without a template", n)
	}
}

func TestMailTemplates(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin, server := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin"), db.Conn(t, "fluxbase_server")
	set := `select auth.set_mail_template('recovery', $1, $2, $3)`
	good := []any{"Hello {{ .Email }}", "{{.Token}} {{ .TokenHash }} {{ .ConfirmationURL }} {{ .SiteURL }} {{ .RedirectTo }}",
		`<style>a { color: red }</style><!-- a - comment --><p title="for {{ .Email }}"><a class=x href="{{ .ConfirmationURL }}">{{ .Token }}</a>` +
			"<img\n alt=\"{{ .Email }}\" src='https://example.com/x.png'/>1 < 2"}
	exec(t, admin, set, good...)
	for name, c := range map[string]struct {
		subject, text, html, says string
	}{
		"unknown":              {"x", "{{ .Name }}", "x", "Name"},
		"of another kind":      {"x", "{{ .NewEmail }}", "x", "NewEmail"},
		"function":             {"x", "{{ printf .Email }}", "x", "braces"},
		"condition":            {"x", "{{ if .Email }}x{{ end }}", "x", "braces"},
		"no end":               {"x", "{{ .Email", "x", "braces"},
		"secret in subject":    {"{{ .Token }}", "x", "x", "Token"},
		"link in subject":      {"{{ .ConfirmationURL }}", "x", "x", "ConfirmationURL"},
		"unquoted":             {"x", "x", `<a title={{ .Email }}>x</a>`, "escaped"},
		"attribute name":       {"x", "x", `<a {{ .Email }}="x">x</a>`, "escaped"},
		"tag name":             {"x", "x", `<{{ .Email }}>x`, ""},
		"behind a tag name":    {"x", "x", `<a{{ .Email }}>x`, "escaped"},
		"handler":              {"x", "x", `<a onclick="{{ .Email }}">x</a>`, "escaped"},
		"handler and title":    {"x", "x", `<a onclick=" title="{{ .Email }}"">x</a>`, "escaped"},
		"style attribute":      {"x", "x", `<a style="x: {{ .Email }}">x</a>`, "escaped"},
		"style element":        {"x", "x", `<style>{{ .Email }}</style>`, "escaped"},
		"comment":              {"x", "x", `<!-- {{ .Email }} -->`, "escaped"},
		"part of a link":       {"x", "x", `<a href="https://x.example/?e={{ .Email }}">x</a>`, "escaped"},
		"address as a link":    {"x", "x", `<a href="{{ .Email }}">x</a>`, "escaped"},
		"script":               {"x", "x", `<script>x</script>`, "element"},
		"script, upper case":   {"x", "x", `<ScRiPt >"{{ .Email }}"</script>`, "element"},
		"tag without an end":   {"x", "x", `<a title="`, "tag"},
		"quote without an end": {"x", "x", `<a title="x>{{ .Email }}`, "tag"},
		"line break":           {"x\nBcc: eve@example.com", "x", "x", "mail_templates_subject_ck"},
	} {
		_, err := admin.Exec(t.Context(), set, c.subject, c.text, c.html)
		switch {
		case name == "tag name": // a "<" that begins no tag is text, and so is what follows
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case err == nil:
			t.Errorf("%s is accepted", name)
		case !strings.Contains(err.Error(), c.says):
			t.Errorf("%s: %v", name, err)
		}
	}
	refused(t, admin, "22023", []string{"kind"}, `select auth.set_mail_template('newsletter', 'x', 'x', 'x')`)
	refused(t, admin, "22004", []string{"admin_mail_templates"}, `select auth.set_mail_template('recovery', 'x', 'x', null)`)
	refused(t, super, "22023", []string{"Name"}, `update auth.mail_templates set text = '{{ .Name }}' where kind = 'invite'`)

	// What is put in is never read as a placeholder, and languages fall back.
	if got := one[string](t, super, `select fluxbase.render_mail('{{ .A }}{{ .B }}', '{"A": "{{ .B }}", "B": "<&>\"''"}', true)`); got != "{{ .B }}&lt;&amp;&gt;&#34;&#39;" {
		t.Errorf("rendered %s", got)
	}
	exec(t, admin, `select auth.set_setting('public_url', 'https://api.example.com')`)
	exec(t, admin, `select auth.set_mail_template('recovery', 'Hallo', '{{ .Token }}', 'x', 'de')`)
	for locale, want := range map[string]string{"de": "Hallo", "de-AT": "Hallo", "fr": "x"} {
		exec(t, admin, set, "x", "x", "x")
		if got := one[string](t, admin, `select subject from auth.preview_mail('recovery', 'ann@example.com', $1)`, locale); got != want {
			t.Errorf("%s: %s", locale, got)
		}
	}
	if !one[bool](t, admin, `select auth.reset_mail_template('recovery')`) || one[bool](t, admin, `select auth.reset_mail_template('recovery')`) {
		t.Error("a template is reset once")
	}

	// A missing variable is an error that whoever mends it ends: nothing is lost.
	newUser(t, admin, "ann@example.com")
	id := one[uuid.UUID](t, admin, `select auth.send_mail('recovery', 'ann@example.com')`)
	exec(t, admin, `select auth.set_mail_template('recovery', 'x', '{{ .SiteURL }}', 'x')`)
	if _, says := begun(t, server); !strings.Contains(says, "mail_not_rendered") || !strings.Contains(says, "SiteURL") {
		t.Errorf("without a site: %s", says)
	}
	refused(t, admin, "22023", []string{"SiteURL"}, `select * from auth.preview_mail('recovery', 'ann@example.com')`)
	exec(t, server, `select fluxbase.mail_finish($1, 'SiteURL', false)`, id)
	if got := one[string](t, admin, `select status || ' ' || last_error from auth.outbox where id = $1`, id); got != "pending SiteURL" {
		t.Errorf("outbox: %s", got)
	}
	exec(t, admin, `select auth.set_setting('site_url', 'https://app.example.com'), auth.retry_mail($1)`, id)
	if m, _ := begun(t, server); m.Text != "https://app.example.com" {
		t.Errorf("mended: %+v", m)
	}
}

func TestOutbox(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin, server := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin"), db.Conn(t, "fluxbase_server")
	exec(t, admin, `select auth.set_setting('public_url', 'https://api.example.com'), auth.set_setting('site_url', 'https://app.example.com')`)
	newUser(t, admin, "ann@example.com")
	send := func(kind string) uuid.UUID {
		t.Helper()
		return one[uuid.UUID](t, admin, `select auth.send_mail($1, 'ann@example.com')`, kind)
	}
	claim := func() string {
		t.Helper()
		return one[string](t, server, `select coalesce(string_agg(m ->> 'id', ' ' order by m ->> 'id'), '') from jsonb_array_elements(fluxbase.mail_claim(10) -> 'result') m`)
	}
	status := func(id uuid.UUID) string {
		t.Helper()
		return one[string](t, super, `select status || ' ' || attempts from auth.mail_outbox where id = $1`, id)
	}
	begin := func(id uuid.UUID) string {
		t.Helper()
		return one[string](t, server, `select fluxbase.mail_begin($1, sha256($2), sha256($3)) ->> 'status'`, id, []byte(id.String()), []byte("code"+id.String()))
	}

	// What is rolled back is not sent.
	tx, err := admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `select auth.send_mail('recovery', 'ann@example.com')`); err != nil {
		t.Fatal(err)
	}
	if got := claim(); got != "" {
		t.Errorf("claimed what is not committed: %s", got)
	}
	_ = tx.Rollback(t.Context())
	if got := claim(); got != "" {
		t.Errorf("claimed what was rolled back: %s", got)
	}

	// One server has it; when that one dies, another takes over.
	id := send("recovery")
	if got := claim(); got != id.String() {
		t.Fatalf("claimed %s", got)
	}
	if got := claim(); got != "" {
		t.Errorf("claimed twice: %s", got)
	}
	exec(t, super, `update auth.mail_outbox set next_attempt_at = now()`)
	if got := claim(); got != id.String() {
		t.Errorf("the mail of a dead server: %s", got)
	}
	other := db.Conn(t, "fluxbase_server")
	holding, err := other.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holding.Exec(t.Context(), `select fluxbase.mail_claim(1)`); err != nil {
		t.Fatal(err)
	}
	waiting := send("magiclink")
	if got := claim(); got != "" {
		t.Errorf("claimed while another server does: %s", got)
	}
	_ = holding.Rollback(t.Context())
	if got := claim(); got != waiting.String() {
		t.Errorf("claimed %s", got)
	}

	// Delays grow, a refusal for good ends it, three days do.
	for attempt, want := range []string{"00:00:05", "00:00:10", "00:00:20"} {
		exec(t, super, `update auth.mail_outbox set attempts = $2, status = 'sending' where id = $1`, id, attempt+1)
		exec(t, server, `select fluxbase.mail_finish($1, 'try again', false)`, id)
		if got := one[string](t, super, `select date_trunc('second', next_attempt_at - now() + interval '0.9 seconds')::text from auth.mail_outbox where id = $1`, id); got != want {
			t.Errorf("attempt %d: again in %s, want %s", attempt+1, got, want)
		}
	}
	exec(t, super, `update auth.mail_outbox set status = 'sending', created_at = now() - interval '73 hours' where id = $1`, id)
	exec(t, server, `select fluxbase.mail_finish($1, 'try again', false)`, id)
	if got := status(id); got != "failed 3" {
		t.Errorf("after three days: %s", got)
	}
	exec(t, server, `select fluxbase.mail_finish($1, 'no such mailbox', true)`, waiting)
	if got := status(waiting); got != "failed 1" {
		t.Errorf("refused for good: %s", got)
	}
	if n := audited(t, super, "mail.failed"); n != 2 {
		t.Errorf("%d audit rows", n)
	}

	// What was superseded, used or has expired is not sent any more.
	first, second := send("reauthentication"), send("reauthentication")
	claim()
	if got := begin(first) + " " + begin(second); got != "mail_not_found ok" || status(first) != "cancelled 1" {
		t.Errorf("superseded and not: %s, %s", got, status(first))
	}
	exec(t, server, `select fluxbase.mail_finish($1, null, false)`, second)
	if got := one[string](t, admin, `select concat_ws(' ', status, sent_at is not null) from auth.outbox where id = $1`, second); got != "sent t" {
		t.Errorf("sent: %s", got)
	}
	if got := begin(second); got != "mail_not_found" {
		t.Errorf("begun after its end: %s", got)
	}
	third := send("reauthentication")
	claim()
	if n := one[int](t, admin, `select auth.end_mail_tokens('ann@example.com', 'reauthentication')`); n != 1 || begin(third) != "mail_not_found" {
		t.Errorf("%d tokens ended", n)
	}
	fourth := send("reauthentication")
	if !one[bool](t, admin, `select auth.cancel_mail($1)`, fourth) || one[bool](t, admin, `select auth.cancel_mail($1)`, fourth) || claim() != "" {
		t.Error("a mail is cancelled once, and not sent then")
	}
	// No secret is there, and psql shows hashes to nobody.
	if n := one[int](t, super, `select count(*)::int from auth.one_time_tokens where token_hash = sha256($1)`, []byte(second.String())); n != 1 {
		t.Errorf("%d hashes", n)
	}
	for _, role := range []string{"fluxbase_server", "fluxbase_admin"} {
		refused(t, db.Conn(t, role), "42501", nil, `select from auth.mail_outbox`)
		refused(t, db.Conn(t, role), "42501", nil, `select from auth.one_time_tokens`)
		refused(t, db.Conn(t, role), "42501", nil, `select from auth.mail_templates`)
	}
	refused(t, admin, "42501", nil, `select fluxbase.mail_claim(1)`)
}
