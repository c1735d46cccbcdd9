-- Rights on schema fluxbase: the server's logins may look up the functions they execute, an administrator fluxbase.reload().
-- The roles of requests have no USAGE here: an entry point is out of reach even when its name is known.
do $$
declare
  v_table record;
begin
  for v_table in
    select c.oid::regclass as name from pg_class c
    where c.relnamespace = 'fluxbase'::regnamespace and c.relkind in ('r', 'p') and not c.relrowsecurity
    order by c.relname
  loop
    execute format('alter table %s enable row level security', v_table.name);
  end loop;
end $$;

grant usage on schema fluxbase to fluxbase_api, fluxbase_service, fluxbase_server, fluxbase_admin;
