-- Assertions for tests of policies, in TAP (testanything.org), for psql and every TAP reader.  Caller: fluxbase_admin.
-- They live in schema auth, with the prefix test_: Fluxbase has four schemas and makes no fifth.
-- Each names its user, runs the statement for real with the context of auth.login_as(), and undoes it: assertions of one
-- transaction do not see each other's writes.  p_org is the organization in which the user is active: id or slug, '' for none,
-- null for the only one.  Numbers count in the transaction; begin one, and roll it back.

-- Invoker: it becomes the user.
create or replace function auth.test_run(p_user text, p_statement text, p_aal text default 'aal1', p_org text default null)
returns jsonb language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_signed jsonb := auth.sign_context(p_user => p_user, p_aal => p_aal, p_role => null, p_org => p_org);
  v_path text := (select s.reset_val from pg_settings s where s.name = 'search_path');
  v_rows bigint;
begin
  begin
    perform set_config('fluxbase.context', v_signed ->> 'context', true), set_config('fluxbase.context_mac', v_signed ->> 'mac', true),
            set_config('request.jwt.claims', coalesce(v_signed ->> 'claims', ''), true), set_config('role', v_signed ->> 'role', true),
            set_config('search_path', v_path, true);
    execute p_statement;
    get diagnostics v_rows = row_count;
    raise exception using errcode = 'ZF999', message = 'undo';
  exception
    when sqlstate 'ZF999' then
      return jsonb_build_object('rows', v_rows);
    when others then
      return jsonb_build_object('sqlstate', sqlstate, 'message', sqlerrm);
  end;
end $$;
revoke all on function auth.test_run(text, text, text, text) from public;
grant execute on function auth.test_run(text, text, text, text) to fluxbase_admin;
comment on function auth.test_run(text, text, text, text) is
  'Runs a statement as a user (null: a caller without token), undoes it, and says {"rows"} or {"sqlstate", "message"}.';

create or replace function auth.test_ok(p_ok boolean, p_name text, p_diagnosis text default null)
returns setof text language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_number integer := coalesce(nullif(current_setting('fluxbase.test_number', true), ''), '0')::integer + 1;
begin
  perform set_config('fluxbase.test_number', v_number::text, true);
  return next format('%s %s - %s', case when p_ok then 'ok' else 'not ok' end, v_number, regexp_replace(coalesce(p_name, ''), '[\n#]', ' ', 'g'));
  if p_ok is not true then
    perform set_config('fluxbase.test_failed', (coalesce(nullif(current_setting('fluxbase.test_failed', true), ''), '0')::integer + 1)::text, true);
    if p_diagnosis is not null then
      return query select '# ' || l from regexp_split_to_table(p_diagnosis, '\n') l;
    end if;
  end if;
end $$;
revoke all on function auth.test_ok(boolean, text, text) from public;
grant execute on function auth.test_ok(boolean, text, text) to fluxbase_admin;
comment on function auth.test_ok(boolean, text, text) is 'TAP line of a test of your own, with a diagnosis when it is not true.';

create or replace function auth.test_finish()
returns setof text language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_number integer := coalesce(nullif(current_setting('fluxbase.test_number', true), ''), '0')::integer;
  v_failed integer := coalesce(nullif(current_setting('fluxbase.test_failed', true), ''), '0')::integer;
begin
  perform set_config('fluxbase.test_number', '', true), set_config('fluxbase.test_failed', '', true);
  return next format('1..%s', v_number);
  if v_failed > 0 then
    return next format('# %s of %s failed', v_failed, v_number);
  end if;
end $$;
revoke all on function auth.test_finish() from public;
grant execute on function auth.test_finish() to fluxbase_admin;
comment on function auth.test_finish() is 'Ends the tests of a transaction: prints the TAP plan and how many failed.';

create or replace function auth.test_sees(p_user text, p_query text, p_rows bigint, p_name text default null, p_aal text default 'aal1', p_org text default null)
returns setof text language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_run jsonb := auth.test_run(p_user => p_user, p_statement => p_query, p_aal => p_aal, p_org => p_org);
begin
  return query select * from auth.test_ok(p_ok => coalesce((v_run ->> 'rows')::bigint = p_rows, false),
    p_name => coalesce(p_name, format('%s sees %s rows: %s', coalesce(p_user, 'anon'), p_rows, p_query)), p_diagnosis => 'got ' || v_run::text);
end $$;
revoke all on function auth.test_sees(text, text, bigint, text, text, text) from public;
grant execute on function auth.test_sees(text, text, bigint, text, text, text) to fluxbase_admin;
comment on function auth.test_sees(text, text, bigint, text, text, text) is 'Test: the query returns exactly so many rows to the user.';

create or replace function auth.test_sees_nothing(p_user text, p_query text, p_name text default null, p_aal text default 'aal1', p_org text default null)
returns setof text language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_run jsonb := auth.test_run(p_user => p_user, p_statement => p_query, p_aal => p_aal, p_org => p_org);
begin
  return query select * from auth.test_ok(p_ok => coalesce((v_run ->> 'rows')::bigint = 0 or v_run ->> 'sqlstate' = '42501', false),
    p_name => coalesce(p_name, format('%s sees nothing: %s', coalesce(p_user, 'anon'), p_query)), p_diagnosis => 'got ' || v_run::text);
end $$;
revoke all on function auth.test_sees_nothing(text, text, text, text, text) from public;
grant execute on function auth.test_sees_nothing(text, text, text, text, text) to fluxbase_admin;
comment on function auth.test_sees_nothing(text, text, text, text, text) is 'Test: the query returns no row to the user, or is refused with 42501.';

create or replace function auth.test_sees_exactly(p_user text, p_query text, p_expected jsonb, p_name text default null, p_aal text default 'aal1', p_org text default null)
returns setof text language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_signed jsonb := auth.sign_context(p_user => p_user, p_aal => p_aal, p_role => null, p_org => p_org);
  v_path text := (select s.reset_val from pg_settings s where s.name = 'search_path');
  v_got jsonb;
  v_problem text;
begin
  begin
    perform set_config('fluxbase.context', v_signed ->> 'context', true), set_config('fluxbase.context_mac', v_signed ->> 'mac', true),
            set_config('request.jwt.claims', coalesce(v_signed ->> 'claims', ''), true), set_config('role', v_signed ->> 'role', true),
            set_config('search_path', v_path, true);
    execute format('select coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(q.*)), ''[]'') from (%s) q', p_query) into v_got;
    raise exception using errcode = 'ZF999', message = 'undo';
  exception
    when sqlstate 'ZF999' then null;
    when others then v_problem := format('%s (%s)', sqlerrm, sqlstate);
  end;
  -- As a set of rows, each as often as it comes: order is a matter of the query's own ORDER BY.
  return query select * from auth.test_ok(
    p_ok => v_got is not null and (select array_agg(e order by e) from jsonb_array_elements(v_got) e) is not distinct from (select array_agg(e order by e) from jsonb_array_elements(p_expected) e),
    p_name => coalesce(p_name, format('%s sees exactly what is expected: %s', coalesce(p_user, 'anon'), p_query)),
    p_diagnosis => format(E'got      %s\nexpected %s', coalesce(v_problem, v_got::text), p_expected));
end $$;
revoke all on function auth.test_sees_exactly(text, text, jsonb, text, text, text) from public;
grant execute on function auth.test_sees_exactly(text, text, jsonb, text, text, text) to fluxbase_admin;
comment on function auth.test_sees_exactly(text, text, jsonb, text, text, text) is 'Test: the query returns these rows to the user, a JSON array of objects in any order.';

create or replace function auth.test_can(p_user text, p_statement text, p_name text default null, p_aal text default 'aal1', p_org text default null)
returns setof text language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_run jsonb := auth.test_run(p_user => p_user, p_statement => p_statement, p_aal => p_aal, p_org => p_org);
begin
  return query select * from auth.test_ok(p_ok => coalesce((v_run ->> 'rows')::bigint > 0, false),
    p_name => coalesce(p_name, format('%s can: %s', coalesce(p_user, 'anon'), p_statement)), p_diagnosis => 'got ' || v_run::text);
end $$;
revoke all on function auth.test_can(text, text, text, text, text) from public;
grant execute on function auth.test_can(text, text, text, text, text) to fluxbase_admin;
comment on function auth.test_can(text, text, text, text, text) is 'Test: the statement of the user touches or returns at least one row.';

create or replace function auth.test_cannot(p_user text, p_statement text, p_name text default null, p_aal text default 'aal1', p_org text default null)
returns setof text language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_run jsonb := auth.test_run(p_user => p_user, p_statement => p_statement, p_aal => p_aal, p_org => p_org);
begin
  return query select * from auth.test_ok(p_ok => coalesce((v_run ->> 'rows')::bigint = 0 or v_run ->> 'sqlstate' = '42501', false),
    p_name => coalesce(p_name, format('%s cannot: %s', coalesce(p_user, 'anon'), p_statement)), p_diagnosis => 'got ' || v_run::text);
end $$;
revoke all on function auth.test_cannot(text, text, text, text, text) from public;
grant execute on function auth.test_cannot(text, text, text, text, text) to fluxbase_admin;
comment on function auth.test_cannot(text, text, text, text, text) is
  'Test: the statement of the user touches no row or is refused with 42501; any other error fails the test, it proves nothing.';

create or replace function auth.test_changes(p_user text, p_statement text, p_rows bigint, p_name text default null, p_aal text default 'aal1', p_org text default null)
returns setof text language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_run jsonb := auth.test_run(p_user => p_user, p_statement => p_statement, p_aal => p_aal, p_org => p_org);
begin
  return query select * from auth.test_ok(p_ok => coalesce((v_run ->> 'rows')::bigint = p_rows, false),
    p_name => coalesce(p_name, format('%s changes %s rows: %s', coalesce(p_user, 'anon'), p_rows, p_statement)), p_diagnosis => 'got ' || v_run::text);
end $$;
revoke all on function auth.test_changes(text, text, bigint, text, text, text) from public;
grant execute on function auth.test_changes(text, text, bigint, text, text, text) to fluxbase_admin;
comment on function auth.test_changes(text, text, bigint, text, text, text) is 'Test: the statement of the user touches exactly so many rows.';

create or replace function auth.test_throws(p_user text, p_statement text, p_sqlstate text, p_name text default null, p_aal text default 'aal1', p_org text default null)
returns setof text language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_run jsonb := auth.test_run(p_user => p_user, p_statement => p_statement, p_aal => p_aal, p_org => p_org);
begin
  return query select * from auth.test_ok(p_ok => coalesce(v_run ->> 'sqlstate' = p_sqlstate, false),
    p_name => coalesce(p_name, format('%s gets %s: %s', coalesce(p_user, 'anon'), p_sqlstate, p_statement)), p_diagnosis => 'got ' || v_run::text);
end $$;
revoke all on function auth.test_throws(text, text, text, text, text, text) from public;
grant execute on function auth.test_throws(text, text, text, text, text, text) to fluxbase_admin;
comment on function auth.test_throws(text, text, text, text, text, text) is 'Test: the statement of the user ends with this SQLSTATE.';

create or replace function auth.test_isolated(p_table regclass, p_tenant_column text, p_a text default null, p_b text default null, p_name text default null,
  p_org_a text default null, p_org_b text default null)
returns setof text language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_found text;
begin
  select string_agg(concat_ws(' ', i.result, i.caller, i.action, i.detail), E'\n') into v_found
  from auth.test_isolation(p_table => p_table, p_tenant_column => p_tenant_column, p_a => p_a, p_b => p_b, p_org_a => p_org_a, p_org_b => p_org_b) i where i.result <> 'ok';
  return query select * from auth.test_ok(p_ok => v_found is null, p_name => coalesce(p_name, format('tenants of %s are isolated', p_table)), p_diagnosis => v_found);
end $$;
revoke all on function auth.test_isolated(regclass, text, text, text, text, text, text) from public;
grant execute on function auth.test_isolated(regclass, text, text, text, text, text, text) to fluxbase_admin;
comment on function auth.test_isolated(regclass, text, text, text, text, text, text) is 'Test: auth.test_isolation() finds nothing, and nothing inconclusive.';

create or replace function auth.test_sound(p_table regclass, p_name text default null)
returns setof text language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_found text;
begin
  select string_agg(format('%s %s: %s', c.severity, c.object, c.evidence), E'\n') into v_found
  from auth.check() c where c.object = p_table::text or right(c.object, length(p_table::text) + 4) = ' on ' || p_table::text;
  return query select * from auth.test_ok(p_ok => v_found is null, p_name => coalesce(p_name, format('%s is sound', p_table)), p_diagnosis => v_found);
end $$;
revoke all on function auth.test_sound(regclass, text) from public;
grant execute on function auth.test_sound(regclass, text) to fluxbase_admin;
comment on function auth.test_sound(regclass, text) is 'Test: auth.check() has no error and no warning about the table or its policies.';
