package policytest

import (
	"strings"
	"testing"
)

const templateSQL = `create schema tenant_template;
	create table tenant_template.folders (id bigint generated always as identity, name text not null default 'New' constraint folders_name_ck check (name <> ''),
		created_by uuid default auth.current_user_id() references auth.users (id), constraint folders_id_pk primary key (id), constraint folders_name_key unique (name));
	create table tenant_template.files (id serial primary key, folder_id bigint not null, body text, size integer generated always as (length(body)) stored,
		constraint files_folder_id_fk foreign key (folder_id) references tenant_template.folders (id) on delete cascade);
	create index files_folder_id_idx on tenant_template.files (folder_id) where body is not null;
	create view tenant_template.names as select f.id, d.name from tenant_template.files f join tenant_template.folders d on d.id = f.folder_id;
	create trigger same before update on tenant_template.files for each row execute function suppress_redundant_updates_trigger();
	create view tenant_template.named with (check_option = local) as select * from tenant_template.folders where name <> 'New';
	create trigger asleep before delete on tenant_template.files for each row execute function suppress_redundant_updates_trigger();
	alter table tenant_template.files disable trigger asleep;
	comment on table tenant_template.files is 'What is kept.';
	alter table tenant_template.folders enable row level security;
	create policy everybody on tenant_template.folders to authenticated using (true) with check (name <> 'Secret');
	create policy of_folder on tenant_template.files to authenticated using (folder_id in (select d.id from tenant_template.folders d));
	grant usage on schema tenant_template to authenticated, service_role;
	grant select, insert, update, delete on tenant_template.folders, tenant_template.files to authenticated;
	grant select (id) on tenant_template.folders to anon; grant select on tenant_template.names to authenticated;
	grant usage on sequence tenant_template.files_id_seq to authenticated;`

// surface is what a schema consists of, with its name left out.
const surface = `
	with c as (select c.oid, c.relname, c.relkind, c.relacl, c.reloptions from pg_class c where c.relnamespace = $1::regnamespace)
	select l from (
		select format('column %s.%s %s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text || a.attgenerated::text, a.attacl)
		from c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 where c.relkind in ('r', 'v')
		union all select format('default %s %s', c.relname, pg_get_expr(d.adbin, d.adrelid)) from c join pg_attrdef d on d.adrelid = c.oid
		union all select format('constraint %s %s %s', c.relname, k.conname, pg_get_constraintdef(k.oid)) from c join pg_constraint k on k.conrelid = c.oid
		union all select 'index ' || pg_get_indexdef(i.indexrelid) from c join pg_index i on i.indrelid = c.oid
		union all select format('view %s %s', nullif(array_remove(c.reloptions, 'security_invoker=true'), '{}'), pg_get_viewdef(c.oid)) from c where c.relkind = 'v'
		union all select format('trigger %s %s', g.tgenabled, pg_get_triggerdef(g.oid)) from c join pg_trigger g on g.tgrelid = c.oid and not g.tgisinternal
		union all select format('policy %s %s %s %s %s', c.relname, p.polname, p.polcmd, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
			from c join pg_policy p on p.polrelid = c.oid where p.polname not in ('tenant_schema', 'service_role_all')
		union all select format('grant %s %s %s', c.relname, a.grantee::regrole, a.privilege_type) from c cross join lateral aclexplode(c.relacl) a where a.grantee <> 'fluxbase_test_installer'::regrole
		union all select format('comment %s %s', c.relname, obj_description(c.oid)) from c where obj_description(c.oid) is not null) x (l) order by 1`

func (b *bed) surface(t *testing.T, schema string) string {
	t.Helper()
	text := strings.Join(lines(t, b.super, surface, schema), "\n")
	return strings.NewReplacer(schema, "SCHEMA", `"`+schema+`"`, "SCHEMA").Replace(text)
}

// In a template true means every member, whose schemas are locked; before it is one it means everybody.
func TestCheckKnowsTemplatesOfTenants(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, `create schema tenant_template; create table tenant_template.documents (id integer primary key);
		select auth.enable_rls('tenant_template.documents'); create policy members on tenant_template.documents to authenticated using (true);
		grant usage on schema tenant_template to authenticated, service_role; grant select, insert, update, delete on tenant_template.documents to authenticated, service_role`)
	found := func() string {
		return strings.Join(lines(t, b.super, `select severity || ' ' || code || ' ' || object from auth.check('info') where object ~ 'tenant_' order by 1`), "\n")
	}
	if got := found(); got != `error policy_true_for_writes policy members on tenant_template.documents` {
		t.Errorf("before: %s", got)
	}
	exec(t, b.owner, `select auth.create_tenant_schema('org0')`)
	if got := found(); got != `info policy_true_for_writes policy members on tenant_template.documents` {
		t.Errorf("as a template: %s", got)
	}
}

func TestTenantSchema(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, templateSQL)
	for org, want := range []string{"tenant_org0", "tenant_org1"} {
		if got := one[string](t, b.owner, `select auth.create_tenant_schema($1)`, want[len("tenant_"):]); got != want {
			t.Errorf("organization %d: %s", org, got)
		}
		if template, clone := b.surface(t, "tenant_template"), b.surface(t, want); template != clone {
			t.Errorf("the clone differs:\n%s\n\n%s", template, clone)
		}
	}
	if n := one[int](t, b.owner, `select count(*)::int from auth.check('error') where object like '%tenant_org%'`); n != 0 {
		t.Errorf("%d errors: %v", n, lines(t, b.owner, `select code || ' ' || object from auth.check('error') where object like '%tenant_org%'`))
	}
	north, south := b.user(0, 1), b.user(1, 1)
	key := caller{org: b.orgs[0], key: b.orgs[0], role: "authenticated"}
	b.play(t, []step{
		{north, `insert into tenant_org0.folders (name) values ('a') returning *`, "1"},
		{north, `insert into tenant_org0.files (folder_id, body) values (1, 'x')`, "1"},
		{north, `select * from tenant_org0.names`, "1"},
		{north, `insert into tenant_org0.folders (name) values ('Secret')`, "42501"},
		{key, `select * from tenant_org0.folders`, "1"},
		{key, `insert into tenant_org1.folders (name) values ('b')`, "ZF410"},
		{south, `select * from tenant_org0.folders`, "ZF410"},
		{south, `select * from tenant_org0.names`, "ZF410"},
		{south, `insert into tenant_org0.folders (name) values ('b')`, "ZF410"},
		{south, `update tenant_org0.files set body = 'y'`, "ZF410"},
		{south, `delete from tenant_org0.files`, "ZF410"},
		{south, `select * from tenant_org1.folders`, "0"},
		{south, `insert into tenant_org1.folders (name) values ('s')`, "1"},
		{north, `select * from tenant_org1.folders`, "ZF410"},
		{caller{}, `select id from tenant_org0.folders`, "42501"},
		{caller{role: "service_role"}, `select * from tenant_org0.folders`, "42501"}, // the template grants it nothing
	})
	// A membership that ends is over for the next statement.
	exec(t, b.super, `delete from auth.memberships where user_id = $1`, north.user)
	b.play(t, []step{{north, `select * from tenant_org0.folders`, "ZF410"}})

	if got := lines(t, b.owner, `select auth.in_tenant_schemas('alter table folders add note text; create index folders_note_idx on folders (note)')`); strings.Join(got, " ") != "tenant_template tenant_org0 tenant_org1" {
		t.Errorf("migrated %v", got)
	}
	if template, clone := b.surface(t, "tenant_template"), b.surface(t, "tenant_org1"); template != clone {
		t.Errorf("after a migration the clone differs:\n%s\n\n%s", template, clone)
	}
	// A table that a migration makes is locked as the others are, and so is a role that may run requests since.
	exec(t, b.super, `create role tenant_manager nologin; grant usage on schema auth to tenant_manager;
		select auth.set_setting('request_roles', 'tenant_manager')`)
	exec(t, b.owner, `select auth.in_tenant_schemas('create table extra (id integer); alter table extra enable row level security;
		create policy everybody on extra to authenticated using (true); grant select, insert on extra to authenticated;
		do $do$ begin execute format(''grant usage on schema %I to tenant_manager'', current_schema()); end $do$;
		create policy managers on folders to tenant_manager using (true); grant select on folders to tenant_manager')`)
	manager := caller{user: south.user, role: "tenant_manager"}
	b.play(t, []step{
		{south, `insert into tenant_org1.extra values (1)`, "1"},
		{south, `select * from tenant_org1.extra`, "1"},
		{south, `select * from tenant_org0.extra`, "0"}, // empty: the policy is not asked
		{south, `insert into tenant_org0.extra values (2)`, "ZF410"},
		{manager, `select * from tenant_org1.folders`, "1"},
		{manager, `select * from tenant_org0.folders`, "ZF410"},
	})
	exec(t, b.owner, `insert into tenant_template.folders (name) values ('only here')`)
	refused(t, b.owner, "42P07", "tenant_org0", `select auth.in_tenant_schemas('do $$ begin if current_schema() = ''tenant_org0'' then create table files (); end if; end $$')`)

	exec(t, b.super, `delete from auth.organizations where id = $1`, b.orgs[1])
	b.play(t, []step{{south, `select * from tenant_org1.folders`, "ZF410"}})
	exec(t, b.owner, `select auth.drop_tenant_schema('tenant_org1')`)
	if left := lines(t, b.owner, `select schema_name from auth.admin_tenant_schemas`); strings.Join(left, " ") != "tenant_org0" {
		t.Errorf("left: %v", left)
	}
}

func TestTenantSchemaRefuses(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, `create schema tenant_template; create schema functions; create function functions.f() returns integer language sql return 1;
		create schema parts; create table parts.p (id integer) partition by range (id)`)
	refused(t, b.owner, "P0002", "organization", `select auth.create_tenant_schema('nobody')`)
	refused(t, b.owner, "3F000", "template", `select auth.create_tenant_schema('org0', 'missing')`)
	refused(t, b.owner, "3F000", "template", `select auth.create_tenant_schema('org0', 'auth')`)
	refused(t, b.owner, "3F000", "template", `select auth.create_tenant_schema('org0', null)`)
	refused(t, b.owner, "0A000", "functions.f", `select auth.create_tenant_schema('org0', 'functions')`)
	refused(t, b.owner, "0A000", "parts.p", `select auth.create_tenant_schema('org0', 'parts')`)
	for _, c := range []struct{ sql, object, text string }{
		{`create type shape.x as enum ('a'); create table shape.t (x shape.x)`, "shape.x", "types"},
		{`create domain shape.x as text`, "shape.x", "types"},
		{`create sequence shape.s; create table shape.t (id integer default nextval('shape.s'))`, "shape.s", "owned by"},
		{`create table shape.t (id integer); create table shape.c () inherits (shape.t)`, "shape.c", "inherits"},
		{`create table shape.t (id integer); create rule r as on insert to shape.t do also nothing`, "shape.t", "rules"},
		{`create table shape.t (id integer); create materialized view shape.m as select 1 as one`, "shape.m", "schema of its own"},
		{`create table shape.s (id serial); create table shape.t (id integer default nextval('shape.s_id_seq'))`, "shape.t", "s_id_seq, which all tenants would share"},
		{`create table shape.s (id serial); create table shape.t (k regclass check (k <> 'shape.s'::regclass))`, "shape.t", "names s, which"},
	} {
		exec(t, b.owner, `create schema shape; `+c.sql)
		refused(t, b.owner, "0A000", c.object+" cannot", `select auth.create_tenant_schema('org0', 'shape')`)
		refused(t, b.owner, "0A000", c.text, `select auth.create_tenant_schema('org0', 'shape')`)
		exec(t, b.owner, `drop schema shape cascade`)
	}
	exec(t, b.owner, `select auth.create_tenant_schema('org0')`)
	refused(t, b.owner, "42P06", "exists", `select auth.create_tenant_schema('org0')`)
	refused(t, b.owner, "3F000", "no tenant", `select auth.drop_tenant_schema('public')`)
	refused(t, b.owner, "3F000", "no template", `select auth.in_tenant_schemas('select 1', 'mistyped')`)
	for _, who := range []string{"anon", "authenticated", "service_role"} {
		refused(t, b.db.Conn(t, who), "42501", "permission denied", `select auth.create_tenant_schema('org1')`)
	}
}

// One tenant in the way stops a migration for all, and the message says which one, why and what to do.
func TestTenantMigrationThatFails(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, templateSQL)
	exec(t, b.owner, `select auth.create_tenant_schema('org0'), auth.create_tenant_schema('org1')`)
	exec(t, b.super, `insert into tenant_org1.folders (name) values ('too long')`)
	const narrow = `select auth.in_tenant_schemas('alter table folders add constraint short check (length(name) < 5)')`
	refused(t, b.owner, "23514", "tenant_org1: ", narrow)
	if n := one[int](t, b.super, `select count(*)::int from pg_constraint where conname = 'short'`); n != 0 {
		t.Errorf("%d schemas have half of the migration", n)
	}
	refused(t, b.owner, "23505", "Key (name)=(a) already exists", `select auth.in_tenant_schemas('insert into folders (name) select ''a'' from generate_series(1, 2)')`)
	refused(t, b.owner, "42601", "it was run in schema tenant_template", `select auth.in_tenant_schemas('alter tabel folders')`)
	refused(t, b.owner, "42703", "Perhaps you meant", `select auth.in_tenant_schemas('select folders.nam from folders')`)
	// The owner is held back like everybody; rows are changed as service_role.
	exec(t, b.super, `grant usage on schema tenant_org0, tenant_org1 to service_role; grant select, update on tenant_template.folders, tenant_org0.folders, tenant_org1.folders to service_role`)
	exec(t, b.owner, `select auth.in_tenant_schemas('set local role service_role; update folders set name = left(name, 3); reset role')`)
	exec(t, b.owner, narrow)

	// A schema that somebody dropped by hand does not end the migrations of all others for good.
	exec(t, b.super, `drop schema tenant_org1 cascade`)
	refused(t, b.owner, "3F000", "auth.drop_tenant_schema('tenant_org1')", `select auth.in_tenant_schemas('create table more (id integer)')`)
	refused(t, b.owner, "42P06", "auth.drop_tenant_schema('tenant_org1')", `select auth.create_tenant_schema('org1')`)
	exec(t, b.owner, `select auth.drop_tenant_schema('tenant_org1')`)
	exec(t, b.owner, `select auth.in_tenant_schemas('create table more (id integer)')`)
	exec(t, b.owner, `select auth.create_tenant_schema('org1')`)
}

// A view runs as whoever made it, for whom row security may not hold.
func TestTenantMigrationViews(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.super, templateSQL+`; select auth.create_tenant_schema('org0'); insert into tenant_org0.folders (name) values ('Plan')`)
	exec(t, b.super, `select auth.in_tenant_schemas('create view listed as select name from folders; grant select on listed to authenticated')`)
	for _, c := range []struct {
		who  caller
		want string
	}{{b.user(0, 1), "1"}, {b.user(1, 1), "ZF410"}} {
		as(t, b.super, c.who, func() {
			if got := try(t, b.super, `select * from tenant_org0.listed`).String(); got != c.want {
				t.Errorf("%v: %s, want %s", c.who, got, c.want)
			}
		})
	}
}
