package sqltest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

var writesOfTheLog = []string{
	`insert into audit.log (action, role) values ('forged', 'x')`,
	`update audit.log set action = 'forged'`,
	`delete from audit.log`,
	`truncate audit.log`,
	`insert into audit.MONTH (action, role, occurred_at) values ('forged', 'x', now())`,
	`update audit.MONTH set action = 'forged'`,
	`delete from audit.MONTH`,
	`truncate audit.MONTH`,
	`select nextval('audit.log_id_seq')`,
	`select audit.record(p_action => 'forged')`,
}

// The session user decides what SET ROLE allows, so logins connect as themselves.
func TestNobodyWritesTheAuditLog(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super := db.Conn(t, "superuser")
	admin := db.Conn(t, "fluxbase_admin")
	newUser(t, admin, "ann@example.com")
	month := "log_" + time.Now().UTC().Format("2006_01")
	for _, who := range []string{"fluxbase_api", "fluxbase_service", "fluxbase_server",
		"anon", "authenticated", "service_role", "fluxbase_admin", "fluxbase_auditor", "fluxbase_author"} {
		conn := db.Conn(t, who)
		for _, sql := range writesOfTheLog {
			refused(t, conn, "42501", []string{"permission denied"}, strings.ReplaceAll(sql, "MONTH", month))
		}
	}
	if n := audited(t, super, "forged"); n != 0 {
		t.Errorf("%d forged rows", n)
	}
}

// Its owner, and a superuser who switches ordinary triggers off, are stopped by the guard.
func TestAuditLogIsAppendOnly(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	newUser(t, db.Conn(t, "fluxbase_admin"), "ann@example.com")
	super := db.Conn(t, "superuser")
	exec(t, super, `set role fluxbase_owner`)
	check := func() {
		t.Helper()
		for _, partition := range append(lines(t, super, `select relname::text from pg_class where oid in (select relid from pg_partition_tree('audit.log'))`), "log") {
			for _, verb := range []string{"truncate audit.%s", "update audit.%s set action = 'forged'", "delete from audit.%s"} {
				sql := fmt.Sprintf(verb, partition)
				if verb != "truncate audit.%s" && one[int](t, super, `select count(*)::int from audit.`+partition) == 0 {
					continue // row triggers have nothing to refuse
				}
				refused(t, super, "42501", []string{"of audit.log is refused", "append-only"}, sql)
			}
		}
	}
	check()
	exec(t, super, `reset role`)
	exec(t, super, `set session_replication_role = replica`)
	check()
	if n := audited(t, super, "user.created"); n != 1 {
		t.Errorf("%d rows of user.created", n)
	}
}

func TestAuditorReads(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	newUser(t, db.Conn(t, "fluxbase_admin"), "ann@example.com")
	auditor := db.Conn(t, "fluxbase_auditor")
	if n := one[int](t, auditor, `select count(*)::int from audit.log`); n == 0 {
		t.Error("the auditor sees no rows")
	}
	refused(t, auditor, "42501", nil, `select * from audit.log_`+time.Now().UTC().Format("2006_01"))
	refused(t, auditor, "42501", nil, `select * from auth.users`)
	refused(t, auditor, "42501", nil, `select * from auth.admin_users`)
	refused(t, auditor, "42501", nil, `select auth.create_user('bob@example.com')`)
	refused(t, db.Conn(t, "fluxbase_admin"), "42501", nil, `select * from audit.log`)
}

// Who and whence come from the signed context; a forged one fails the writer, none is recorded as none.
func TestRecordTakesTheContext(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super := db.Conn(t, "superuser")
	user := newUser(t, db.Conn(t, "fluxbase_admin"), "ann@example.com")
	const session, org, key, actor = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002",
		"00000000-0000-4000-8000-000000000003", "00000000-0000-4000-8000-000000000004"
	inTx(t, super, func() {
		exec(t, super, `select set_config('fluxbase.context', c, true), set_config('fluxbase.context_mac', fluxbase.context_mac(p_context => c), true)
			from format('[1,"%s","%s","%s","aal1","authenticated","%s","192.0.2.7","req-1","%s",%s,null]',
			  $1::uuid, $2::uuid, $3::uuid, $4::uuid, $5::uuid, extract(epoch from now())::bigint) c`, user, session, org, key, actor)
		exec(t, super, `select audit.record(p_action => 'test', p_details => '{"a": 1}')`)
		got := one[string](t, super, `select concat_ws(' ', user_id, session_id, org_id, api_key_id, actor_id, ip, request_id, outcome, details)
			from audit.log where action = 'test'`)
		want := fmt.Sprintf(`%s %s %s %s %s 192.0.2.7 req-1 ok {"a": 1}`, user, session, org, key, actor)
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		exec(t, super, `savepoint s; select set_config('fluxbase.context', replace(current_setting('fluxbase.context'), 'req-1', 'req-2'), true)`)
		refused(t, super, "42501", []string{"context was changed"}, `select audit.record(p_action => 'forged')`)
		exec(t, super, `rollback to s`)
	})
	exec(t, super, `set role fluxbase_owner`)
	exec(t, super, `select audit.record(p_action => 'test2')`)
	if got := one[string](t, super, `select concat_ws(' ', user_id, ip, role, db_user = session_user) from audit.log where action = 'test2'`); got != "fluxbase_owner t" {
		t.Errorf("without context: %q", got)
	}
}

func TestPartitionsOfTheAuditLog(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	ensure := func() int {
		t.Helper()
		return one[int](t, admin, `select audit.ensure_partitions()`)
	}
	if n := ensure(); n != 0 {
		t.Errorf("%d made although the first year is there", n)
	}
	exec(t, admin, `select auth.set_setting('audit_partitions_ahead', '15')`)
	// Writers are not held up: one has written and stays open while partitions are made.
	writer := db.Conn(t, "superuser")
	exec(t, writer, `begin; set local role fluxbase_owner; select audit.record(p_action => 'open')`)
	exec(t, admin, `set lock_timeout = '2s'`)
	exec(t, admin, `set timezone = 'America/St_Johns'`)
	if n := ensure(); n != 3 {
		t.Errorf("%d made, want 3", n)
	}
	exec(t, writer, `commit`)
	if n := one[int](t, super, `select count(*)::int from audit.partition_months()`); n != 16 {
		t.Errorf("%d partitions, want 16", n)
	}
	// A new partition has all that the first ones have.
	const shape = `select string_agg(x, E'\n' order by x) from (
		select 'index ' || regexp_replace(pg_get_indexdef(i.indexrelid), 'log_\d{4}_\d{2}', 'log_M', 'g') from pg_index i where i.indrelid = p.oid
		union all select 'trigger ' || t.tgname || t.tgenabled::text from pg_trigger t where t.tgrelid = p.oid
		union all select 'constraint ' || c.conname || pg_get_constraintdef(c.oid) from pg_constraint c where c.conrelid = p.oid
		union all select 'default ' || d.adnum || pg_get_expr(d.adbin, d.adrelid) from pg_attrdef d where d.adrelid = p.oid
		union all select 'class ' || concat_ws(' ', p.relowner::regrole, p.relrowsecurity, p.relforcerowsecurity, p.relpersistence, p.relacl)) s (x)`
	shapes := lines(t, super, `select distinct (`+shape+`) from pg_class p join audit.partition_months() m on m.relation = p.oid`)
	if len(shapes) != 1 {
		t.Errorf("partitions differ:\n%s", difference(shapes[0], shapes[len(shapes)-1]))
	}
	// Bounds are months of UTC and join without a gap.
	exec(t, super, `set timezone = 'UTC'`)
	for _, bound := range lines(t, super, `select format('%s %s', to_char(m.month, 'YYYY-MM-DD HH24:MI:SS'), pg_get_expr(c.relpartbound, c.oid))
		from audit.partition_months() m join pg_class c on c.oid = m.relation`) {
		month, err := time.Parse(time.DateTime, bound[:19])
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("FOR VALUES FROM ('%s+00') TO ('%s+00')", month.Format(time.DateTime), month.AddDate(0, 1, 0).Format(time.DateTime))
		if bound[20:] != want {
			t.Errorf("got %s, want %s", bound[20:], want)
		}
	}
}

// Six sessions at once make each month once.
func TestPartitionsAreMadeOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	exec(t, db.Conn(t, "fluxbase_admin"), `select auth.set_setting('audit_partitions_ahead', '18')`)
	conns := make([]*pgx.Conn, 6)
	for i := range conns {
		conns[i] = db.Conn(t, "fluxbase_admin")
	}
	errs := make(chan error, len(conns))
	for _, conn := range conns {
		go func() {
			_, err := conn.Exec(t.Context(), `select audit.ensure_partitions()`)
			errs <- err
		}()
	}
	for range conns {
		if err := <-errs; err != nil {
			t.Error(describe(err))
		}
	}
	if n := one[int](t, db.Conn(t, "superuser"), `select count(*)::int from audit.partition_months()`); n != 19 {
		t.Errorf("%d partitions, want 19", n)
	}
}

func TestExpiredPartitionsAreDropped(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	exec(t, super, `set role fluxbase_owner`)
	exec(t, super, `do $$ declare m timestamptz; begin
		for i in 1..4 loop
		  m := (date_trunc('month', now() at time zone 'UTC') - make_interval(months => i)) at time zone 'UTC';
		  execute format('create table audit.%I partition of audit.log for values from (%L) to (%L)', to_char(m at time zone 'UTC', '"log_"YYYY_MM'),
		    m, (m at time zone 'UTC' + interval '1 month') at time zone 'UTC');
		end loop; end $$`)
	exec(t, super, `insert into audit.log (action, role, occurred_at) values ('old', 'x', now() - interval '100 days')`)
	drop := func() int {
		t.Helper()
		return one[int](t, admin, `select audit.drop_expired_partitions()`)
	}
	if n := drop(); n != 0 {
		t.Errorf("%d dropped while everything is kept", n)
	}
	exec(t, admin, `select auth.set_setting('audit_retention_months', '2')`)
	// A reader of the log is not waited for.
	exec(t, admin, `set statement_timeout = '10s'`)
	reader := db.Conn(t, "superuser")
	exec(t, reader, `begin; select count(*) from audit.log`)
	started := time.Now()
	if n := drop(); n != 0 || time.Since(started) > 5*time.Second {
		t.Errorf("with a reader in the way: %d dropped after %v", n, time.Since(started))
	}
	exec(t, reader, `commit`)
	if n := drop(); n != 2 {
		t.Errorf("%d dropped, want the months 3 and 4 ago", n)
	}
	if n := audited(t, super, "old"); n != 0 {
		t.Errorf("%d rows of a month that is no longer kept", n)
	}
	if n := audited(t, super, "audit.partition_dropped"); n != 2 {
		t.Errorf("%d audit rows for two dropped months", n)
	}
	if n := one[int](t, super, `select count(*)::int from audit.partition_months()`); n != 15 {
		t.Errorf("%d partitions left, want 15", n)
	}
}
