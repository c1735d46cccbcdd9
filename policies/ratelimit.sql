-- Rights on schema ratelimit: administration only.
do $$
declare
  v_table record;
begin
  for v_table in
    select c.oid::regclass as name from pg_class c
    where c.relnamespace = 'ratelimit'::regnamespace and c.relkind in ('r', 'p') and not c.relrowsecurity
    order by c.relname
  loop
    execute format('alter table %s enable row level security', v_table.name);
  end loop;
end $$;

grant usage on schema ratelimit to fluxbase_admin;
