-- Organizations of the signed-in user.  Tables: auth.organizations, auth.memberships.  Caller: fluxbase_server, after begin_entry.
-- Who may do what is decided here, from the memberships as they are now.  What the caller may not see does not exist.

-- A key of a program has scopes for data; organizations are managed by people, in a session.
create or replace function fluxbase.org_decide(p_org_id uuid, p_permission text default null)
returns text language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if auth.session_id() is null then
    return 'session_not_found';
  elsif not exists (select from auth.organizations o where o.id = p_org_id)
     or not exists (select from auth.memberships m where m.org_id = p_org_id and m.user_id = auth.current_user_id()) and not auth.is_admin() then
    return 'organization_not_found';
  elsif p_permission is not null and not auth.has_org_permission(p_org_id => p_org_id, p_permission => p_permission) then
    return 'insufficient_permissions';
  end if;
  return 'ok';
end $$;
revoke all on function fluxbase.org_decide(uuid, text) from public;
comment on function fluxbase.org_decide(uuid, text) is
  'Whether the signed-in user may do what the permission is for in this organization: ok, session_not_found, organization_not_found or insufficient_permissions.';

-- Decided again under the lock: the permission may have ended while this waited.  Outsiders never get to lock.
create or replace function fluxbase.org_begin_change(p_org_id uuid, p_permission text default null)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.org_decide(p_org_id => p_org_id, p_permission => p_permission);
begin
  if v_status <> 'ok' then
    return v_status;
  elsif not fluxbase.lock_organization(p_org_id => p_org_id) then
    return 'organization_not_found';
  end if;
  return fluxbase.org_decide(p_org_id => p_org_id, p_permission => p_permission);
end $$;
revoke all on function fluxbase.org_begin_change(uuid, text) from public;
comment on function fluxbase.org_begin_change(uuid, text) is 'Locks the organization when the signed-in user may change it; answers as fluxbase.org_decide().';

create or replace function fluxbase.org_json(p_org_id uuid)
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
begin
  return (select jsonb_build_object('id', o.id, 'slug', o.slug, 'name', o.name, 'role', m.role,
            'active', o.id is not distinct from auth.current_org_id(), 'created_at', o.created_at, 'updated_at', o.updated_at)
          from auth.organizations o left join auth.memberships m on m.org_id = o.id and m.user_id = auth.current_user_id()
          where o.id = p_org_id);
end $$;
revoke all on function fluxbase.org_json(uuid) from public;
comment on function fluxbase.org_json(uuid) is 'An organization as HTTP shows it to the signed-in user, with the own role in it.';

create or replace function fluxbase.orgs()
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if auth.session_id() is null then
    return jsonb_build_object('status', 'session_not_found');
  end if;
  return jsonb_build_object('status', 'ok', 'result', (
    select coalesce(jsonb_agg(fluxbase.org_json(p_org_id => o.id) order by o.name, o.id), '[]')
    from auth.memberships m join auth.organizations o on o.id = m.org_id where m.user_id = auth.current_user_id()));
end $$;
revoke all on function fluxbase.orgs() from public;
grant execute on function fluxbase.orgs() to fluxbase_server;
comment on function fluxbase.orgs() is 'Organizations of the signed-in user, by name.';

create or replace function fluxbase.org_get(p_org_id uuid)
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.org_decide(p_org_id => p_org_id);
begin
  return jsonb_build_object('status', v_status, 'result', case when v_status = 'ok' then fluxbase.org_json(p_org_id => p_org_id) end);
end $$;
revoke all on function fluxbase.org_get(uuid) from public;
grant execute on function fluxbase.org_get(uuid) to fluxbase_server;
comment on function fluxbase.org_get(uuid) is 'One organization of the signed-in user.';

create or replace function fluxbase.org_create(p_org_id uuid, p_slug text, p_name text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text;
begin
  if auth.session_id() is null then
    return jsonb_build_object('status', 'session_not_found');
  elsif not auth.setting(p_key => 'organization_creation_enabled')::boolean and not auth.is_admin() then
    return jsonb_build_object('status', 'insufficient_permissions');
  end if;
  v_status := fluxbase.put_organization(p_org_id => p_org_id, p_slug => p_slug, p_name => p_name, p_owner_id => auth.current_user_id());
  return jsonb_build_object('status', v_status, 'result', case when v_status = 'ok' then fluxbase.org_json(p_org_id => p_org_id) end);
end $$;
revoke all on function fluxbase.org_create(uuid, text, text) from public;
grant execute on function fluxbase.org_create(uuid, text, text) to fluxbase_server;
comment on function fluxbase.org_create(uuid, text, text) is
  'Makes an organization owned by the signed-in user; also insufficient_permissions, organization_exists, validation_failed.';

create or replace function fluxbase.org_update(p_org_id uuid, p_slug text, p_name text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.org_begin_change(p_org_id => p_org_id, p_permission => 'org.update');
begin
  -- By its slug an administrator has asked a second factor of all members: with another, nobody would be asked any more.
  if v_status = 'ok' and not auth.is_admin() and exists (
       select from auth.organizations o where o.id = p_org_id and o.slug <> p_slug
         and 'org:' || o.slug = any (string_to_array(auth.setting(p_key => 'mfa_required_roles'), ','))) then
    v_status := 'insufficient_permissions';
  elsif v_status = 'ok' then
    v_status := fluxbase.rename_organization(p_org_id => p_org_id, p_slug => p_slug, p_name => p_name);
  end if;
  return jsonb_build_object('status', v_status, 'result', case when v_status = 'ok' then fluxbase.org_json(p_org_id => p_org_id) end);
end $$;
revoke all on function fluxbase.org_update(uuid, text, text) from public;
grant execute on function fluxbase.org_update(uuid, text, text) to fluxbase_server;
comment on function fluxbase.org_update(uuid, text, text) is 'Changes slug or name; needs the permission org.update.';

create or replace function fluxbase.org_delete(p_org_id uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.org_begin_change(p_org_id => p_org_id, p_permission => 'org.delete');
begin
  if v_status = 'ok' then
    v_status := fluxbase.drop_organization(p_org_id => p_org_id);
  end if;
  return jsonb_build_object('status', v_status);
exception when foreign_key_violation then -- rows of the application that stay
  return jsonb_build_object('status', 'organization_in_use');
end $$;
revoke all on function fluxbase.org_delete(uuid) from public;
grant execute on function fluxbase.org_delete(uuid) to fluxbase_server;
comment on function fluxbase.org_delete(uuid) is 'Deletes an organization; needs the permission org.delete; organization_in_use when a foreign key of the application forbids it.';

create or replace function fluxbase.org_set_active(p_org_id uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if auth.session_id() is null then
    return jsonb_build_object('status', 'session_not_found');
  end if;
  return jsonb_build_object('status', fluxbase.put_active_org(p_org_id => p_org_id));
end $$;
revoke all on function fluxbase.org_set_active(uuid) from public;
grant execute on function fluxbase.org_set_active(uuid) to fluxbase_server;
comment on function fluxbase.org_set_active(uuid) is 'Sets the active organization of the session, null for none; at once for policies, in the token at the next refresh.';
