-- Password login in two steps around the bcrypt comparison, which the server does while no connection is held.
-- Tables: auth.users, auth.login_attempts.  Caller: fluxbase_server.

create or replace function fluxbase.account_subject(p_email text)
returns text language sql immutable parallel safe security invoker
return encode(sha256(convert_to(lower(p_email), 'UTF8')), 'hex');
revoke all on function fluxbase.account_subject(text) from public;
comment on function fluxbase.account_subject(text) is 'Key of an account in auth.login_attempts: a hash, since people type passwords into the wrong field.';

-- One household has a /64 of IPv6 addresses (RFC 6177), and whoever has one has them all.
create or replace function fluxbase.address_group(p_address inet)
returns text language plpgsql immutable parallel safe security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return case when p_address is null then 'unknown'
              when family(p_address) = 6 then network(set_masklen(p_address, 64))::text
              else host(p_address) end;
end $$;
revoke all on function fluxbase.address_group(inet) from public;
comment on function fluxbase.address_group(inet) is 'An address as limits count it: IPv4 alone, IPv6 by /64.';

create or replace function fluxbase.client_address()
returns text language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return fluxbase.address_group(p_address => (auth.verified_context() ->> 7)::inet);
end $$;
revoke all on function fluxbase.client_address() from public;
comment on function fluxbase.client_address() is 'Address of the client as limits count it: IPv4 alone, IPv6 by /64.';

-- Only what ended well counts: a thief who has been in is not known.
create or replace function fluxbase.is_known_address(p_email text, p_address text)
returns boolean language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from auth.users u join auth.sessions s on s.user_id = u.id
    where u.email_normalized = lower(p_email) and s.created_at > now() - interval '30 days'
      and (s.revoked_reason is null or s.revoked_reason = 'logout')
      and s.ip is not null and fluxbase.address_group(p_address => s.ip) = p_address);
end $$;
revoke all on function fluxbase.is_known_address(text, text) from public;
comment on function fluxbase.is_known_address(text, text) is
  'Whether somebody logged in to the account from there in the last 30 days, in a session that nothing but a logout has ended.';

-- Counts first and decides in the same statement: parallel attempts cannot all pass.  The delay doubles from one second.
create or replace function fluxbase.count_attempt(p_scope text, p_subject text, p_threshold integer)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_maximum interval := auth.setting(p_key => 'login_delay_maximum')::interval;
begin
  insert into auth.login_attempts as a (scope, subject, failures) values (p_scope, p_subject, 1)
  on conflict (scope, subject) do update
    set failures = a.failures + 1,
        last_attempt_at = now(),
        slowed_until = case when a.failures + 1 >= p_threshold
          then clock_timestamp() + least(v_maximum, make_interval(secs => 2.0 ^ least(a.failures + 1 - p_threshold, 30))) end
    where a.slowed_until is null or a.slowed_until <= now();
  return found;
end $$;
revoke all on function fluxbase.count_attempt(text, text, integer) from public;
comment on function fluxbase.count_attempt(text, text, integer) is
  'Counts one attempt unless the subject is being slowed; false means it is, and nothing was counted.';

-- Three counters: the pair of account and address stops guessing from one place and leaves everybody else alone, the
-- account's own, far higher, stops many places (NIST SP 800-63B 5.2.2: at most 100), the address's stops one place that
-- tries many accounts.  An address that is being slowed moves no account's counter.  Where the account's owner has been,
-- the account's counter slows nobody: many places cannot lock out the one.
create or replace function fluxbase.login_begin(p_email text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
  v_account text := fluxbase.account_subject(p_email => p_email);
  v_address text := fluxbase.client_address();
  v_rule text := fluxbase.address_rule(p_address => (auth.verified_context() ->> 7)::inet);
begin
  if v_rule = 'block'
     or v_rule is distinct from 'allow' and not fluxbase.count_attempt(p_scope => 'address', p_subject => v_address,
           p_threshold => auth.setting(p_key => 'login_address_failures_before_delay')::integer)
     or not fluxbase.count_attempt(p_scope => 'pair', p_subject => v_account || '@' || v_address,
           p_threshold => auth.setting(p_key => 'login_failures_before_delay')::integer)
     or not fluxbase.count_attempt(p_scope => 'account', p_subject => v_account,
           p_threshold => auth.setting(p_key => 'login_account_failures_before_delay')::integer)
        and not fluxbase.is_known_address(p_email => p_email, p_address => v_address) then
    return jsonb_build_object('status', 'slowed');
  end if;
  select u.* into v_user from auth.users u where u.email_normalized = lower(p_email) and u.encrypted_password is not null;
  if not found then
    return jsonb_build_object('status', 'unknown');
  end if;
  return jsonb_build_object('status', 'ok', 'user_id', v_user.id, 'encrypted_password', v_user.encrypted_password);
end $$;
revoke all on function fluxbase.login_begin(text) from public;
grant execute on function fluxbase.login_begin(text) to fluxbase_server;
comment on function fluxbase.login_begin(text) is
  'First half of a password login: counts the attempt and returns the hash to compare; status ok, unknown or slowed.';

-- What login_begin counted was no failure.  The address keeps those of others.
create or replace function fluxbase.login_succeeded(p_email text)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_account text := fluxbase.account_subject(p_email => p_email);
  v_address text := fluxbase.client_address();
begin
  -- In the order of fluxbase.login_begin(), so that the two never wait for each other.
  update auth.login_attempts a
  set failures = greatest(a.failures - 1, 0),
      slowed_until = case when a.failures - 1 >= auth.setting(p_key => 'login_address_failures_before_delay')::integer
                          then a.slowed_until end
  where a.scope = 'address' and a.subject = v_address;
  delete from auth.login_attempts a where a.scope = 'pair' and a.subject = v_account || '@' || v_address;
  delete from auth.login_attempts a where a.scope = 'account' and a.subject = v_account;
end $$;
revoke all on function fluxbase.login_succeeded(text) from public;
comment on function fluxbase.login_succeeded(text) is
  'Forgets the failures of the account and of the pair, and takes back the attempt that was counted for the address.';

create or replace function fluxbase.login_finish(
  p_email text, p_user_id uuid, p_encrypted_password text, p_matched boolean, p_new_hash text,
  p_session_id uuid, p_refresh_hash bytea, p_jti uuid, p_user_agent text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_result jsonb;
begin
  -- The hash must still be the one that was compared: a password changed meanwhile wins.
  if p_matched then
    perform from auth.users u
    where u.id = p_user_id and u.encrypted_password = p_encrypted_password and u.email_normalized = lower(p_email)
    for no key update;
  end if;
  if p_matched is not true or not found then
    perform audit.record(p_action => 'login', p_outcome => 'denied', p_subject_id =>
      (select u.id from auth.users u where u.email_normalized = lower(p_email)));
    return jsonb_build_object('status', 'invalid_credentials');
  end if;
  v_result := auth.issue_session(p_user_id => p_user_id, p_method => 'password', p_session_id => p_session_id,
                                 p_refresh_hash => p_refresh_hash, p_jti => p_jti, p_user_agent => p_user_agent);
  if v_result ->> 'status' <> 'ok' then
    perform audit.record(p_action => 'login', p_outcome => 'denied', p_subject_id => p_user_id,
                         p_details => jsonb_build_object('reason', v_result ->> 'status'));
    return v_result;
  end if;
  if p_new_hash is not null then
    update auth.users u set encrypted_password = p_new_hash where u.id = p_user_id;
  end if;
  perform fluxbase.login_succeeded(p_email => p_email);
  perform audit.record(p_action => 'login', p_subject_id => p_user_id, p_user_id => p_user_id, p_session_id => p_session_id,
                       p_details => jsonb_build_object('method', 'password'));
  return v_result;
end $$;
revoke all on function fluxbase.login_finish(text, uuid, text, boolean, text, uuid, bytea, uuid, text) from public;
grant execute on function fluxbase.login_finish(text, uuid, text, boolean, text, uuid, bytea, uuid, text) to fluxbase_server;
comment on function fluxbase.login_finish(text, uuid, text, boolean, text, uuid, bytea, uuid, text) is
  'Second half of a password login: records a failure, or issues the session and takes the count back; status ok, invalid_credentials, email_not_confirmed or user_banned.';
