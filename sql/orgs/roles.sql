-- Roles and permissions.  Tables: auth.roles, auth.permissions, auth.role_permissions, auth.user_roles,
-- auth.organization_invitations.
-- Caller: fluxbase_admin.  Definer: the administrator has no right on the tables, so every change is audited.

create or replace function auth.create_role(p_name text, p_scope text default 'organization', p_description text default '')
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if p_name is null or p_name !~ '^[a-z][a-z0-9_-]{0,62}$' then
    raise exception using errcode = '22023', message = format('%s is no name for a role', quote_nullable(p_name)),
      hint = 'up to 63 characters: a-z first, then a-z, 0-9, _ and -';
  elsif p_scope is null or p_scope not in ('system', 'organization') then
    raise exception using errcode = '22023', message = format('scope %s does not exist', quote_nullable(p_scope)), hint = 'system or organization';
  end if;
  insert into auth.roles (name, scope, description) values (p_name, p_scope, coalesce(p_description, '')) on conflict (name) do nothing;
  if not found then
    raise exception using errcode = '23505', message = format('role %L exists already', p_name);
  end if;
  perform audit.record(p_action => 'role.created', p_details => jsonb_build_object('role', p_name, 'scope', p_scope));
end $$;
revoke all on function auth.create_role(text, text, text) from public;
grant execute on function auth.create_role(text, text, text) to fluxbase_admin;
comment on function auth.create_role(text, text, text) is
  'Makes a role without permissions: of scope organization (held by members) or system (held everywhere).';

create or replace function auth.drop_role(p_name text)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if p_name in ('owner', 'system_admin') then
    raise exception using errcode = '55000', message = format('role %L cannot be dropped', p_name);
  end if;
  delete from auth.organization_invitations i
  where i.role = p_name and (i.accepted_at is not null or i.revoked_at is not null or i.expires_at <= now());
  delete from auth.roles r where r.name = p_name;
  if not found then
    raise exception using errcode = 'P0002', message = format('role %s does not exist', quote_nullable(p_name));
  end if;
  perform audit.record(p_action => 'role.dropped', p_details => jsonb_build_object('role', p_name));
exception when foreign_key_violation then
  raise exception using errcode = '23503', message = format('role %L is held by somebody', p_name),
    hint = 'give those users, members and invitations another role first';
end $$;
revoke all on function auth.drop_role(text) from public;
grant execute on function auth.drop_role(text) to fluxbase_admin;
comment on function auth.drop_role(text) is 'Drops a role that nobody holds.';

create or replace function auth.create_permission(p_name text, p_description text default '')
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into auth.permissions (name, description) values (p_name, coalesce(p_description, '')) on conflict (name) do nothing;
  if not found then
    raise exception using errcode = '23505', message = format('permission %L exists already', p_name);
  end if;
  perform audit.record(p_action => 'permission.created', p_details => jsonb_build_object('permission', p_name));
exception when check_violation or not_null_violation then
  raise exception using errcode = '22023', message = format('%s is no name for a permission', quote_nullable(p_name)),
    hint = 'up to 100 characters: a-z first, then a-z, 0-9, _, . and -, for example invoices.approve';
end $$;
revoke all on function auth.create_permission(text, text) from public;
grant execute on function auth.create_permission(text, text) to fluxbase_admin;
comment on function auth.create_permission(text, text) is 'Makes a permission that policies ask for with auth.has_permission().';

create or replace function auth.drop_permission(p_name text)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if p_name = 'system.admin' or starts_with(p_name, 'org.') then
    raise exception using errcode = '55000', message = format('permission %L cannot be dropped', p_name), detail = 'functions of Fluxbase ask for it';
  end if;
  delete from auth.permissions p where p.name = p_name;
  if not found then
    raise exception using errcode = 'P0002', message = format('permission %s does not exist', quote_nullable(p_name));
  end if;
  perform audit.record(p_action => 'permission.dropped', p_details => jsonb_build_object('permission', p_name));
end $$;
revoke all on function auth.drop_permission(text) from public;
grant execute on function auth.drop_permission(text) to fluxbase_admin;
comment on function auth.drop_permission(text) is 'Drops a permission and takes it from every role.';

-- system.admin in an organization would mean nothing, so nobody shall believe that it does.
create or replace function auth.grant_permission(p_role text, p_permission text)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_scope text;
begin
  select r.scope into v_scope from auth.roles r where r.name = p_role for key share;
  if not found then
    raise exception using errcode = 'P0002', message = format('role %s does not exist', quote_nullable(p_role));
  elsif not exists (select from auth.permissions p where p.name = p_permission) then
    raise exception using errcode = 'P0002', message = format('permission %s does not exist', quote_nullable(p_permission)),
      hint = 'auth.create_permission() makes one';
  elsif p_permission = 'system.admin' and v_scope <> 'system' then
    raise exception using errcode = '22023', message = 'system.admin belongs to roles of scope system';
  end if;
  insert into auth.role_permissions (role, permission) values (p_role, p_permission) on conflict (role, permission) do nothing;
  if not found then
    return false;
  end if;
  perform audit.record(p_action => 'permission.granted', p_details => jsonb_build_object('role', p_role, 'permission', p_permission));
  return true;
end $$;
revoke all on function auth.grant_permission(text, text) from public;
grant execute on function auth.grant_permission(text, text) to fluxbase_admin;
comment on function auth.grant_permission(text, text) is 'Gives a role a permission, from the next statement on; false when it had it.';

create or replace function auth.revoke_permission(p_role text, p_permission text)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  delete from auth.role_permissions r where r.role = p_role and r.permission = p_permission;
  if not found then
    return false;
  end if;
  perform audit.record(p_action => 'permission.revoked', p_details => jsonb_build_object('role', p_role, 'permission', p_permission));
  return true;
end $$;
revoke all on function auth.revoke_permission(text, text) from public;
grant execute on function auth.revoke_permission(text, text) to fluxbase_admin;
comment on function auth.revoke_permission(text, text) is 'Takes a permission from a role, from the next statement on; false when it did not have it.';

create or replace function auth.grant_role(p_user text, p_role text)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := auth.user_id_of(p_user => p_user);
begin
  if not exists (select from auth.roles r where r.name = p_role and r.scope = 'system') then
    raise exception using errcode = '22023', message = format('there is no role %s of scope system', quote_nullable(p_role)),
      hint = 'auth.add_member() and auth.set_member_role() give roles in an organization';
  end if;
  insert into auth.user_roles (user_id, role) values (v_id, p_role) on conflict (user_id, role) do nothing;
  if not found then
    return false;
  end if;
  perform audit.record(p_action => 'role.granted', p_subject_id => v_id, p_details => jsonb_build_object('role', p_role));
  return true;
end $$;
revoke all on function auth.grant_role(text, text) from public;
grant execute on function auth.grant_role(text, text) to fluxbase_admin;
comment on function auth.grant_role(text, text) is 'Gives a user a role of scope system, from the next statement on; false when the user had it.';

create or replace function auth.revoke_role(p_user text, p_role text)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := auth.user_id_of(p_user => p_user);
begin
  delete from auth.user_roles r where r.user_id = v_id and r.role = p_role;
  if not found then
    return false;
  end if;
  perform audit.record(p_action => 'role.revoked', p_subject_id => v_id, p_details => jsonb_build_object('role', p_role));
  return true;
end $$;
revoke all on function auth.revoke_role(text, text) from public;
grant execute on function auth.revoke_role(text, text) to fluxbase_admin;
comment on function auth.revoke_role(text, text) is 'Takes a role of scope system from a user, from the next statement on; false when the user did not have it.';
