-- The table that says who is in which team.  Tables: the catalog.  Caller: auth.protect(), as its caller; statements, none is run.

-- Whoever may write the table of members may join any team: it is opened for reading the own rows, and no further.
create or replace function auth.protect_members(p_options jsonb)
returns text[] language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_members regclass := (p_options ->> 'members')::oid;
  v_roles text := p_options ->> 'roles';
  v_statements text[] := array[]::text[];
begin
  if not exists (select from pg_class c where c.oid = v_members and c.relrowsecurity) then
    v_statements := v_statements || format('select auth.enable_rls(p_table => %L)', v_members::text)
      || auth.policy_statement(p_table => v_members::text, p_name => 'protect_own_rows', p_command => 'select', p_roles => v_roles,
           p_rule => format('%I = (select auth.current_user_id())', p_options ->> 'user_column'));
  end if;
  if (p_options ->> 'grants')::boolean then
    v_statements := v_statements || format('grant select on table %s to %s', v_members, v_roles);
  end if;
  return v_statements;
end $$;
revoke all on function auth.protect_members(jsonb) from public;
grant execute on function auth.protect_members(jsonb) to public;
comment on function auth.protect_members(jsonb) is 'Part of auth.protect(): statements that close the table of members, unless it is closed, and let members read their own rows.';
