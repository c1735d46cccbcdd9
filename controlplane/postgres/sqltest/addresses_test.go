package sqltest

import (
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// The smallest network decides; what is over says nothing; logins obey in the database, too.
func TestAddressRules(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, server := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_server")
	newUser(t, super, "ann@example.com")
	exec(t, super, `select auth.block_address('203.0.113.0/24', p_reason => 'guessing'), auth.allow_address('203.0.113.7'),
		auth.block_address('2001:db8:1:2::/64', now() + interval '1 hour')`)
	for address, want := range map[string]string{"203.0.113.1": "block", "203.0.113.7": "allow", "203.0.114.1": "", "2001:db8:1:2::9": "block", "2001:db8:1:3::9": ""} {
		if got := one[string](t, super, `select coalesce(fluxbase.address_rule($1::text::inet), '')`, address); got != want {
			t.Errorf("%s: %s", address, got)
		}
		status := map[string]string{"block": "slowed"}[want]
		if status == "" {
			status = "ok"
		}
		if got := loginFrom(t, super, server, "ann@example.com", address, true); got != status {
			t.Errorf("login from %s: %s", address, got)
		}
	}
	// An allowed address is slowed for each account, and not as a whole.
	exec(t, super, `select auth.set_setting('login_address_failures_before_delay', '2')`)
	for i := range 6 {
		email := string(rune('a'+i)) + "@example.com"
		if got := loginFrom(t, super, server, email, "203.0.113.7", false); got != "unknown" {
			t.Errorf("many accounts from an allowed address: %s", got)
		}
	}
	for range 6 {
		loginFrom(t, super, server, "ann@example.com", "203.0.113.7", false)
	}
	if got := loginFrom(t, super, server, "ann@example.com", "203.0.113.7", true); got != "slowed" {
		t.Errorf("guessing one account from an allowed address: %s", got)
	}
	exec(t, super, `update auth.address_rules set until = now() - interval '1 second' where family(address) = 6`)
	if got := one[string](t, super, `select coalesce(fluxbase.address_rule('2001:db8:1:2::9'), 'nothing')`); got != "nothing" {
		t.Errorf("after its end: %s", got)
	}
	if got := one[bool](t, super, `select auth.forget_address('203.0.113.0/24')`); !got || one[bool](t, super, `select auth.forget_address('203.0.113.0/24')`) {
		t.Error("forgetting")
	}
	exec(t, super, `select auth.allow_address('203.0.113.7', now() + interval '1 day')`)
	if got := one[string](t, super, `select string_agg(host(address) || ' ' || kind, ', ') from auth.address_list()`); got != "203.0.113.7 allow" {
		t.Errorf("list: %s", got)
	}
	if got := one[int](t, super, `select count(*)::int from auth.address_rules`); got != 1 {
		t.Errorf("%d rows: what is over stays", got)
	}
	refused(t, super, "22023", []string{"all of them"}, `select auth.block_address('0.0.0.0/0')`)
	refused(t, super, "22023", []string{"of IPv4", "write 203.0.113.9/32"}, `select auth.block_address('::ffff:203.0.113.9')`)
	refused(t, super, "22023", []string{"of IPv4", "write 203.0.113.0/24"}, `select auth.allow_address('::ffff:203.0.113.0/120')`)
	refused(t, super, "22023", []string{"future"}, `select auth.block_address('203.0.113.9', now())`)
	if got := strings.Join(lines(t, super, `select action from audit.log where action like 'address.%' order by id`), " "); got != "address.block address.allow address.block address.forgotten address.allow" {
		t.Errorf("audit: %s", got)
	}
	for _, role := range []string{"fluxbase_api", "fluxbase_service", "fluxbase_server"} {
		refused(t, db.Conn(t, role), "42501", nil, `select auth.block_address('203.0.113.9')`)
	}
	refused(t, db.Conn(t, "fluxbase_api"), "42501", nil, `select fluxbase.address_rules()`)
}
