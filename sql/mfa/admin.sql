-- Second factors of users, seen and ended in psql.  Tables: auth.mfa_factors, auth.mfa_challenges, auth.recovery_codes.
-- Caller: fluxbase_admin.  Definer: the administrator has no right on the tables.  Enrolling needs the key that seals,
-- which only the server has.

create or replace function auth.mfa_factor_rows(p_user_id uuid default null)
returns setof jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select jsonb_build_object(
      'id', f.id, 'user_id', f.user_id, 'email', u.email, 'friendly_name', f.friendly_name, 'factor_type', f.factor_type,
      'status', f.status, 'created_at', f.created_at, 'updated_at', f.updated_at, 'last_challenged_at', f.last_challenged_at,
      'key_id', split_part(f.secret, '.', 2))
    from auth.mfa_factors f join auth.users u on u.id = f.user_id
    where p_user_id is null or f.user_id = p_user_id
    order by f.created_at, f.id;
end $$;
revoke all on function auth.mfa_factor_rows(uuid) from public;
grant execute on function auth.mfa_factor_rows(uuid) to fluxbase_admin;
comment on function auth.mfa_factor_rows(uuid) is 'Factors as JSON, without their secrets; read them through auth.admin_mfa_factors or auth.mfa_factors_of().';

create or replace view auth.admin_mfa_factors with (security_invoker = true) as
  select (j ->> 'id')::uuid as id, (j ->> 'user_id')::uuid as user_id, j ->> 'email' as email,
         j ->> 'friendly_name' as friendly_name, j ->> 'factor_type' as factor_type, j ->> 'status' as status,
         (j ->> 'created_at')::timestamptz as created_at, (j ->> 'updated_at')::timestamptz as updated_at,
         (j ->> 'last_challenged_at')::timestamptz as last_challenged_at, j ->> 'key_id' as key_id
  from auth.mfa_factor_rows() j;
revoke all on auth.admin_mfa_factors from public;
grant select on auth.admin_mfa_factors to fluxbase_admin;
comment on view auth.admin_mfa_factors is 'Every second factor, oldest first; key_id says which encryption key seals its secret.';

create or replace function auth.mfa_factors_of(p_user text)
returns setof auth.admin_mfa_factors language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select r.* from auth.mfa_factor_rows(p_user_id => auth.user_id_of(p_user => p_user)) j
    cross join lateral jsonb_populate_record(null::auth.admin_mfa_factors, j) r;
end $$;
revoke all on function auth.mfa_factors_of(text) from public;
grant execute on function auth.mfa_factors_of(text) to fluxbase_admin;
comment on function auth.mfa_factors_of(text) is 'Second factors of a user, given by id or e-mail address, without their secrets.';

-- JSON, because the row type of a function can never change.
create or replace function auth.mfa_state(p_user text)
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := auth.user_id_of(p_user => p_user);
begin
  return jsonb_build_object(
    'required', fluxbase.mfa_required(p_user_id => v_id),
    'verified_factors', (select count(*) from auth.mfa_factors f where f.user_id = v_id and f.status = 'verified'),
    'unverified_factors', (select count(*) from auth.mfa_factors f where f.user_id = v_id and f.status = 'unverified'),
    'open_challenges', (select count(*) from auth.mfa_challenges c join auth.mfa_factors f on f.id = c.factor_id
                        where f.user_id = v_id and c.verified_at is null and c.expires_at > now()),
    'recovery_codes_left', fluxbase.recovery_codes_json(p_user_id => v_id) -> 'remaining',
    'pending_sessions', (select count(*) from auth.sessions s
                         where s.user_id = v_id and s.mfa_pending and s.revoked_at is null and s.expires_at > now()),
    'failed_attempts', (select coalesce(max(a.failures), 0) from auth.login_attempts a where a.scope = 'mfa' and a.subject = v_id::text),
    'slowed_until', (select max(a.slowed_until) from auth.login_attempts a
                     where a.scope = 'mfa' and a.subject = v_id::text and a.slowed_until > now()));
end $$;
revoke all on function auth.mfa_state(text) from public;
grant execute on function auth.mfa_state(text) to fluxbase_admin;
comment on function auth.mfa_state(text) is 'How a user stands with second factors: required, factors, open challenges, recovery codes left, failed attempts.';

-- Sessions that the factor had raised end: whoever holds the stolen phone may hold one of them.
create or replace function auth.remove_mfa_factor(p_factor_id uuid, p_reason text)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user_id uuid;
  v_ended integer;
begin
  if p_reason is null or btrim(p_reason) = '' then
    raise exception using errcode = '22023', message = 'removing a factor needs a reason';
  end if;
  -- The user's row first, as everywhere.
  select f.user_id into v_user_id from auth.mfa_factors f where f.id = p_factor_id;
  perform from auth.users u where u.id = v_user_id for no key update;
  update auth.sessions s set revoked_at = now(), revoked_reason = 'mfa_factor_removed'
  where s.user_id = v_user_id and s.mfa_factor_id = p_factor_id and s.revoked_at is null;
  get diagnostics v_ended = row_count;
  delete from auth.mfa_factors f where f.id = p_factor_id;
  if not found then
    raise exception using errcode = 'P0002', message = format('factor %s does not exist', coalesce(p_factor_id::text, 'null')),
      hint = 'auth.mfa_factors_of(''ann@example.com'') lists the factors of a user';
  end if;
  perform audit.record(p_action => 'mfa.factor_removed', p_subject_id => v_user_id,
    p_record_key => jsonb_build_object('id', p_factor_id), p_details => jsonb_build_object('reason', p_reason, 'sessions_ended', v_ended));
end $$;
revoke all on function auth.remove_mfa_factor(uuid, text) from public;
grant execute on function auth.remove_mfa_factor(uuid, text) to fluxbase_admin;
comment on function auth.remove_mfa_factor(uuid, text) is 'Removes one factor of a user and ends the sessions that it had raised to aal2.';

create or replace function auth.cancel_mfa_challenges(p_user text)
returns integer language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := auth.user_id_of(p_user => p_user);
  v_count integer;
begin
  delete from auth.mfa_challenges c using auth.mfa_factors f where f.id = c.factor_id and f.user_id = v_id and c.verified_at is null;
  get diagnostics v_count = row_count;
  perform audit.record(p_action => 'mfa.challenges_cancelled', p_subject_id => v_id, p_details => jsonb_build_object('challenges', v_count));
  return v_count;
end $$;
revoke all on function auth.cancel_mfa_challenges(text) from public;
grant execute on function auth.cancel_mfa_challenges(text) to fluxbase_admin;
comment on function auth.cancel_mfa_challenges(text) is 'Ends the questions for a code that a user has not answered yet; returns how many there were.';

-- For somebody at the help desk's phone: the codes are shown once, here. 80 random bits each, as the server makes them.
create or replace function auth.generate_recovery_codes(p_user text, p_reason text)
returns setof text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := auth.user_id_of(p_user => p_user);
  v_codes text[];
begin
  if p_reason is null or btrim(p_reason) = '' then
    raise exception using errcode = '22023', message = 'new recovery codes need a reason';
  end if;
  perform from auth.users u where u.id = v_id for no key update;
  if not exists (select from auth.mfa_factors f where f.user_id = v_id and f.status = 'verified') then
    raise exception using errcode = '22023', message = 'the user has no verified factor',
      hint = 'recovery codes stand in for a factor; without one the password suffices';
  end if;
  select array_agg(left(encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'hex'), 20))
  into v_codes from generate_series(1, 10);
  delete from auth.recovery_codes r where r.user_id = v_id;
  insert into auth.recovery_codes (user_id, code_hash) select v_id, sha256(convert_to(c, 'UTF8')) from unnest(v_codes) c;
  perform audit.record(p_action => 'mfa.recovery_codes_replaced', p_subject_id => v_id,
    p_details => jsonb_build_object('codes', cardinality(v_codes), 'reason', p_reason));
  return query select substr(c, 1, 5) || '-' || substr(c, 6, 5) || '-' || substr(c, 11, 5) || '-' || substr(c, 16, 5) from unnest(v_codes) c;
end $$;
revoke all on function auth.generate_recovery_codes(text, text) from public;
grant execute on function auth.generate_recovery_codes(text, text) to fluxbase_admin;
comment on function auth.generate_recovery_codes(text, text) is 'Replaces the recovery codes of a user and shows the new ones, this once.';

create or replace function auth.reset_mfa(p_user text, p_reason text)
returns integer language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := auth.user_id_of(p_user => p_user);
  v_factors integer;
  v_ended integer;
begin
  if p_reason is null or btrim(p_reason) = '' then
    raise exception using errcode = '22023', message = 'resetting second factors needs a reason';
  end if;
  perform from auth.users u where u.id = v_id for no key update;
  v_ended := auth.end_sessions(p_user_id => v_id, p_reason => 'mfa_reset', p_except_session_id => auth.session_id());
  delete from auth.mfa_factors f where f.user_id = v_id;
  get diagnostics v_factors = row_count;
  delete from auth.recovery_codes r where r.user_id = v_id;
  delete from auth.login_attempts a where a.scope = 'mfa' and a.subject = v_id::text;
  perform fluxbase.put_mail(p_kind => 'mfa_reset', p_recipient => u.email, p_user_id => u.id, p_locale => fluxbase.mail_locale(p_data => u.raw_user_meta_data))
  from auth.users u where u.id = v_id and u.email is not null;
  perform audit.record(p_action => 'mfa.reset', p_subject_id => v_id, p_details => jsonb_build_object(
    'reason', p_reason, 'factors', v_factors, 'sessions_ended', v_ended));
  return v_factors;
end $$;
revoke all on function auth.reset_mfa(text, text) from public;
grant execute on function auth.reset_mfa(text, text) to fluxbase_admin;
comment on function auth.reset_mfa(text, text) is
  'Removes every factor and recovery code of a user and ends the sessions, except the caller''s own, and mails the user; returns how many factors there were.';
