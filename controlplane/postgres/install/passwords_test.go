package install_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func TestReadPasswords(t *testing.T) {
	t.Parallel()
	const long = "sixteen characters=+'"
	for _, tc := range []struct {
		name, text, fails string
		want              install.Passwords
	}{
		{name: "all", text: "# ours\n\nfluxbase_api=" + long + "\n fluxbase_service = " + long + "\r\nfluxbase_server=" + long,
			want: install.Passwords{API: long, Service: long, Server: long}},
		{name: "one", text: "fluxbase_server=" + long, want: install.Passwords{Server: long}},
		{name: "nothing", text: "# fluxbase_api=" + long, fails: "no LOGIN=PASSWORD line"},
		{name: "unknown login", text: "\npostgres=" + long, fails: "line 2: want LOGIN=PASSWORD"},
		{name: "no sign", text: "fluxbase_api " + long, fails: "line 1: want LOGIN=PASSWORD"},
		{name: "twice", text: "fluxbase_api=" + long + "\nfluxbase_api=" + long, fails: "line 2: fluxbase_api stands there twice"},
		{name: "short", text: "fluxbase_api=fifteen letters", fails: "line 1: the password is shorter than 16"},
		{name: "not ASCII", text: "fluxbase_api=sixteen charactérs", fails: "line 1: the password has a character"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := install.ReadPasswords(strings.NewReader(tc.text))
			if tc.fails == "" {
				if err != nil || got != tc.want {
					t.Errorf("got %+v, %v", got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.fails) || strings.Contains(err.Error(), "characters=+'") {
				t.Errorf("got %v, want %s", err, tc.fails)
			}
		})
	}
}

func TestSetPasswords(t *testing.T) {
	t.Parallel()
	c := pgtest.Cluster(t, pgtest.Options{Settings: map[string]string{"log_statement": "all"}})
	super := c.Superuser(t, "postgres")
	exec1(t, super, `create role app login password 'app' createrole; create role fluxbase_api login; create role fluxbase_service login`)
	p := install.Passwords{API: `it's \ "the" = $1 api password`}
	if err := install.SetPasswords(t.Context(), super, p); err != nil {
		t.Fatal(err)
	}
	login := func(user, password string) error {
		conn, err := pgx.Connect(t.Context(), c.URL(user, password, "postgres"))
		if err == nil {
			conn.Close(t.Context())
		}
		return err
	}
	if err := login("fluxbase_api", p.API); err != nil {
		t.Errorf("the new password: %v", err)
	}
	if err := login("fluxbase_api", p.API+"!"); err == nil {
		t.Error("a wrong password was accepted")
	}
	var plain bool
	err := super.QueryRow(t.Context(), `select coalesce(bool_or(rolpassword !~ '^SCRAM-SHA-256\$4096:'), false)
		from pg_authid where rolname = 'fluxbase_api' or (rolname = 'fluxbase_service' and rolpassword is not null)`).Scan(&plain)
	if err != nil || plain {
		t.Errorf("not a verifier: %v, %v", plain, err)
	}
	if err := install.SetPasswords(t.Context(), super, install.Passwords{Service: "another good password", Server: "short"}); err == nil {
		t.Error("a short password was accepted")
	}
	if err := login("fluxbase_service", "another good password"); err == nil {
		t.Error("one of two passwords was set although the other was refused")
	}
	exec1(t, super, `create role plain login password 'plain'`)
	err = install.SetPasswords(t.Context(), c.Conn(t, "plain", "plain", "postgres"), p)
	if err == nil || !strings.Contains(err.Error(), `\password fluxbase_api`) || strings.Contains(err.Error(), p.API) {
		t.Errorf("without the right: %v", err)
	}
}
