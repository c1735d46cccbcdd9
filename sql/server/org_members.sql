-- Members of an organization, for its members.  Tables: auth.memberships, auth.users.  Caller: fluxbase_server, after begin_entry.

-- Nobody takes away more than the own role carries: otherwise an admin removes owners.
create or replace function fluxbase.org_may_assign(p_org_id uuid, p_role text)
returns boolean language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_own text;
begin
  if auth.is_admin() then
    return true;
  end if;
  select m.role into v_own from auth.memberships m where m.org_id = p_org_id and m.user_id = auth.current_user_id();
  return v_own is not null and (v_own = 'owner' or p_role is distinct from 'owner' and not exists (
    select from auth.role_permissions r where r.role = p_role
      and not exists (select from auth.role_permissions o where o.role = v_own and o.permission = r.permission)));
end $$;
revoke all on function fluxbase.org_may_assign(uuid, text) from public;
comment on function fluxbase.org_may_assign(uuid, text) is 'True when the role carries nothing that the signed-in user''s own role in the organization lacks.';

create or replace function fluxbase.org_members(p_org_id uuid)
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
declare
  v_status text := fluxbase.org_decide(p_org_id => p_org_id, p_permission => 'org.members.read');
begin
  if v_status <> 'ok' then
    return jsonb_build_object('status', v_status);
  end if;
  return jsonb_build_object('status', 'ok', 'result', (
    select coalesce(jsonb_agg(jsonb_build_object('user_id', u.id, 'email', coalesce(u.email, ''), 'role', m.role, 'created_at', m.created_at)
                              order by m.created_at, u.id), '[]')
    from auth.memberships m join auth.users u on u.id = m.user_id where m.org_id = p_org_id));
end $$;
revoke all on function fluxbase.org_members(uuid) from public;
grant execute on function fluxbase.org_members(uuid) to fluxbase_server;
comment on function fluxbase.org_members(uuid) is 'Members of an organization, oldest first; needs the permission org.members.read.';

-- Nobody changes the own role, except an owner, who may step down.
create or replace function fluxbase.org_member_set_role(p_org_id uuid, p_user_id uuid, p_role text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.org_begin_change(p_org_id => p_org_id, p_permission => 'org.members.manage');
  v_before text;
begin
  if v_status = 'ok' then
    select m.role into v_before from auth.memberships m where m.org_id = p_org_id and m.user_id = p_user_id;
    if found and not (fluxbase.org_may_assign(p_org_id => p_org_id, p_role => v_before)
                      and fluxbase.may_give_role(p_org_id => p_org_id, p_user_id => auth.current_user_id(), p_role => p_role)
                      and (p_user_id <> auth.current_user_id() or v_before = 'owner' or auth.is_admin())) then
      v_status := 'insufficient_permissions';
    else
      v_status := fluxbase.put_member_role(p_org_id => p_org_id, p_user_id => p_user_id, p_role => p_role);
    end if;
  end if;
  return jsonb_build_object('status', v_status, 'result', case when v_status = 'ok' then jsonb_build_object('user_id', p_user_id, 'role', p_role) end);
end $$;
revoke all on function fluxbase.org_member_set_role(uuid, uuid, text) from public;
grant execute on function fluxbase.org_member_set_role(uuid, uuid, text) to fluxbase_server;
comment on function fluxbase.org_member_set_role(uuid, uuid, text) is
  'Changes the role of a member; needs org.members.manage and both roles within reach, not the own unless as owner; also member_not_found, role_not_found, last_owner.';

-- Everybody may leave; to remove another needs the permission.
create or replace function fluxbase.org_member_remove(p_org_id uuid, p_user_id uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_leaves boolean := p_user_id is not distinct from auth.current_user_id();
  v_status text := fluxbase.org_begin_change(p_org_id => p_org_id, p_permission => case when not v_leaves then 'org.members.manage' end);
  v_role text;
begin
  if v_status = 'ok' then
    select m.role into v_role from auth.memberships m where m.org_id = p_org_id and m.user_id = p_user_id;
    if found and not v_leaves and not fluxbase.org_may_assign(p_org_id => p_org_id, p_role => v_role) then
      v_status := 'insufficient_permissions';
    else
      v_status := fluxbase.drop_member(p_org_id => p_org_id, p_user_id => p_user_id,
        p_action => case when v_leaves then 'member.left' else 'member.removed' end);
    end if;
  end if;
  return jsonb_build_object('status', v_status);
end $$;
revoke all on function fluxbase.org_member_remove(uuid, uuid) from public;
grant execute on function fluxbase.org_member_remove(uuid, uuid) to fluxbase_server;
comment on function fluxbase.org_member_remove(uuid, uuid) is 'Leaves, or removes a member with org.members.manage; also member_not_found, last_owner.';

create or replace function fluxbase.org_leave(p_org_id uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return fluxbase.org_member_remove(p_org_id => p_org_id, p_user_id => auth.current_user_id());
end $$;
revoke all on function fluxbase.org_leave(uuid) from public;
grant execute on function fluxbase.org_leave(uuid) to fluxbase_server;
comment on function fluxbase.org_leave(uuid) is 'Ends the own membership; last_owner for the only owner.';

create or replace function fluxbase.org_transfer(p_org_id uuid, p_user_id uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.org_begin_change(p_org_id => p_org_id);
begin
  if v_status = 'ok' and not auth.has_org_role(p_org_id => p_org_id, p_role => 'owner') then
    v_status := 'insufficient_permissions';
  elsif v_status = 'ok' then
    v_status := fluxbase.hand_over_organization(p_org_id => p_org_id, p_from_id => auth.current_user_id(), p_to_id => p_user_id);
  end if;
  return jsonb_build_object('status', v_status, 'result', case when v_status = 'ok' then fluxbase.org_json(p_org_id => p_org_id) end);
end $$;
revoke all on function fluxbase.org_transfer(uuid, uuid) from public;
grant execute on function fluxbase.org_transfer(uuid, uuid) to fluxbase_server;
comment on function fluxbase.org_transfer(uuid, uuid) is 'Gives the own ownership to a member and stays as admin; also member_not_found, validation_failed.';
