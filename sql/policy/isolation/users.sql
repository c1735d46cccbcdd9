-- Whose a tenant is.  Tables: auth.users, auth.memberships.  Caller: auth.test_isolation().

-- Definer: memberships are readable by the owner alone.
create or replace function auth.tenants_of(p_user_id uuid)
returns uuid[] language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return array(select p_user_id union select m.org_id from auth.memberships m where m.user_id = p_user_id);
end $$;
revoke all on function auth.tenants_of(uuid) from public;
grant execute on function auth.tenants_of(uuid) to fluxbase_admin;
comment on function auth.tenants_of(uuid) is 'What a tenant column may hold for a user: the own id and the organizations.';

create or replace function auth.users_of_tenant(p_tenant uuid)
returns uuid[] language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return array(select u.id from auth.users u where u.id = p_tenant
               union select m.user_id from auth.memberships m where m.org_id = p_tenant order by 1 limit 100);
end $$;
revoke all on function auth.users_of_tenant(uuid) from public;
grant execute on function auth.users_of_tenant(uuid) to fluxbase_admin;
comment on function auth.users_of_tenant(uuid) is 'Users that belong to what a tenant column holds: the user, or up to 100 members of the organization.';
