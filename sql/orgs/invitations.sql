-- Invitations into organizations.  Tables: auth.organization_invitations, auth.memberships.
-- Callers: fluxbase_admin in psql, the entry points.  The table knows the SHA-256 of a token alone: of the one that whoever invites gets
-- at once, and of the one that a server derives from the invitation's id when it mails it.  Either is good once, and ends the other.

create or replace function fluxbase.put_invitation(
  p_id uuid, p_org_id uuid, p_email text, p_role text, p_token_hash bytea, p_invited_by uuid, p_lifetime interval)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not fluxbase.lock_organization(p_org_id => p_org_id) then
    return 'organization_not_found';
  elsif not exists (select from auth.roles r where r.name = p_role and r.scope = 'organization') then
    return 'role_not_found';
  elsif exists (select from auth.memberships m join auth.users u on u.id = m.user_id
                where m.org_id = p_org_id and u.email_normalized = lower(p_email)) then
    return 'already_member';
  end if;
  update auth.organization_invitations i set revoked_at = now()
  where i.org_id = p_org_id and i.email_normalized = lower(p_email) and i.accepted_at is null and i.revoked_at is null;
  insert into auth.organization_invitations (id, org_id, email, role, token_hash, invited_by, expires_at)
  values (p_id, p_org_id, p_email, p_role, p_token_hash, p_invited_by, now() + p_lifetime);
  perform audit.record(p_action => 'invitation.created', p_details => jsonb_build_object(
    'id', p_id, 'org_id', p_org_id, 'email', p_email, 'role', p_role));
  return 'ok';
exception when check_violation or not_null_violation then
  return 'validation_failed';
end $$;
revoke all on function fluxbase.put_invitation(uuid, uuid, text, text, bytea, uuid, interval) from public;
comment on function fluxbase.put_invitation(uuid, uuid, text, text, bytea, uuid, interval) is
  'Stores an invitation in place of the open one for this address; ok, organization_not_found, role_not_found, already_member or validation_failed.';

-- Single use is one statement: of two who accept at once, the second finds the invitation taken.  A member does not use one up,
-- and it never changes the role of a member.  Without invited_by it was made in psql: those of a deleted user end before the user.
create or replace function fluxbase.take_invitation(p_id uuid, p_token_hash bytea, p_user_id uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_invitation auth.organization_invitations;
  v_user auth.users;
begin
  -- Locked, so that the address stays and two invitations of one user come one after the other.
  select u.* into v_user from auth.users u where u.id = p_user_id for no key update;
  select i.* into v_invitation from auth.organization_invitations i
  where p_token_hash is not null and (i.token_hash = p_token_hash or i.mail_token_hash = p_token_hash)
     or p_token_hash is null and i.id = p_id and i.email_normalized = v_user.email_normalized and v_user.email_proven_at is not null;
  -- In the order of whoever deletes the organization, so that the two never wait for each other.
  perform from auth.organizations o where o.id = v_invitation.org_id for key share;
  update auth.organization_invitations i set accepted_at = now(), accepted_by = p_user_id
  where i.id = v_invitation.id and i.accepted_at is null and i.revoked_at is null and i.expires_at > now()
    and (i.invited_by is null or fluxbase.may_give_role(p_org_id => i.org_id, p_user_id => i.invited_by, p_role => i.role))
    and not exists (select from auth.memberships m where m.org_id = i.org_id and m.user_id = p_user_id);
  if not found then
    return jsonb_build_object('status', case when exists (
        select from auth.organization_invitations i join auth.memberships m on m.org_id = i.org_id and m.user_id = p_user_id
        where i.id = v_invitation.id and i.accepted_at is null and i.revoked_at is null and i.expires_at > now())
      then 'already_member' else 'invitation_not_found' end);
  end if;
  insert into auth.memberships (org_id, user_id, role) values (v_invitation.org_id, p_user_id, v_invitation.role)
  on conflict (org_id, user_id) do nothing;
  if not found then
    return jsonb_build_object('status', 'already_member');
  end if;
  perform audit.record(p_action => 'invitation.accepted', p_subject_id => p_user_id, p_details => jsonb_build_object(
    'id', v_invitation.id, 'org_id', v_invitation.org_id, 'role', v_invitation.role,
    'by', case when p_token_hash is null then 'address' when p_token_hash = v_invitation.mail_token_hash then 'mail' else 'token' end));
  return jsonb_build_object('status', 'ok', 'org_id', v_invitation.org_id);
end $$;
revoke all on function fluxbase.take_invitation(uuid, bytea, uuid) from public;
comment on function fluxbase.take_invitation(uuid, bytea, uuid) is
  'Accepts an invitation: with its token by any user, by its id only by the user with its proven address; ok, invitation_not_found or already_member.';

-- What strangers choose is not in it but the slug of the organization and the name of the role.
create or replace function fluxbase.mail_invitation(p_id uuid)
returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_invitation auth.organization_invitations;
  v_mail uuid;
begin
  select i.* into v_invitation from auth.organization_invitations i
  where i.id = p_id and i.accepted_at is null and i.revoked_at is null and i.expires_at > now() for no key update;
  if not found then
    return null;
  end if;
  v_mail := fluxbase.put_mail(p_kind => 'organization_invite', p_recipient => v_invitation.email,
    p_locale => fluxbase.mail_locale(p_data => (select u.raw_user_meta_data from auth.users u where u.email_normalized = v_invitation.email_normalized)),
    p_variables => jsonb_build_object('email', v_invitation.email, 'role', v_invitation.role,
      'organization', (select o.slug from auth.organizations o where o.id = v_invitation.org_id)));
  update auth.mail_outbox m set invitation_id = p_id where m.id = v_mail;
  perform audit.record(p_action => 'invitation.mailed', p_details => jsonb_build_object('id', p_id, 'org_id', v_invitation.org_id));
  return v_mail;
end $$;
revoke all on function fluxbase.mail_invitation(uuid) from public;
comment on function fluxbase.mail_invitation(uuid) is 'Mails an open invitation and returns the id of the mail; null when it is not open.';

-- Nobody mails strangers in great numbers through an organization: by the rules of this path for users and organizations, and whoever
-- invites, one address gets no more than one mail a minute, then two, and so on.
create or replace function fluxbase.count_invitation_mail(p_org_id uuid, p_user_id uuid, p_email text)
returns integer language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_rule ratelimit.rules;
  v_subject text;
  v_taken record;
begin
  for v_rule in
    select r.* from ratelimit.rules r where r.path = '/mail/organization_invite' and r.scope in ('user', 'org') order by r.id
  loop
    v_subject := case v_rule.scope when 'user' then p_user_id else p_org_id end::text;
    select t.granted, t.window_start, t.free_at into v_taken
    from ratelimit.take(p_rule_id => v_rule.id, p_limit => v_rule.max_requests, p_window_seconds => v_rule.window_seconds,
                        p_subject => v_subject, p_want => 1) t;
    if v_taken.granted = 0 and v_rule.mode = 'enforce' then
      perform ratelimit.record_refusal(p_rule_id => v_rule.id, p_subject => v_subject, p_window_start => v_taken.window_start);
      return greatest(1, ceil(extract(epoch from v_taken.free_at - clock_timestamp())))::integer;
    end if;
  end loop;
  return fluxbase.count_mail(p_kind => 'organization_invite', p_email => p_email);
end $$;
revoke all on function fluxbase.count_invitation_mail(uuid, uuid, text) from public;
comment on function fluxbase.count_invitation_mail(uuid, uuid, text) is
  'Counts one mailed invitation of a user and an organization and returns null; beyond a limit the seconds to wait.';

create or replace function fluxbase.void_invitation(p_id uuid, p_org_id uuid)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update auth.organization_invitations i set revoked_at = now()
  where i.id = p_id and i.org_id = p_org_id and i.accepted_at is null and i.revoked_at is null;
  if not found then
    return 'invitation_not_found';
  end if;
  perform audit.record(p_action => 'invitation.revoked', p_details => jsonb_build_object('id', p_id, 'org_id', p_org_id));
  return 'ok';
end $$;
revoke all on function fluxbase.void_invitation(uuid, uuid) from public;
comment on function fluxbase.void_invitation(uuid, uuid) is 'Revokes an open invitation of the organization; ok or invitation_not_found.';

create or replace function auth.invite_member(p_org text, p_email text, p_role text default 'member', p_lifetime interval default null)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_random bytea := sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
  v_token text := 'fb_invite_' || rtrim(translate(encode(v_random, 'base64'), '+/', '-_'), '=');
begin
  if p_lifetime <= interval '0' then
    raise exception using errcode = '22023', message = 'an invitation expires in the future', detail = format('p_lifetime is %s', p_lifetime);
  end if;
  perform fluxbase.require_org_status(p_status => fluxbase.put_invitation(p_id => gen_random_uuid(), p_org_id => auth.org_id_of(p_org => p_org),
    p_email => p_email, p_role => p_role, p_token_hash => sha256(convert_to(v_token, 'UTF8')), p_invited_by => null,
    p_lifetime => coalesce(p_lifetime, auth.setting(p_key => 'organization_invitation_lifetime')::interval)));
  return v_token;
end $$;
revoke all on function auth.invite_member(text, text, text, interval) from public;
grant execute on function auth.invite_member(text, text, text, interval) to fluxbase_admin;
comment on function auth.invite_member(text, text, text, interval) is
  'Invites an address into an organization and returns the token: the only time that it can be seen.';

create or replace function auth.mail_invitation(p_id uuid)
returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_mail uuid := fluxbase.mail_invitation(p_id => p_id);
begin
  if v_mail is null then
    raise exception using errcode = 'P0002', message = format('there is no open invitation %s', coalesce(p_id::text, 'null')),
      hint = 'auth.admin_invitations lists them';
  end if;
  return v_mail;
end $$;
revoke all on function auth.mail_invitation(uuid) from public;
grant execute on function auth.mail_invitation(uuid) to fluxbase_admin;
comment on function auth.mail_invitation(uuid) is
  'Mails an open invitation, beside the token that auth.invite_member() returned; a server sends it. Returns its id in auth.outbox. Again: the same link.';

create or replace function auth.revoke_invitation(p_id uuid)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_org_id uuid;
begin
  select i.org_id into v_org_id from auth.organization_invitations i where i.id = p_id;
  if not found then
    raise exception using errcode = 'P0002', message = format('invitation %s does not exist', coalesce(p_id::text, 'null')),
      hint = 'auth.admin_invitations lists them';
  end if;
  return fluxbase.void_invitation(p_id => p_id, p_org_id => v_org_id) = 'ok';
end $$;
revoke all on function auth.revoke_invitation(uuid) from public;
grant execute on function auth.revoke_invitation(uuid) to fluxbase_admin;
comment on function auth.revoke_invitation(uuid) is 'Revokes an invitation; false when it was accepted or revoked before.';
