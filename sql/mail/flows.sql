-- Mailed flows, begun, seen and ended in psql.  Tables: auth.users, auth.one_time_tokens.  Callers: fluxbase_admin; the entry points.

-- What every beginning of a flow for one user does: token and mail in one transaction.
create or replace function fluxbase.mail_token(
  p_user auth.users, p_purpose text, p_redirect_to text default null, p_flow_id uuid default null)
returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_new boolean := p_purpose = 'email_change_new';
  v_recipient text := case when v_new then p_user.email_change else p_user.email end;
begin
  return fluxbase.put_mail(
    p_kind => p_purpose, p_recipient => v_recipient, p_user_id => p_user.id,
    p_token_id => fluxbase.put_token(p_purpose => p_purpose, p_user_id => p_user.id, p_email => v_recipient,
      p_relates_to => case when p_purpose in ('email_change_current', 'email_change_new') then p_user.email_change end, p_flow_id => p_flow_id),
    p_locale => fluxbase.mail_locale(p_data => p_user.raw_user_meta_data),
    p_variables => jsonb_strip_nulls(jsonb_build_object('email', p_user.email, 'new_email', p_user.email_change, 'redirect_to', p_redirect_to)));
end $$;
revoke all on function fluxbase.mail_token(auth.users, text, text, uuid) from public;
comment on function fluxbase.mail_token(auth.users, text, text, uuid) is 'Makes a token for a user and the mail that brings it; returns the id of the mail.';

-- Both addresses, as long as the user has one that was confirmed; the row of the user is locked.
create or replace function fluxbase.begin_email_change(p_user auth.users, p_email text, p_redirect_to text default null, p_flow_id uuid default null)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
begin
  update auth.users u set email_change = p_email where u.id = p_user.id returning u.* into v_user;
  perform fluxbase.void_tokens(p_user_id => v_user.id, p_purposes => array['email_change_current', 'email_change_new']);
  if v_user.email is not null and auth.setting(p_key => 'email_change_requires_both')::boolean then
    perform fluxbase.mail_token(p_user => v_user, p_purpose => 'email_change_current', p_redirect_to => p_redirect_to, p_flow_id => p_flow_id);
  end if;
  perform fluxbase.mail_token(p_user => v_user, p_purpose => 'email_change_new', p_redirect_to => p_redirect_to, p_flow_id => p_flow_id);
end $$;
revoke all on function fluxbase.begin_email_change(auth.users, text, text, uuid) from public;
comment on function fluxbase.begin_email_change(auth.users, text, text, uuid) is 'Asks the new address, and the current one, whether the address shall change.';

-- What changes at once, by an administrator or a session, its owner is told: an address that was confirmed, and of its own change the old one.
create or replace function fluxbase.mail_notices(p_before auth.users, p_after auth.users)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if p_after.password_changed_at is distinct from p_before.password_changed_at and p_after.email_confirmed_at is not null then
    perform fluxbase.put_mail(p_kind => 'password_changed', p_recipient => p_after.email, p_user_id => p_after.id,
                              p_locale => fluxbase.mail_locale(p_data => p_after.raw_user_meta_data));
  end if;
  if p_after.email_normalized <> p_before.email_normalized and p_before.email_confirmed_at is not null then
    perform fluxbase.put_mail(p_kind => 'email_changed', p_recipient => p_before.email, p_user_id => p_after.id,
                              p_locale => fluxbase.mail_locale(p_data => p_after.raw_user_meta_data),
                              p_variables => jsonb_build_object('new_email', p_after.email));
  end if;
end $$;
revoke all on function fluxbase.mail_notices(auth.users, auth.users) from public;
comment on function fluxbase.mail_notices(auth.users, auth.users) is 'Tells a user by mail that the password has changed, or, at the old address, the address.';

create or replace function auth.send_mail(p_kind text, p_user text, p_redirect_to text default null)
returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
  v_mail uuid;
begin
  select u.* into v_user from auth.users u where u.id = auth.user_id_of(p_user => p_user) for no key update;
  if p_kind is null or p_kind not in ('confirmation', 'recovery', 'magiclink', 'invite', 'reauthentication') then
    raise exception using errcode = '22023', message = format('mails of kind %s are not begun here', quote_nullable(p_kind)),
      detail = 'confirmation, recovery, magiclink, invite or reauthentication', hint = 'auth.change_email() begins a change of address';
  elsif v_user.email is null then
    raise exception using errcode = '22023', message = 'the user has no e-mail address';
  elsif p_kind in ('confirmation', 'invite') and v_user.email_confirmed_at is not null then
    raise exception using errcode = '22023', message = 'the address is confirmed already', hint = 'auth.send_mail(''magiclink'', ...) mails a link to sign in';
  end if;
  if p_kind = 'invite' then
    update auth.users u set invited_at = now() where u.id = v_user.id returning u.* into v_user;
  end if;
  v_mail := fluxbase.mail_token(p_user => v_user, p_purpose => p_kind, p_redirect_to => p_redirect_to);
  perform audit.record(p_action => 'mail.requested', p_subject_id => v_user.id, p_details => jsonb_build_object('kind', p_kind));
  return v_mail;
end $$;
revoke all on function auth.send_mail(text, text, text) from public;
grant execute on function auth.send_mail(text, text, text) to fluxbase_admin;
comment on function auth.send_mail(text, text, text) is
  'Begins a mailed flow for a user, given by id or e-mail address: confirmation, recovery, magiclink, invite or reauthentication; a server sends it. Returns its id in auth.outbox.';

create or replace function fluxbase.invite(p_email text, p_user_metadata jsonb)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
  v_result jsonb;
begin
  select u.* into v_user from auth.users u where u.email_normalized = lower(p_email) for no key update;
  if not found then
    v_user.email := p_email;
    v_user.invited_at := now();
    v_user.raw_user_meta_data := p_user_metadata;
    v_result := fluxbase.new_user(p_user => v_user, p_via => 'invitation');
    if v_result ->> 'status' <> 'ok' then
      return jsonb_build_object('status', case v_result ->> 'status' when 'user_already_exists' then 'email_exists' else v_result ->> 'status' end);
    end if;
    return v_result;
  elsif v_user.email_confirmed_at is not null then
    return jsonb_build_object('status', 'email_exists');
  end if;
  update auth.users u set invited_at = now() where u.id = v_user.id;
  return jsonb_build_object('status', 'ok', 'user_id', v_user.id);
end $$;
revoke all on function fluxbase.invite(text, jsonb) from public;
comment on function fluxbase.invite(text, jsonb) is 'A user for an address that an administrator invites: a new one, or the one who has not confirmed it yet; ok with user_id, email_exists or validation_failed.';

create or replace function auth.invite_user(p_email text, p_user_metadata jsonb default '{}', p_redirect_to text default null)
returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_result jsonb := fluxbase.invite(p_email => p_email, p_user_metadata => p_user_metadata);
  v_user auth.users;
begin
  if v_result ->> 'status' = 'email_exists' then
    raise exception using errcode = '23505', message = format('user %L exists already', p_email), hint = 'auth.send_mail(''magiclink'', ...) mails a link to sign in';
  elsif v_result ->> 'status' <> 'ok' then
    raise exception using errcode = '22023', message = format('%s is no e-mail address', quote_nullable(p_email));
  end if;
  select u.* into v_user from auth.users u where u.id = (v_result ->> 'user_id')::uuid;
  perform fluxbase.mail_token(p_user => v_user, p_purpose => 'invite', p_redirect_to => p_redirect_to),
          audit.record(p_action => 'user.invited', p_subject_id => v_user.id);
  return v_user.id;
end $$;
revoke all on function auth.invite_user(text, jsonb, text) from public;
grant execute on function auth.invite_user(text, jsonb, text) to fluxbase_admin;
comment on function auth.invite_user(text, jsonb, text) is 'Makes a user who gets a mail with a link to come in; returns the user''s id. Again for the same address: a new link.';

create or replace function auth.change_email(p_user text, p_email text, p_redirect_to text default null)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
begin
  select u.* into v_user from auth.users u where u.id = auth.user_id_of(p_user => p_user) for no key update;
  if not fluxbase.is_email(p_email => p_email) or lower(p_email) = v_user.email_normalized then
    raise exception using errcode = '22023', message = format('%s is no other e-mail address', quote_nullable(p_email));
  elsif exists (select from auth.users u where u.email_normalized = lower(p_email)) then
    raise exception using errcode = '23505', message = format('user %L exists already', p_email);
  end if;
  perform fluxbase.begin_email_change(p_user => v_user, p_email => p_email, p_redirect_to => p_redirect_to),
          audit.record(p_action => 'user.email_change_begun', p_subject_id => v_user.id);
end $$;
revoke all on function auth.change_email(text, text, text) from public;
grant execute on function auth.change_email(text, text, text) to fluxbase_admin;
comment on function auth.change_email(text, text, text) is 'Asks a user''s new address, and the current one, by mail whether the address shall change; it changes when both have agreed.';

-- The rule of the table, for what is not stored there.
create or replace function fluxbase.is_email(p_email text)
returns boolean language sql immutable parallel safe security invoker
return coalesce(length(p_email) <= 254 and
  p_email ~ '^[!#-''*+\-./0-9=?A-Z^_`a-z{|}~]{1,64}@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$', false);
revoke all on function fluxbase.is_email(text) from public;
comment on function fluxbase.is_email(text) is 'True for what auth.users takes as an address.';

create or replace function auth.mail_token_rows()
returns setof jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select jsonb_build_object('id', t.id, 'purpose', t.purpose, 'email', t.email, 'user_id', t.user_id, 'created_at', t.created_at,
      'expires_at', t.expires_at, 'used_at', t.used_at, 'open', t.used_at is null and t.expires_at > now(), 'mailed', t.token_hash is not null)
    from auth.one_time_tokens t where t.email is not null order by t.created_at desc, t.id;
end $$;
revoke all on function auth.mail_token_rows() from public;
grant execute on function auth.mail_token_rows() to fluxbase_admin;
comment on function auth.mail_token_rows() is 'Links and codes as JSON, without them; read them through auth.admin_mail_tokens.';

create or replace view auth.admin_mail_tokens with (security_invoker = true) as
  select (j ->> 'id')::uuid as id, j ->> 'purpose' as purpose, j ->> 'email' as email, (j ->> 'user_id')::uuid as user_id,
         (j ->> 'created_at')::timestamptz as created_at, (j ->> 'expires_at')::timestamptz as expires_at, (j ->> 'used_at')::timestamptz as used_at,
         (j ->> 'open')::boolean as open, (j ->> 'mailed')::boolean as mailed
  from auth.mail_token_rows() j;
revoke all on auth.admin_mail_tokens from public;
grant select on auth.admin_mail_tokens to fluxbase_admin;
comment on view auth.admin_mail_tokens is 'Links and codes that were mailed, newest first: for what, to whom, until when; never what they are.';

create or replace function auth.end_mail_tokens(p_email text, p_purpose text default null)
returns integer language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_count integer;
  v_user_id uuid;
begin
  select u.id into v_user_id from auth.users u where u.email_normalized = lower(p_email);
  update auth.one_time_tokens t set used_at = now(), expires_at = least(t.expires_at, now())
  where (t.user_id = v_user_id or t.email_normalized = lower(p_email)) and t.used_at is null and (p_purpose is null or t.purpose = p_purpose);
  get diagnostics v_count = row_count;
  perform audit.record(p_action => 'mail.tokens_ended', p_subject_id => v_user_id, p_details => jsonb_build_object('tokens', v_count, 'purpose', p_purpose));
  return v_count;
end $$;
revoke all on function auth.end_mail_tokens(text, text) from public;
grant execute on function auth.end_mail_tokens(text, text) to fluxbase_admin;
comment on function auth.end_mail_tokens(text, text) is 'Ends the links and codes that were mailed to an address or to its user; returns how many were open.';
