-- Who may touch a row?  Tables: auth.memberships; the named one only when the row is given by its key.  Caller: fluxbase_admin.

-- Definer: memberships are readable by the owner alone.
create or replace function auth.member_ids(p_org text)
returns uuid[] language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_org_id uuid := auth.org_id_of(p_org => p_org);
begin
  return array(select m.user_id from auth.memberships m where m.org_id = v_org_id);
end $$;
revoke all on function auth.member_ids(text) from public;
grant execute on function auth.member_ids(text) to fluxbase_admin;
comment on function auth.member_ids(text) is 'Users that are members of an organization, given by id or slug.';

-- Invoker, as auth.access_report(), which answers for one caller after the other.
create or replace function auth.who_can(
  p_table regclass, p_command text, p_row jsonb default null, p_new jsonb default null, p_limit integer default 1000, p_org text default null)
returns table (who text, role text, verdict text, detail text)
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_row jsonb := p_row;
  v_members uuid[] := case when p_org <> '' then auth.member_ids(p_org => p_org) end;
  v_caller record;
  v_report jsonb;
begin
  if p_command <> 'insert' then
    begin
      v_row := auth.row_by_key(p_table => p_table, p_row => p_row);
    exception when insufficient_privilege then
      null;  -- who has no grant is denied without it; for others auth.access_report() says so
    end;
  end if;
  for v_caller in
    select c.id, c.name, c.role from (
      (select u.id::text as id, coalesce(u.email, u.id::text) as name, u.role, 3 as ord from auth.admin_users u limit p_limit)
      union all values (null, 'a caller without token', 'anon', 1), (null, 'a service key', 'service_role', 2)) c
    order by c.ord, c.name
  loop
    v_report := auth.access_report(
      p_signed => auth.sign_context(p_user => v_caller.id, p_aal => 'aal1', p_role => v_caller.role,
        p_org => case when p_org = '' or v_caller.id::uuid = any (v_members) then p_org end),  -- who is no member is asked as without it
      p_table => p_table, p_command => p_command, p_row => v_row, p_new => p_new, p_reads => true, p_returning => false, p_columns => null) -> -1;
    if v_report ->> 'result' <> 'denied' then
      who := v_caller.name;
      role := v_caller.role;
      verdict := v_report ->> 'result';
      detail := v_report ->> 'detail';
      return next;
    end if;
  end loop;
end $$;
revoke all on function auth.who_can(regclass, text, jsonb, jsonb, integer, text) from public;
grant execute on function auth.who_can(regclass, text, jsonb, jsonb, integer, text) to fluxbase_admin;
comment on function auth.who_can(regclass, text, jsonb, jsonb, integer, text) is
  'Callers that may run a command on a row: a caller without token, a service key, and the newest users up to the limit, with the verdict where it is not denied. Members of p_org are active in it.';
