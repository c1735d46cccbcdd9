-- Members of organizations.  Tables: auth.memberships, auth.roles.  Callers: fluxbase_admin in psql, the entry points.
-- The functions in fluxbase hold the rules that nobody may break and return a status; who may do what is decided by the
-- entry points in server/org_members.sql.

create or replace function fluxbase.is_last_owner(p_org_id uuid, p_user_id uuid)
returns boolean language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (select from auth.memberships m where m.org_id = p_org_id and m.user_id = p_user_id and m.role = 'owner')
     and not exists (select from auth.memberships m where m.org_id = p_org_id and m.user_id <> p_user_id and m.role = 'owner');
end $$;
revoke all on function fluxbase.is_last_owner(uuid, uuid) from public;
comment on function fluxbase.is_last_owner(uuid, uuid) is 'True when the user is the one owner of the organization.';

create or replace function fluxbase.put_member_role(p_org_id uuid, p_user_id uuid, p_role text)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_before text;
begin
  if not fluxbase.lock_organization(p_org_id => p_org_id) then
    return 'organization_not_found';
  end if;
  select m.role into v_before from auth.memberships m where m.org_id = p_org_id and m.user_id = p_user_id;
  if not found then
    return 'member_not_found';
  elsif not exists (select from auth.roles r where r.name = p_role and r.scope = 'organization') then
    return 'role_not_found';
  elsif v_before = p_role then
    return 'ok';
  elsif fluxbase.is_last_owner(p_org_id => p_org_id, p_user_id => p_user_id) then
    return 'last_owner';
  end if;
  update auth.memberships m set role = p_role where m.org_id = p_org_id and m.user_id = p_user_id;
  perform audit.record(p_action => 'member.role_changed', p_subject_id => p_user_id,
    p_details => jsonb_build_object('org_id', p_org_id, 'from', v_before, 'to', p_role));
  return 'ok';
end $$;
revoke all on function fluxbase.put_member_role(uuid, uuid, text) from public;
comment on function fluxbase.put_member_role(uuid, uuid, text) is
  'Changes the role of a member; ok, organization_not_found, member_not_found, role_not_found or last_owner.';

create or replace function fluxbase.drop_member(p_org_id uuid, p_user_id uuid, p_action text)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_role text;
begin
  if not fluxbase.lock_organization(p_org_id => p_org_id) then
    return 'organization_not_found';
  elsif fluxbase.is_last_owner(p_org_id => p_org_id, p_user_id => p_user_id) then
    return 'last_owner';
  end if;
  delete from auth.memberships m where m.org_id = p_org_id and m.user_id = p_user_id returning m.role into v_role;
  if not found then
    return 'member_not_found';
  end if;
  perform audit.record(p_action => p_action, p_subject_id => p_user_id, p_details => jsonb_build_object('org_id', p_org_id, 'role', v_role));
  return 'ok';
end $$;
revoke all on function fluxbase.drop_member(uuid, uuid, text) from public;
comment on function fluxbase.drop_member(uuid, uuid, text) is
  'Ends a membership, audited as the action; ok, organization_not_found, member_not_found or last_owner.';

-- The former owner stays as admin: giving away is not leaving.
create or replace function fluxbase.hand_over_organization(p_org_id uuid, p_from_id uuid, p_to_id uuid)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not fluxbase.lock_organization(p_org_id => p_org_id) then
    return 'organization_not_found';
  elsif p_from_id = p_to_id then
    return 'validation_failed';
  elsif not exists (select from auth.memberships m where m.org_id = p_org_id and m.user_id = p_to_id)
     or not exists (select from auth.memberships m where m.org_id = p_org_id and m.user_id = p_from_id and m.role = 'owner') then
    return 'member_not_found';
  end if;
  update auth.memberships m set role = 'owner' where m.org_id = p_org_id and m.user_id = p_to_id;
  update auth.memberships m set role = 'admin' where m.org_id = p_org_id and m.user_id = p_from_id;
  perform audit.record(p_action => 'organization.transferred', p_subject_id => p_to_id,
    p_details => jsonb_build_object('org_id', p_org_id, 'from', p_from_id));
  return 'ok';
end $$;
revoke all on function fluxbase.hand_over_organization(uuid, uuid, uuid) from public;
comment on function fluxbase.hand_over_organization(uuid, uuid, uuid) is
  'Makes a member owner in place of an owner, who becomes admin; ok, organization_not_found, member_not_found or validation_failed.';

-- Asked about any user: an invitation is looked at again when it is accepted.  Policies may trust a role by its name alone,
-- so a role of the application is not small because it carries no permission.
create or replace function fluxbase.may_give_role(p_org_id uuid, p_user_id uuid, p_role text)
returns boolean language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_own text := (select m.role from auth.memberships m where m.org_id = p_org_id and m.user_id = p_user_id);
begin
  if exists (select from auth.users u where u.id = p_user_id and u.banned_until > now()) then
    return false;
  elsif exists (select from auth.user_roles u join auth.role_permissions p on p.role = u.role
                where u.user_id = p_user_id and p.permission = 'system.admin') then
    return true;
  elsif v_own is null or not exists (
      select from auth.role_permissions p where p.role = v_own and p.permission = 'org.members.manage'
      union all
      select from auth.user_roles u join auth.role_permissions p on p.role = u.role
      where u.user_id = p_user_id and p.permission = 'org.members.manage') then
    return false;
  end if;
  return v_own = 'owner' or coalesce(p_role in ('admin', 'member'), false) and not exists (
    select from auth.role_permissions r where r.role = p_role
      and not exists (select from auth.role_permissions o where o.role = v_own and o.permission = r.permission));
end $$;
revoke all on function fluxbase.may_give_role(uuid, uuid, text) from public;
comment on function fluxbase.may_give_role(uuid, uuid, text) is
  'True when the user manages members of the organization and may give this role: owners any, others admin and member within the own.';

create or replace function auth.add_member(p_org text, p_user text, p_role text default 'member')
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_org_id uuid := auth.org_id_of(p_org => p_org);
  v_user_id uuid := auth.user_id_of(p_user => p_user);
begin
  if not exists (select from auth.roles r where r.name = p_role and r.scope = 'organization') then
    perform fluxbase.require_org_status(p_status => 'role_not_found');
  end if;
  insert into auth.memberships (org_id, user_id, role) values (v_org_id, v_user_id, p_role) on conflict (org_id, user_id) do nothing;
  if not found then
    perform fluxbase.require_org_status(p_status => 'already_member');
  end if;
  perform audit.record(p_action => 'member.added', p_subject_id => v_user_id, p_details => jsonb_build_object('org_id', v_org_id, 'role', p_role));
end $$;
revoke all on function auth.add_member(text, text, text) from public;
grant execute on function auth.add_member(text, text, text) to fluxbase_admin;
comment on function auth.add_member(text, text, text) is 'Makes a user a member of an organization without an invitation.';

create or replace function auth.set_member_role(p_org text, p_user text, p_role text)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform fluxbase.require_org_status(p_status => fluxbase.put_member_role(p_org_id => auth.org_id_of(p_org => p_org),
    p_user_id => auth.user_id_of(p_user => p_user), p_role => p_role));
end $$;
revoke all on function auth.set_member_role(text, text, text) from public;
grant execute on function auth.set_member_role(text, text, text) to fluxbase_admin;
comment on function auth.set_member_role(text, text, text) is 'Changes the role of a member; refused for the last owner.';

create or replace function auth.remove_member(p_org text, p_user text)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform fluxbase.require_org_status(p_status => fluxbase.drop_member(p_org_id => auth.org_id_of(p_org => p_org),
    p_user_id => auth.user_id_of(p_user => p_user), p_action => 'member.removed'));
end $$;
revoke all on function auth.remove_member(text, text) from public;
grant execute on function auth.remove_member(text, text) to fluxbase_admin;
comment on function auth.remove_member(text, text) is 'Removes a member, from the next statement on; refused for the last owner.';

create or replace function auth.transfer_ownership(p_org text, p_from text, p_to text)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform fluxbase.require_org_status(p_status => fluxbase.hand_over_organization(p_org_id => auth.org_id_of(p_org => p_org),
    p_from_id => auth.user_id_of(p_user => p_from), p_to_id => auth.user_id_of(p_user => p_to)));
end $$;
revoke all on function auth.transfer_ownership(text, text, text) from public;
grant execute on function auth.transfer_ownership(text, text, text) to fluxbase_admin;
comment on function auth.transfer_ownership(text, text, text) is 'Makes a member owner in place of an owner, who becomes admin.';
