-- Organizations as an administrator looks at them in psql.  Tables: auth.organizations, auth.memberships,
-- auth.organization_invitations, auth.roles.  Caller: fluxbase_admin.  As in admin/views.sql: views over JSON.

create or replace function auth.organization_rows()
returns setof jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select jsonb_build_object('id', o.id, 'slug', o.slug, 'name', o.name, 'created_at', o.created_at,
      'members', (select count(*) from auth.memberships m where m.org_id = o.id),
      'owners', (select jsonb_agg(u.email order by u.email) from auth.memberships m join auth.users u on u.id = m.user_id
                 where m.org_id = o.id and m.role = 'owner'))
    from auth.organizations o order by o.slug;
end $$;
revoke all on function auth.organization_rows() from public;
grant execute on function auth.organization_rows() to fluxbase_admin;
comment on function auth.organization_rows() is 'Organizations as JSON; read them through auth.admin_organizations.';

create or replace view auth.admin_organizations with (security_invoker = true) as
  select (j ->> 'id')::uuid as id, j ->> 'slug' as slug, j ->> 'name' as name, (j ->> 'created_at')::timestamptz as created_at,
         (j ->> 'members')::bigint as members,
         array(select jsonb_array_elements_text(coalesce(nullif(j -> 'owners', 'null'), '[]'))) as owners
  from auth.organization_rows() j;
revoke all on auth.admin_organizations from public;
grant select on auth.admin_organizations to fluxbase_admin;
comment on view auth.admin_organizations is 'Every organization by slug; owners is empty when the last owner was deleted as a user.';

create or replace function auth.member_rows()
returns setof jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select jsonb_build_object('org_id', o.id, 'slug', o.slug, 'user_id', u.id, 'email', u.email, 'role', m.role, 'created_at', m.created_at)
    from auth.memberships m join auth.organizations o on o.id = m.org_id join auth.users u on u.id = m.user_id
    order by o.slug, u.email, u.id;
end $$;
revoke all on function auth.member_rows() from public;
grant execute on function auth.member_rows() to fluxbase_admin;
comment on function auth.member_rows() is 'Members as JSON; read them through auth.admin_members.';

create or replace view auth.admin_members with (security_invoker = true) as
  select (j ->> 'org_id')::uuid as org_id, j ->> 'slug' as slug, (j ->> 'user_id')::uuid as user_id, j ->> 'email' as email,
         j ->> 'role' as role, (j ->> 'created_at')::timestamptz as created_at
  from auth.member_rows() j;
revoke all on auth.admin_members from public;
grant select on auth.admin_members to fluxbase_admin;
comment on view auth.admin_members is 'Every membership, by organization and address.';

create or replace function auth.invitation_rows()
returns setof jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select jsonb_build_object('id', i.id, 'org_id', o.id, 'slug', o.slug, 'email', i.email, 'role', i.role, 'invited_by', b.email,
      'created_at', i.created_at, 'expires_at', i.expires_at, 'accepted_at', i.accepted_at, 'accepted_by', a.email, 'revoked_at', i.revoked_at,
      'open', i.accepted_at is null and i.revoked_at is null and i.expires_at > now())
    from auth.organization_invitations i join auth.organizations o on o.id = i.org_id
    left join auth.users b on b.id = i.invited_by left join auth.users a on a.id = i.accepted_by
    order by i.created_at desc, i.id;
end $$;
revoke all on function auth.invitation_rows() from public;
grant execute on function auth.invitation_rows() to fluxbase_admin;
comment on function auth.invitation_rows() is 'Invitations as JSON, without their token; read them through auth.admin_invitations.';

create or replace view auth.admin_invitations with (security_invoker = true) as
  select (j ->> 'id')::uuid as id, (j ->> 'org_id')::uuid as org_id, j ->> 'slug' as slug, j ->> 'email' as email, j ->> 'role' as role,
         j ->> 'invited_by' as invited_by, (j ->> 'created_at')::timestamptz as created_at, (j ->> 'expires_at')::timestamptz as expires_at,
         (j ->> 'accepted_at')::timestamptz as accepted_at, j ->> 'accepted_by' as accepted_by,
         (j ->> 'revoked_at')::timestamptz as revoked_at, (j ->> 'open')::boolean as open
  from auth.invitation_rows() j;
revoke all on auth.admin_invitations from public;
grant select on auth.admin_invitations to fluxbase_admin;
comment on view auth.admin_invitations is 'Every invitation, newest first; the tokens themselves are stored nowhere.';

create or replace function auth.role_rows()
returns setof jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select jsonb_build_object('name', r.name, 'scope', r.scope, 'description', r.description,
      'permissions', (select jsonb_agg(p.permission order by p.permission) from auth.role_permissions p where p.role = r.name))
    from auth.roles r order by r.scope, r.name;
end $$;
revoke all on function auth.role_rows() from public;
grant execute on function auth.role_rows() to fluxbase_admin;
comment on function auth.role_rows() is 'Roles as JSON; read them through auth.admin_roles.';

create or replace view auth.admin_roles with (security_invoker = true) as
  select j ->> 'name' as name, j ->> 'scope' as scope, j ->> 'description' as description,
         array(select jsonb_array_elements_text(coalesce(nullif(j -> 'permissions', 'null'), '[]'))) as permissions
  from auth.role_rows() j;
revoke all on auth.admin_roles from public;
grant select on auth.admin_roles to fluxbase_admin;
comment on view auth.admin_roles is 'Every role with its permissions.';
