-- Invitations into organizations.  Tables: auth.organization_invitations.  Caller: fluxbase_server, after begin_entry.
-- The server makes the token and passes its hash.  p_mail: it has somebody who sends mails, and the client wants one.

create or replace function fluxbase.org_invite(p_org_id uuid, p_id uuid, p_email text, p_role text, p_token_hash bytea, p_mail boolean)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
declare
  v_status text := fluxbase.org_begin_change(p_org_id => p_org_id, p_permission => 'org.members.manage');
  v_role text := coalesce(p_role, 'member');
  -- Who is nobody writes to nobody: anonymous users come in any number.
  v_mail boolean := p_mail and fluxbase.is_email(p_email => p_email)
    and exists (select from auth.users u where u.id = auth.current_user_id() and not u.is_anonymous);
  v_wait integer;
begin
  if v_status = 'ok' and not fluxbase.may_give_role(p_org_id => p_org_id, p_user_id => auth.current_user_id(), p_role => v_role) then
    v_status := 'insufficient_permissions';
  end if;
  if v_status = 'ok' and v_mail then
    v_wait := fluxbase.count_invitation_mail(p_org_id => p_org_id, p_user_id => auth.current_user_id(), p_email => p_email);
  end if;
  if v_wait is not null then
    return jsonb_build_object('status', 'over_email_send_rate_limit', 'retry_after', v_wait);
  elsif v_status = 'ok' then
    v_status := fluxbase.put_invitation(p_id => p_id, p_org_id => p_org_id, p_email => p_email, p_role => v_role, p_token_hash => p_token_hash,
      p_invited_by => auth.current_user_id(), p_lifetime => auth.setting(p_key => 'organization_invitation_lifetime')::interval);
  end if;
  if v_status = 'ok' and v_mail then
    perform fluxbase.mail_invitation(p_id => p_id);
  end if;
  return jsonb_build_object('status', v_status, 'result', (
    select jsonb_build_object('id', i.id, 'email', i.email, 'role', i.role, 'created_at', i.created_at, 'expires_at', i.expires_at, 'mailed', v_mail)
    from auth.organization_invitations i where v_status = 'ok' and i.id = p_id));
end $$;
revoke all on function fluxbase.org_invite(uuid, uuid, text, text, bytea, boolean) from public;
grant execute on function fluxbase.org_invite(uuid, uuid, text, text, bytea, boolean) to fluxbase_server;
comment on function fluxbase.org_invite(uuid, uuid, text, text, bytea, boolean) is
  'Invites an address, by mail if that is wanted, with a role that the caller may give; needs org.members.manage; also role_not_found, already_member, validation_failed, over_email_send_rate_limit.';

create or replace function fluxbase.org_invitations(p_org_id uuid)
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
declare
  v_status text := fluxbase.org_decide(p_org_id => p_org_id, p_permission => 'org.members.manage');
begin
  if v_status <> 'ok' then
    return jsonb_build_object('status', v_status);
  end if;
  return jsonb_build_object('status', 'ok', 'result', (
    select coalesce(jsonb_agg(jsonb_build_object('id', i.id, 'email', i.email, 'role', i.role, 'invited_by', i.invited_by,
        'created_at', i.created_at, 'expires_at', i.expires_at) order by i.created_at, i.id), '[]')
    from auth.organization_invitations i
    where i.org_id = p_org_id and i.accepted_at is null and i.revoked_at is null and i.expires_at > now()));
end $$;
revoke all on function fluxbase.org_invitations(uuid) from public;
grant execute on function fluxbase.org_invitations(uuid) to fluxbase_server;
comment on function fluxbase.org_invitations(uuid) is 'Open invitations of an organization, oldest first; needs the permission org.members.manage.';

create or replace function fluxbase.org_invitation_revoke(p_org_id uuid, p_id uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.org_begin_change(p_org_id => p_org_id, p_permission => 'org.members.manage');
begin
  if v_status = 'ok' then
    v_status := fluxbase.void_invitation(p_id => p_id, p_org_id => p_org_id);
  end if;
  return jsonb_build_object('status', v_status);
end $$;
revoke all on function fluxbase.org_invitation_revoke(uuid, uuid) from public;
grant execute on function fluxbase.org_invitation_revoke(uuid, uuid) to fluxbase_server;
comment on function fluxbase.org_invitation_revoke(uuid, uuid) is 'Revokes an open invitation; needs org.members.manage; also invitation_not_found.';

-- Somebody must vouch for the address: whoever only claims it sees nothing, confirmed automatically or not.
create or replace function fluxbase.my_org_invitations()
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
begin
  if auth.session_id() is null then
    return jsonb_build_object('status', 'session_not_found');
  end if;
  return jsonb_build_object('status', 'ok', 'result', (
    select coalesce(jsonb_agg(jsonb_build_object('id', i.id, 'role', i.role, 'created_at', i.created_at, 'expires_at', i.expires_at,
        'organization', jsonb_build_object('id', o.id, 'slug', o.slug, 'name', o.name)) order by i.created_at, i.id), '[]')
    from auth.users u join auth.organization_invitations i on i.email_normalized = u.email_normalized
    join auth.organizations o on o.id = i.org_id
    where u.id = auth.current_user_id() and u.email_proven_at is not null
      and i.accepted_at is null and i.revoked_at is null and i.expires_at > now()
      and (i.invited_by is null or fluxbase.may_give_role(p_org_id => i.org_id, p_user_id => i.invited_by, p_role => i.role))));
end $$;
revoke all on function fluxbase.my_org_invitations() from public;
grant execute on function fluxbase.my_org_invitations() to fluxbase_server;
comment on function fluxbase.my_org_invitations() is 'Open invitations for the proven address of the signed-in user.';

create or replace function fluxbase.org_invitation_accept(p_id uuid, p_token_hash bytea)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_taken jsonb;
begin
  if auth.session_id() is null then
    return jsonb_build_object('status', 'session_not_found');
  end if;
  v_taken := fluxbase.take_invitation(p_id => p_id, p_token_hash => p_token_hash, p_user_id => auth.current_user_id());
  return jsonb_build_object('status', v_taken ->> 'status', 'result', fluxbase.org_json(p_org_id => (v_taken ->> 'org_id')::uuid));
end $$;
revoke all on function fluxbase.org_invitation_accept(uuid, bytea) from public;
grant execute on function fluxbase.org_invitation_accept(uuid, bytea) to fluxbase_server;
comment on function fluxbase.org_invitation_accept(uuid, bytea) is
  'Accepts an invitation by its token, or by its id when it is for the own proven address; also invitation_not_found, already_member.';
