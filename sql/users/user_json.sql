-- A user as HTTP shows it: the object of Supabase Auth.  Tables: auth.users, auth.identities, auth.mfa_factors.  Caller: the owner's functions.
-- plpgsql, not bound bodies: those would block later changes of the tables.
-- The time zone is set so that jsonb writes points in time as RFC 3339 does, in UTC, whatever the session's TimeZone.

create or replace function fluxbase.email_identity_data(p_user auth.users)
returns jsonb language plpgsql stable parallel safe security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return jsonb_build_object('sub', p_user.id, 'email', p_user.email,
    'email_verified', p_user.email_confirmed_at is not null, 'phone_verified', false);
end $$;
revoke all on function fluxbase.email_identity_data(auth.users) from public;
comment on function fluxbase.email_identity_data(auth.users) is 'identity_data of the identity that is the e-mail address itself.';

create or replace function fluxbase.identity_json(p_identity auth.identities)
returns jsonb language plpgsql stable parallel safe security invoker set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
begin
  return jsonb_build_object(
    'identity_id', p_identity.id, 'id', p_identity.provider_id, 'user_id', p_identity.user_id,
    'identity_data', p_identity.identity_data, 'provider', p_identity.provider, 'email', p_identity.email,
    'last_sign_in_at', p_identity.last_sign_in_at,
    'created_at', p_identity.created_at, 'updated_at', p_identity.updated_at);
end $$;
revoke all on function fluxbase.identity_json(auth.identities) from public;
comment on function fluxbase.identity_json(auth.identities) is 'One identity as HTTP shows it.';

create or replace function fluxbase.identities_json(p_user_id uuid)
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return (select coalesce(jsonb_agg(fluxbase.identity_json(p_identity => i) order by i.created_at, i.id), '[]')
          from auth.identities i where i.user_id = p_user_id);
end $$;
revoke all on function fluxbase.identities_json(uuid) from public;
comment on function fluxbase.identities_json(uuid) is 'Identities of a user as HTTP shows them, oldest first.';

create or replace function fluxbase.user_json(p_user auth.users, p_identities jsonb)
returns jsonb language plpgsql stable security invoker set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
declare
  v_app_metadata jsonb := jsonb_strip_nulls(jsonb_build_object(
      'provider', p_identities -> 0 ->> 'provider',
      'providers', (select jsonb_agg(distinct i ->> 'provider') from jsonb_array_elements(p_identities) i)))
    || p_user.raw_app_meta_data;
  v_factors jsonb := fluxbase.factors_json(p_user_id => p_user.id);
begin
  return jsonb_strip_nulls(jsonb_build_object(
      'id', p_user.id, 'aud', p_user.aud, 'role', p_user.role,
      'email', coalesce(p_user.email, ''), 'phone', coalesce(p_user.phone, ''),
      'email_confirmed_at', p_user.email_confirmed_at,
      'phone_confirmed_at', p_user.phone_confirmed_at,
      'confirmed_at', least(p_user.email_confirmed_at, p_user.phone_confirmed_at),
      'confirmation_sent_at', p_user.confirmation_sent_at,
      'recovery_sent_at', p_user.recovery_sent_at,
      'invited_at', p_user.invited_at,
      'new_email', p_user.email_change,
      'banned_until', case when p_user.banned_until is not null -- infinity is no date in JSON
                           then least(p_user.banned_until, '9999-12-31 23:59:59+00') end,
      'last_sign_in_at', p_user.last_sign_in_at,
      'created_at', p_user.created_at, 'updated_at', p_user.updated_at,
      'is_anonymous', p_user.is_anonymous))
    || jsonb_build_object(
      'app_metadata', v_app_metadata, 'user_metadata', p_user.raw_user_meta_data, 'identities', p_identities)
    || case when v_factors = '[]' then '{}' else jsonb_build_object('factors', v_factors) end;
end $$;
revoke all on function fluxbase.user_json(auth.users, jsonb) from public;
comment on function fluxbase.user_json(auth.users, jsonb) is 'A user with the given identities as HTTP shows it; the password never.';
