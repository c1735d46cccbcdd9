package install

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// dropPackages removes what the code packages made: policies, triggers, views and functions in our schemas. It never
// cascades: what objects of the users depend on stays, together with what that needs.
func dropPackages(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `do $do$
declare
  v_statement text;
  v_progress boolean;
begin
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
  loop
    v_progress := false;
    for v_statement in
      with ours as (select n.oid from pg_namespace n where n.nspname in ('auth', 'audit', 'ratelimit', 'fluxbase'))
      select s from (
        select 1, format('drop policy %I on %s', p.polname, p.polrelid::regclass)
        from pg_policy p join pg_class c on c.oid = p.polrelid where c.relnamespace in (select oid from ours)
        union all
        select 2, format('drop trigger %I on %s', t.tgname, t.tgrelid::regclass)
        from pg_trigger t join pg_class c on c.oid = t.tgrelid
        where c.relnamespace in (select oid from ours) and not t.tgisinternal and t.tgparentid = 0
        union all
        select 3, format('drop %s %s', case c.relkind when 'm' then 'materialized view' else 'view' end, c.oid::regclass)
        from pg_class c where c.relnamespace in (select oid from ours) and c.relkind in ('v', 'm')
          and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
        union all
        select 4, format('drop %s %s', case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end, p.oid::regprocedure)
        from pg_proc p where p.pronamespace in (select oid from ours)
          and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
      ) x (step, s) order by step
    loop
      begin
        execute v_statement;
        v_progress := true;
      exception when dependent_objects_still_exist then
        null;
      end;
    end loop;
    exit when not v_progress;
  end loop;
end $do$`)
	return explain("remove the code packages", err)
}

// dropState removes what migrations made, and at last the schemas. Nothing cascades: an object that somebody hung on
// ours since the dependants were counted stops it.
const dropState = `do $do$
declare
  v_list text;
begin
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
  select string_agg(c.oid::regclass::text, ', ') into v_list
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname in ('auth', 'audit', 'ratelimit', 'fluxbase') and c.relkind in ('r', 'p') and not c.relispartition;
  if v_list is not null then
    execute 'drop table ' || v_list;
  end if;
  for v_list in
    select format('drop sequence %s', c.oid::regclass)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('auth', 'audit', 'ratelimit', 'fluxbase') and c.relkind = 'S'
    union all
    select format('drop %s %s', case t.typtype when 'd' then 'domain' else 'type' end, t.oid::regtype)
    from pg_type t join pg_namespace n on n.oid = t.typnamespace left join pg_class c on c.oid = t.typrelid
    where n.nspname in ('auth', 'audit', 'ratelimit', 'fluxbase')
      and (t.typtype in ('d', 'e', 'r') or (t.typtype = 'c' and c.relkind = 'c'))
      and not exists (select from pg_depend d where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype = 'e')
  loop
    execute v_list;
  end loop;
  if exists (select from pg_extension e join pg_namespace n on n.oid = e.extnamespace
             where e.extname = 'pgcrypto' and n.nspname = 'fluxbase') then
    drop extension pgcrypto;
  end if;
  for v_list in
    select quote_ident(n.nspname) from pg_namespace n where n.nspname in ('auth', 'audit', 'ratelimit', 'fluxbase')
  loop
    execute 'drop schema ' || v_list;
  end loop;
end $do$`

// dependants describes what of the users hangs on ours: objects outside our schemas that refer to objects inside, and
// objects inside that fluxbase_owner did not make.
const dependants = `
with ours as (
  select n.oid from pg_catalog.pg_namespace n where n.nspname in ('auth', 'audit', 'ratelimit', 'fluxbase')),
object (classid, objid) as (
  select 'pg_catalog.pg_namespace'::regclass::oid, o.oid from ours o
  union all select 'pg_catalog.pg_class'::regclass, c.oid from pg_catalog.pg_class c where c.relnamespace in (select oid from ours)
  union all select 'pg_catalog.pg_proc'::regclass, p.oid from pg_catalog.pg_proc p where p.pronamespace in (select oid from ours)
  union all select 'pg_catalog.pg_type'::regclass, t.oid from pg_catalog.pg_type t where t.typnamespace in (select oid from ours)
  union all select 'pg_catalog.pg_constraint'::regclass, c.oid from pg_catalog.pg_constraint c where c.connamespace in (select oid from ours)
  union all select 'pg_catalog.pg_extension'::regclass, e.oid from pg_catalog.pg_extension e
            where e.extname = 'pgcrypto' and e.extnamespace in (select oid from ours)),
-- Parts of an object belong to the relation that carries them.
dependant as (
  select distinct d.classid, d.objid, d.objsubid,
    case d.classid
      when 'pg_catalog.pg_policy'::regclass then (select r.relnamespace from pg_catalog.pg_policy x join pg_catalog.pg_class r on r.oid = x.polrelid where x.oid = d.objid)
      when 'pg_catalog.pg_trigger'::regclass then (select r.relnamespace from pg_catalog.pg_trigger x join pg_catalog.pg_class r on r.oid = x.tgrelid where x.oid = d.objid)
      when 'pg_catalog.pg_rewrite'::regclass then (select r.relnamespace from pg_catalog.pg_rewrite x join pg_catalog.pg_class r on r.oid = x.ev_class where x.oid = d.objid)
      when 'pg_catalog.pg_attrdef'::regclass then (select r.relnamespace from pg_catalog.pg_attrdef x join pg_catalog.pg_class r on r.oid = x.adrelid where x.oid = d.objid)
      when 'pg_catalog.pg_constraint'::regclass then (select x.connamespace from pg_catalog.pg_constraint x where x.oid = d.objid)
      when 'pg_catalog.pg_class'::regclass then (select x.relnamespace from pg_catalog.pg_class x where x.oid = d.objid)
      when 'pg_catalog.pg_proc'::regclass then (select x.pronamespace from pg_catalog.pg_proc x where x.oid = d.objid)
      when 'pg_catalog.pg_type'::regclass then (select x.typnamespace from pg_catalog.pg_type x where x.oid = d.objid)
      when 'pg_catalog.pg_extension'::regclass then (select x.extnamespace from pg_catalog.pg_extension x where x.oid = d.objid)
    end as namespace
  from pg_catalog.pg_depend d join object o on o.classid = d.refclassid and o.objid = d.refobjid
  where d.deptype in ('n', 'a')
    -- The state of partitioned and TOAST tables, statistics and default privileges come and go with ours.
    and d.classid in ('pg_catalog.pg_policy'::regclass, 'pg_catalog.pg_trigger'::regclass, 'pg_catalog.pg_rewrite'::regclass,
      'pg_catalog.pg_attrdef'::regclass, 'pg_catalog.pg_constraint'::regclass, 'pg_catalog.pg_class'::regclass, 'pg_catalog.pg_proc'::regclass,
      'pg_catalog.pg_type'::regclass, 'pg_catalog.pg_extension'::regclass, 'pg_catalog.pg_event_trigger'::regclass,
      'pg_catalog.pg_publication_rel'::regclass, 'pg_catalog.pg_publication_namespace'::regclass, 'pg_catalog.pg_operator'::regclass,
      'pg_catalog.pg_cast'::regclass))
select pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) from dependant d
where d.namespace is null or d.namespace not in (select oid from ours)
union
select pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, c.oid, 0) || ', owned by ' || c.relowner::regrole
from pg_catalog.pg_class c
where c.relnamespace in (select oid from ours) and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f') and c.relowner <> 'fluxbase_owner'::regrole
union
select pg_catalog.pg_describe_object('pg_catalog.pg_proc'::regclass, p.oid, 0) || ', owned by ' || p.proowner::regrole
from pg_catalog.pg_proc p
where p.pronamespace in (select oid from ours) and p.proowner <> 'fluxbase_owner'::regrole
  and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
order by 1`

// roleNames are dropped by Uninstall with Roles, members before what they are members of.
var roleNames = []string{"fluxbase_api", "fluxbase_service", "fluxbase_server", "fluxbase_author", "fluxbase_auditor", "fluxbase_admin",
	"anon", "authenticated", "service_role", "fluxbase_owner"}

// ErrNotInstalled says that the database has nothing of ours.
var ErrNotInstalled = errors.New("fluxbase is not installed in this database")

// InUse lists the objects of the users that refer to ours. Nothing was changed.
type InUse struct{ Objects []string }

// Error lists the objects, each on a line of its own.
func (e *InUse) Error() string {
	return "these objects use Fluxbase; drop or change them first, nothing was changed:\n  " + strings.Join(e.Objects, "\n  ")
}

// Uninstall removes our schemas, and pgcrypto when it lives in one of them, in one transaction. When objects of the
// users depend on ours it changes nothing and returns an *InUse. The roles stay, unless roles is true; then all of
// ours go, or the call fails and changes nothing.
func Uninstall(ctx context.Context, conn *pgx.Conn, roles bool) error {
	unlock, err := lock(ctx, conn)
	if err != nil {
		return err
	}
	defer unlock()
	return inTx(ctx, conn, func(tx pgx.Tx) error {
		var schemas int
		err := tx.QueryRow(ctx, `select count(*) from pg_catalog.pg_namespace n join pg_catalog.pg_roles r on r.oid = n.nspowner
			where n.nspname in ('auth', 'audit', 'ratelimit', 'fluxbase') and r.rolname = 'fluxbase_owner'`).Scan(&schemas)
		if err != nil {
			return err
		}
		if schemas == 0 && !roles {
			return ErrNotInstalled
		}
		if schemas > 0 {
			if err := removeSchemas(ctx, tx); err != nil {
				return err
			}
		}
		if err := revokeOnDatabase(ctx, tx); err != nil {
			return err
		}
		if roles {
			return removeRoles(ctx, tx)
		}
		return nil
	})
}

func removeSchemas(ctx context.Context, tx pgx.Tx) error {
	// A schema of our name that somebody else owns is nothing of ours.
	var foreign []string
	rows, _ := tx.Query(ctx, `select pg_catalog.quote_ident(n.nspname) from pg_catalog.pg_namespace n join pg_catalog.pg_roles r on r.oid = n.nspowner
		where n.nspname in ('auth', 'audit', 'ratelimit', 'fluxbase') and r.rolname <> 'fluxbase_owner'`)
	foreign, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if len(foreign) > 0 {
		return fmt.Errorf("these schemas are not owned by %s, nothing was changed: %s", Owner, strings.Join(foreign, ", "))
	}
	rows, _ = tx.Query(ctx, dependants)
	used, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return explain("look for dependants", err)
	}
	if len(used) > 0 {
		return &InUse{Objects: used}
	}
	if _, err := tx.Exec(ctx, `set local role `+Owner); err != nil {
		return explain("become "+Owner, err)
	}
	if err := dropPackages(ctx, tx); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, dropState); err != nil {
		return explain("remove the schemas", err)
	}
	_, err = tx.Exec(ctx, `reset role`)
	return err
}

// revokeOnDatabase takes back what roles.sql granted on the database, where the session may.
func revokeOnDatabase(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `do $do$
declare
  v_role text;
begin
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
  for v_role in
    select r.rolname from pg_database d, aclexplode(d.datacl) a, pg_roles r
    where d.datname = current_database() and r.oid = a.grantee
      and r.rolname in ('fluxbase_owner', 'fluxbase_api', 'fluxbase_service', 'fluxbase_server')
  loop
    begin
      execute format('revoke create, connect on database %I from %I', current_database(), v_role);
    exception when insufficient_privilege then
      null;
    end;
  end loop;
end $do$`)
	return explain("revoke the rights on the database", err)
}

func removeRoles(ctx context.Context, tx pgx.Tx) error {
	for _, name := range roleNames {
		_, err := tx.Exec(ctx, `drop role if exists `+name)
		var pe *pgconn.PgError
		if errors.As(err, &pe) && pe.Code == "2BP01" {
			return fmt.Errorf("%s, nothing was changed:\n%s", pe.Message, pe.Detail)
		}
		if err != nil {
			return explain("drop role "+name, err)
		}
	}
	return nil
}
