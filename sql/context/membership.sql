-- What policies ask about organizations, roles and permissions.  Read per request, never from a token.
-- Tables: auth.sessions, auth.memberships, auth.user_roles, auth.role_permissions.  Definer: request roles cannot read these tables.
-- plpgsql, not bound: policies stand on these functions, and bound bodies would block changes of the tables.

-- A session's organization is that of its row and not that of its token: a change acts on the next statement, and who was
-- removed is out although the token still names the organization.  A key of an organization has no session.
-- Ids are cut out of the text, as in helpers.sql, and who has a session is asked only when no row was found: 4 us of 18.
create or replace function auth.current_org_id()
returns uuid language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_context text := auth.verified_context_text();
  v_org_id uuid;
begin
  select m.org_id into v_org_id from auth.sessions s join auth.memberships m on m.org_id = s.org_id and m.user_id = s.user_id
  where s.id = nullif(split_part(split_part(v_context, ',', 3), '"', 2), '')::uuid;
  if v_org_id is null and btrim(split_part(v_context, ',', 3)) = 'null' then
    return nullif(split_part(split_part(v_context, ',', 4), '"', 2), '')::uuid;
  end if;
  return v_org_id;
end $$;
revoke all on function auth.current_org_id() from public;
grant execute on function auth.current_org_id() to public;
comment on function auth.current_org_id() is
  'Active organization of the session, null without one or when the user is no member any more. In policies: (select auth.current_org_id()).';

create or replace function auth.org_ids()
returns uuid[] language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user uuid := auth.current_user_id();  -- asked here: on a small table a call in the query runs for every row
begin
  return (select coalesce(array_agg(m.org_id), array[]::uuid[]) from auth.memberships m where m.user_id = v_user);
end $$;
revoke all on function auth.org_ids() from public;
grant execute on function auth.org_ids() to public;
comment on function auth.org_ids() is 'Organizations of the signed-in user; an empty array for nobody. In policies: org_id = any (array(select unnest(auth.org_ids()))).';

create or replace function auth.has_org_role(p_org_id uuid, p_role text)
returns boolean language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user uuid := auth.current_user_id();
begin
  return exists (select from auth.memberships m where m.org_id = p_org_id and m.user_id = v_user and m.role = p_role);
end $$;
revoke all on function auth.has_org_role(uuid, text) from public;
grant execute on function auth.has_org_role(uuid, text) to public;
comment on function auth.has_org_role(uuid, text) is 'True when the signed-in user holds exactly this role in the organization.';

create or replace function auth.current_org_role()
returns text language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_context jsonb := auth.verified_context();
begin
  if v_context ->> 2 is not null then
    return (select m.role from auth.sessions s join auth.memberships m on m.org_id = s.org_id and m.user_id = s.user_id
            where s.id = (v_context ->> 2)::uuid);
  end if;
  return (select m.role from auth.memberships m where m.org_id = (v_context ->> 3)::uuid and m.user_id = (v_context ->> 1)::uuid);
end $$;
revoke all on function auth.current_org_role() from public;
grant execute on function auth.current_org_role() to public;
comment on function auth.current_org_role() is 'Role of the signed-in user in the active organization, null without one.';

create or replace function auth.has_permission(p_permission text)
returns boolean language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user uuid := auth.current_user_id();
  v_org uuid := auth.current_org_id();
begin
  if v_user is null then
    return false;
  end if;
  return exists (select from auth.user_roles u join auth.role_permissions p on p.role = u.role
                 where u.user_id = v_user and p.permission = p_permission)
      or exists (select from auth.memberships m join auth.role_permissions p on p.role = m.role
                 where m.user_id = v_user and m.org_id = v_org and p.permission = p_permission);
end $$;
revoke all on function auth.has_permission(text) from public;
grant execute on function auth.has_permission(text) to public;
comment on function auth.has_permission(text) is
  'True when a system role of the signed-in user, or the role in the active organization, carries the permission.';

-- A system role that carries the permission, or system.admin, holds in every organization.
create or replace function auth.has_org_permission(p_org_id uuid, p_permission text)
returns boolean language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user uuid := auth.current_user_id();
begin
  if v_user is null then
    return false;
  end if;
  return exists (select from auth.memberships m join auth.role_permissions p on p.role = m.role
                 where m.user_id = v_user and m.org_id = p_org_id and p.permission = p_permission)
      or exists (select from auth.user_roles u join auth.role_permissions p on p.role = u.role
                 where u.user_id = v_user and p.permission in (p_permission, 'system.admin'));
end $$;
revoke all on function auth.has_org_permission(uuid, text) from public;
grant execute on function auth.has_org_permission(uuid, text) to public;
comment on function auth.has_org_permission(uuid, text) is
  'True when the role of the signed-in user in this organization carries the permission, or a system role does.';

-- An organization cannot make an administrator of the system: only system roles count here.
create or replace function auth.is_admin()
returns boolean language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user uuid := auth.current_user_id();
begin
  if v_user is null then
    return false;
  end if;
  return exists (select from auth.user_roles u join auth.role_permissions p on p.role = u.role
                 where u.user_id = v_user and p.permission = 'system.admin');
end $$;
revoke all on function auth.is_admin() from public;
grant execute on function auth.is_admin() to public;
comment on function auth.is_admin() is 'True when a system role of the signed-in user carries the permission system.admin.';
