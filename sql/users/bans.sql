-- Bans and the delays after failed logins.  Tables: auth.users, auth.login_attempts.  Caller: fluxbase_admin.
-- Definer: the administrator has no right on the tables.

create or replace function auth.ban_user(p_user text, p_until timestamptz default 'infinity', p_reason text default null)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := auth.user_id_of(p_user => p_user);
begin
  if p_until is null or p_until <= now() then
    raise exception using errcode = '22023', message = 'a ban ends in the future',
      detail = format('p_until is %s', coalesce(p_until::text, 'null')), hint = 'auth.unban_user() ends a ban now';
  end if;
  update auth.users u set banned_until = p_until where u.id = v_id;
  perform audit.record(p_action => 'user.banned', p_subject_id => v_id,
    p_details => jsonb_build_object('until', p_until, 'reason', p_reason));
end $$;
revoke all on function auth.ban_user(text, timestamptz, text) from public;
grant execute on function auth.ban_user(text, timestamptz, text) to fluxbase_admin;
comment on function auth.ban_user(text, timestamptz, text) is
  'Bans a user until a time, by default for good: no login, and the sessions that exist are refused from the next request on.';

create or replace function auth.unban_user(p_user text)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := auth.user_id_of(p_user => p_user);
begin
  update auth.users u set banned_until = null where u.id = v_id and u.banned_until is not null;
  if found then
    perform audit.record(p_action => 'user.unbanned', p_subject_id => v_id);
  end if;
end $$;
revoke all on function auth.unban_user(text) from public;
grant execute on function auth.unban_user(text) to fluxbase_admin;
comment on function auth.unban_user(text) is 'Ends the ban of a user; sessions that are still alive work again.';

-- Failed logins are counted for addresses that nobody has, too, so this takes any address.
create or replace function auth.unlock_user(p_email text)
returns integer language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_subject text := encode(sha256(convert_to(lower(p_email), 'UTF8')), 'hex');
  v_count integer;
begin
  -- Locked in the order of those who count, so that this and they never wait for each other.
  with counters as (
    select a.scope, a.subject from auth.login_attempts a
    where a.scope in ('account', 'code') and a.subject = v_subject
       or a.scope = 'mail' and split_part(a.subject, ':', 2) = v_subject
       or a.scope = 'pair' and starts_with(a.subject, v_subject || '@')
       or a.scope = 'mfa' and a.subject = (select u.id::text from auth.users u where u.email_normalized = lower(p_email))
    order by array_position(array['mail', 'code', 'pair', 'account', 'mfa'], a.scope), a.subject for update
  )
  delete from auth.login_attempts a using counters c where a.scope = c.scope and a.subject = c.subject;
  get diagnostics v_count = row_count;
  perform audit.record(p_action => 'user.unlocked',
    p_subject_id => (select u.id from auth.users u where u.email_normalized = lower(p_email)),
    p_details => jsonb_build_object('counters', v_count));
  return v_count;
end $$;
revoke all on function auth.unlock_user(text) from public;
grant execute on function auth.unlock_user(text) to fluxbase_admin;
comment on function auth.unlock_user(text) is 'Forgets the failed logins, second factors and mailed codes of an account, and how many mails it got, so that it is no longer slowed; returns how many counters there were.';

-- JSON, because the row type of a function can never change.  Any address: failed logins are counted for those that nobody has, too.
create or replace function auth.login_state(p_email text)
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_subject text := fluxbase.account_subject(p_email => p_email);
  v_user auth.users;
begin
  select u.* into v_user from auth.users u where u.email_normalized = lower(p_email);
  return jsonb_build_object(
    'user_id', v_user.id,
    'has_password', v_user.encrypted_password is not null,
    'confirmed', v_user.email_confirmed_at is not null,
    'banned_until', case when v_user.banned_until > now() then v_user.banned_until end,
    'failed_logins', (select coalesce(max(a.failures), 0) from auth.login_attempts a where a.scope = 'account' and a.subject = v_subject),
    'slowed_until', (select max(a.slowed_until) from auth.login_attempts a
                     where a.scope = 'account' and a.subject = v_subject and a.slowed_until > now()),
    'slowed_from', (select coalesce(jsonb_object_agg(substr(a.subject, length(v_subject) + 2), a.slowed_until), '{}')
                    from auth.login_attempts a
                    where a.scope = 'pair' and starts_with(a.subject, v_subject || '@') and a.slowed_until > now()),
    'failed_codes', (select coalesce(max(a.failures), 0) from auth.login_attempts a where a.scope = 'code' and a.subject = v_subject),
    'codes_slowed_until', (select max(a.slowed_until) from auth.login_attempts a
                           where a.scope = 'code' and a.subject = v_subject and a.slowed_until > now()));
end $$;
revoke all on function auth.login_state(text) from public;
grant execute on function auth.login_state(text) to fluxbase_admin;
comment on function auth.login_state(text) is
  'What stands in the way of a login to an account: no password, no confirmation, a ban, failed logins and from where they are slowed, wrong mailed codes. auth.unlock_user() forgets the failures.';
