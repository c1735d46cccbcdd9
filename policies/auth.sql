-- Rights on schema auth.  Callers reach the tables through definer functions of the owner, so no role holds a grant.
-- Row security is on as a second lock, without FORCE: FORCE makes the owner's own functions see no rows, silently.
-- A policy takes ACCESS EXCLUSIVE: only what differs from the catalog is touched.
do $$
declare
  v_table record;
begin
  for v_table in
    select c.oid::regclass as name from pg_class c
    where c.relnamespace = 'auth'::regnamespace and c.relkind in ('r', 'p') and not c.relrowsecurity
    order by c.relname
  loop
    execute format('alter table %s enable row level security', v_table.name);
  end loop;
end $$;

-- The helpers for policies are executable by everybody, so their schema is open; the schema alone opens no table.
grant usage on schema auth to public;

-- For "references auth.users (id)" in tables of the application: the keys alone, no row can be read with them.
grant references (id) on auth.users, auth.organizations to fluxbase_author;
