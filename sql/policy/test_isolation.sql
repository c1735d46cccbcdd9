-- Can one tenant reach another's rows?  Tables: the one that is named.  Caller: fluxbase_admin.
-- Invoker.  Everything is tried for real, as the user, in a block that is always undone; triggers do fire, sequences advance.
-- What happened is judged by looking at the rows of b afterwards, as service_role: a blind "delete from t" returns a number
-- of rows, and the number does not say whose they were.
-- The parts are in isolation/: whose a tenant is, what is tried, and one attempt.

create or replace function auth.test_isolation(
  p_table regclass, p_tenant_column text, p_a text default null, p_b text default null,
  p_org_a text default null, p_org_b text default null, p_rows integer default 10000)
returns table (result text, caller text, action text, detail text)
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_service jsonb := auth.sign_context(p_user => null, p_aal => 'aal1', p_role => 'service_role');
  v_path text := (select s.reset_val from pg_settings s where s.name = 'search_path');
  v_signed jsonb[] := array[null, null, auth.sign_context(p_user => null, p_aal => 'aal1', p_role => null)];  -- of a, b and nobody
  v_ids uuid[] := array[null, null];
  v_tenants text[];
  v_row jsonb;
  v_rows jsonb[] := array[null, null];
  v_uuid boolean;
  v_found record;
  v_try record;
  v_reach record;
  v_done record;
  v_blind text;
  v_forms text[];
  v_form text;
  v_versions text;
begin
  if p_table is null or not exists (select from pg_class c where c.oid = p_table and c.relkind in ('r', 'p')) then
    raise exception using errcode = '42P01', message = 'table is null, does not exist or is no table';
  end if;
  select a.atttypid = 'uuid'::regtype or t.typbasetype = 'uuid'::regtype into v_uuid
  from pg_attribute a join pg_type t on t.oid = a.atttypid where a.attrelid = p_table and a.attname = p_tenant_column and not a.attisdropped;
  if not found then
    raise exception using errcode = '42703', message = format('%s has no column %s', p_table, quote_nullable(p_tenant_column));
  end if;
  if (p_a is null or p_b is null) and not v_uuid then
    raise exception using errcode = '22023', message = 'name two users', hint = format('%I is no uuid: whose it is cannot be looked up', p_tenant_column);
  end if;
  if p_a is null and p_org_a is not null or p_b is null and p_org_b is not null then
    raise exception using errcode = '22023', message = 'name the user, too', hint = 'p_org_a is the active organization of p_a, p_org_b that of p_b';
  end if;
  for i in 1..2 loop
    if (array[p_a, p_b])[i] is not null then
      v_signed[i] := auth.sign_context(p_user => (array[p_a, p_b])[i], p_aal => 'aal2', p_role => null, p_org => (array[p_org_a, p_org_b])[i]);
      v_ids[i] := (v_signed[i] ->> 'context')::jsonb ->> 1;
    end if;
  end loop;

  -- 1. Two users, of whom the second has a tenant that is not of the first; tenants come from the rows, read as service_role.
  -- Who was found in an organization is active in it.
  if v_ids[1] is null or v_ids[2] is null then
    begin
      perform set_config('fluxbase.context', v_service ->> 'context', true), set_config('fluxbase.context_mac', v_service ->> 'mac', true),
              set_config('role', 'service_role', true);
      execute format('select array(select t.%1$I::text from %2$s t where t.%1$I is not null group by 1 order by 1 limit 20)', p_tenant_column, p_table) into v_tenants;
      raise exception using errcode = 'ZF999', message = 'undo';
    exception
      when sqlstate 'ZF999' then null;
      when insufficient_privilege then
        raise exception using errcode = '42501', message = format('rows of two tenants are not found: %s', sqlerrm),
          detail = 'they are looked for as service_role', hint = format('grant select on %s to service_role', p_table);
    end;
    with member as materialized (
      select t.tenant, u.id, auth.tenants_of(p_user_id => u.id) as tenants
      from unnest(v_tenants::uuid[]) t (tenant) cross join lateral unnest(auth.users_of_tenant(p_tenant => t.tenant)) with ordinality u (id, n)
      where u.n <= 3 or u.id = any (v_ids))
    select array[a.id, b.id] as ids, array[nullif(a.tenant, a.id), nullif(b.tenant, b.id)] as orgs into v_found
    from member a join member b on b.id <> a.id and not b.tenant = any (a.tenants)
    where (v_ids[1] is null or a.id = v_ids[1]) and (v_ids[2] is null or b.id = v_ids[2])
    order by cardinality(a.tenants), a.id, b.id limit 1;
    if not found then
      return query select 'INCONCLUSIVE', null::text, 'find two tenants', format('%s has no rows of two tenants with users: put a row of each into it, or name them', p_table);
      return;
    end if;
    for i in 1..2 loop
      v_signed[i] := coalesce(v_signed[i], auth.sign_context(p_user => v_found.ids[i]::text, p_aal => 'aal2', p_role => null, p_org => v_found.orgs[i]::text));
    end loop;
    v_ids := v_found.ids;
  end if;

  -- 2. The canary: each sees a row of his own, and b has one that is not of a.  An organization that was named is the only one.
  for i in 1..2 loop
    v_row := null;
    begin
      v_tenants := case when v_uuid then case when (array[p_org_a, p_org_b])[i] <> '' then array[v_ids[i]::text, (v_signed[i] ->> 'context')::jsonb ->> 3]
                                         else auth.tenants_of(p_user_id => v_ids[i])::text[] end end;
      if v_uuid and i = 2 then
        v_tenants := array(select x from unnest(v_tenants) x where not x = any (
          case when p_org_a <> '' then array[v_ids[1]::text, (v_signed[1] ->> 'context')::jsonb ->> 3] else auth.tenants_of(p_user_id => v_ids[1])::text[] end));
      end if;
      perform set_config('fluxbase.context', v_signed[i] ->> 'context', true), set_config('fluxbase.context_mac', v_signed[i] ->> 'mac', true),
              set_config('request.jwt.claims', coalesce(v_signed[i] ->> 'claims', ''), true), set_config('role', v_signed[i] ->> 'role', true), set_config('search_path', v_path, true);
      execute format('select pg_catalog.to_jsonb(t.*) from %s t where ($1 is null or t.%2$I::text = any ($1)) and t.%2$I is not null and ($2 is null or t.%2$I::text <> $2) limit 1', p_table, p_tenant_column)
        into v_row using v_tenants, case when i = 2 and not v_uuid then v_rows[1] ->> p_tenant_column end;
      raise exception using errcode = 'ZF999', message = 'undo';
    exception
      when sqlstate 'ZF999' then null;
      when insufficient_privilege then v_row := null;
    end;
    if v_row is null then
      return query select 'INCONCLUSIVE', case i when 1 then 'a' else 'b' end, 'see a row of the own tenant', 'none is visible, so nothing can be concluded from seeing none of the other';
      return;
    end if;
    v_rows[i] := v_row;
  end loop;
  v_versions := auth.isolation_versions(p_service => v_service, p_table => p_table, p_tenant_column => p_tenant_column, p_tenant => v_rows[2] ->> p_tenant_column);
  return query select 'ok', 'a, b', 'see a row of the own tenant', null::text;

  -- 3. The attempts of a, and of nobody.  A blind statement that reaches more rows than p_rows writes some of them, at random.
  -- Only when it cannot be told from numbers that none of b is among the others are all of them written.
  for v_try in
    select c.name, c.signed, t.*
    from (values (1, 'a', v_signed[1]), (2, 'anon', v_signed[3])) c (ord, name, signed)
    cross join auth.isolation_attempts(p_table => p_table, p_tenant_column => p_tenant_column, p_row_a => v_rows[1], p_row_b => v_rows[2],
      p_role => v_signed[1] ->> 'role') with ordinality t (action, statement, reads, blind, bound, ord)
    order by c.ord, t.ord
  loop
    v_forms := array[v_try.statement];
    if v_try.blind is not null then
      if v_blind is distinct from v_try.name || v_try.blind then
        v_reach := auth.isolation_reach(p_signed => v_try.signed, p_statement => v_try.blind, p_tenant_column => p_tenant_column,
          p_tenant => v_rows[2] ->> p_tenant_column, p_rows => p_rows);
        v_blind := v_try.name || v_try.blind;
      end if;
      if v_reach.reached > p_rows then
        v_forms := format('%s %s pg_catalog.random() < %s', v_try.statement, v_try.bound, p_rows::numeric / v_reach.reached)
          || case when v_reach.others = v_reach.reached then '{}' else v_forms end;
      end if;
    end if;
    foreach v_form in array v_forms loop
      v_done := auth.isolation_try(p_signed => v_try.signed, p_statement => v_form, p_reads => v_try.reads, p_service => v_service, p_table => p_table,
        p_tenant_column => p_tenant_column, p_tenant => v_rows[2] ->> p_tenant_column, p_versions => v_versions);
      v_versions := v_done.p_versions;
      exit when v_done.result = 'LEAK';
    end loop;
    return query select v_done.result, v_try.name, v_try.action, v_done.detail;
  end loop;
end $$;
revoke all on function auth.test_isolation(regclass, text, text, text, text, text, integer) from public;
grant execute on function auth.test_isolation(regclass, text, text, text, text, text, integer) to fluxbase_admin;
comment on function auth.test_isolation(regclass, text, text, text, text, text, integer) is
  'Tries to reach rows of another tenant, in every form of every command, as user a and without a token; ok, LEAK or INCONCLUSIVE each. Without users it finds two. p_org_a and p_org_b are their active organizations; statements without WHERE write some p_rows rows, all for null.';
