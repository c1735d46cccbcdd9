-- What the policies of auth.protect() ask beyond the helpers of context/.  Signatures never change.
-- Tables: auth.memberships, auth.api_keys.  Definer: request roles cannot read these tables.

-- Takes the roles and not the row, so that (select ...) asks once per query where auth.has_org_role() asks per row.
create or replace function auth.org_ids_with_role(p_roles text[])
returns uuid[] language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user uuid := auth.current_user_id();  -- asked here: on a small table a call in the query runs for every row
begin
  return (select coalesce(array_agg(m.org_id), array[]::uuid[]) from auth.memberships m
          where m.user_id = v_user and m.role = any (p_roles));
end $$;
revoke all on function auth.org_ids_with_role(text[]) from public;
grant execute on function auth.org_ids_with_role(text[]) to public;
comment on function auth.org_ids_with_role(text[]) is
  'Organizations in which the signed-in user holds one of the roles; an empty array for nobody. In policies: org_id = any (array(select unnest(auth.org_ids_with_role(array[''admin''])))).';

-- A session is bound by policies alone, and so is an anon key, which says no more than which application is asking.
create or replace function auth.has_scope(p_scope text)
returns boolean language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_key uuid := (auth.verified_context() ->> 6)::uuid;
begin
  return v_key is null or exists (
    select from auth.api_keys k
    where k.id = v_key and (k.kind = 'anon' or p_scope = any (k.scopes)));
end $$;
revoke all on function auth.has_scope(text) from public;
grant execute on function auth.has_scope(text) to public;
comment on function auth.has_scope(text) is
  'False when the request came with an API key that does not carry the scope; true for sessions and anon keys. In policies: (select auth.has_scope(''documents:read'')).';
