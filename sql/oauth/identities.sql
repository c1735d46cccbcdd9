-- Accounts at identity providers as ways in.  Tables: auth.identities, auth.users, auth.sessions.
-- Callers: the entry points; fluxbase_admin in psql.  The rule of linking is here and nowhere else:
--   an identity that is known signs in its user;
--   else, if the provider vouches for the address and somebody has proven to own the account of that address, they are one;
--   else the account of that address stays as it is, and whoever owns it links the identity from a session of its own;
--   else a user is made, with the address only if the provider vouches for it.

create or replace function fluxbase.add_identity(p_user_id uuid, p_provider text, p_provider_id text, p_data jsonb, p_how text)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text;
begin
  if p_provider in ('email', 'phone') then
    return 'validation_failed';
  elsif p_how <> 'administrator' and exists (select from auth.users u where u.id = p_user_id and u.is_anonymous) then
    v_status := fluxbase.check_signup(p_email => case when p_data -> 'email_verified' = 'true' then p_data ->> 'email' end, p_via => 'oauth');
    if v_status <> 'ok' then
      return v_status;
    end if;
  end if;
  insert into auth.identities (user_id, provider, provider_id, identity_data, last_sign_in_at)
  values (p_user_id, p_provider, p_provider_id, coalesce(p_data, '{}'), case when p_how <> 'administrator' then now() end)
  on conflict (provider, provider_id) do nothing;
  if not found then
    return 'identity_already_exists';
  end if;
  -- Whoever was anonymous is somebody now, and keeps the rows.  The address follows if it is verified and nobody else's.
  update auth.users u set is_anonymous = false where u.id = p_user_id and u.is_anonymous;
  if found and p_data -> 'email_verified' = 'true' then
    begin
      update auth.users u set email = p_data ->> 'email', email_confirmed_at = now(), email_proven_at = now()
      where u.id = p_user_id and u.email is null;
    exception when unique_violation or check_violation then
      null;
    end;
  end if;
  perform audit.record(p_action => 'identity.linked', p_subject_id => p_user_id,
    p_details => jsonb_build_object('provider', p_provider, 'provider_id', p_provider_id, 'how', p_how));
  return 'ok';
end $$;
revoke all on function fluxbase.add_identity(uuid, text, text, jsonb, text) from public;
comment on function fluxbase.add_identity(uuid, text, text, jsonb, text) is
  'Gives a user a way in through a provider; ok, identity_already_exists when it is somebody''s already, or, for an anonymous user, what fluxbase.check_signup() says.';

-- A user whom a provider brings.  The identity of the address itself comes when the user gets an address in another way.
create or replace function fluxbase.new_oauth_user(p_provider text, p_provider_id text, p_email text, p_data jsonb)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
  v_result jsonb;
begin
  v_user.email := p_email;
  v_user.email_confirmed_at := case when p_email is not null then now() end;
  v_user.email_proven_at := v_user.email_confirmed_at;
  v_user.raw_user_meta_data := p_data;
  v_result := fluxbase.new_user(p_user => v_user, p_via => 'oauth');
  if v_result ->> 'status' <> 'ok' then
    return v_result;
  end if;
  v_user.id := (v_result ->> 'user_id')::uuid;
  delete from auth.identities i where i.user_id = v_user.id and i.provider = 'email';
  insert into auth.identities (user_id, provider, provider_id, identity_data, last_sign_in_at)
  values (v_user.id, p_provider, p_provider_id, p_data, now());
  perform audit.record(p_action => 'signup', p_subject_id => v_user.id, p_user_id => v_user.id,
                       p_details => jsonb_build_object('provider', p_provider));
  return v_result;
exception when unique_violation then -- the same person, twice at once: the user that was made here is gone again
  return jsonb_build_object('status', 'identity_already_exists');
end $$;
revoke all on function fluxbase.new_oauth_user(text, text, text, jsonb) from public;
comment on function fluxbase.new_oauth_user(text, text, text, jsonb) is
  'Makes a user with one identity, and with the address if there is one, which is taken to be proven; what fluxbase.new_user() says, or identity_already_exists.';

create or replace function fluxbase.oauth_user(
  p_provider text, p_provider_id text, p_email text, p_email_verified boolean, p_data jsonb)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  -- lower() makes letters of other alphabets the same as ours: only what is an address here is looked up.
  v_email text := case when p_email_verified and fluxbase.is_email(p_email => p_email) then p_email end;
  v_user auth.users;
  v_result jsonb;
begin
  for v_try in 1..5 loop
    -- The user's row first, as everywhere.
    select u.* into v_user from auth.users u
    where u.id = (select i.user_id from auth.identities i where i.provider = p_provider and i.provider_id = p_provider_id)
    for no key update;
    if found then
      update auth.identities i set identity_data = p_data, last_sign_in_at = now(), updated_at = now()
      where i.provider = p_provider and i.provider_id = p_provider_id and i.user_id = v_user.id;
      continue when not found; -- it was unlinked at this moment
      return jsonb_build_object('status', 'ok', 'user_id', v_user.id);
    end if;
    select u.* into v_user from auth.users u where u.email_normalized = lower(v_email) for no key update;
    if found then
      if v_user.banned_until > now() then
        return jsonb_build_object('status', 'user_banned', 'user_id', v_user.id);
      elsif not fluxbase.owns_address(p_user => v_user) then
        -- Whoever made this account has not shown to own the address: it may have been made to be taken over later.
        return jsonb_build_object('status', 'oauth_email_exists', 'user_id', v_user.id);
      end if;
      v_result := jsonb_build_object('status', fluxbase.add_identity(p_user_id => v_user.id, p_provider => p_provider,
        p_provider_id => p_provider_id, p_data => p_data, p_how => 'address'), 'user_id', v_user.id);
    else
      v_result := fluxbase.new_oauth_user(p_provider => p_provider, p_provider_id => p_provider_id, p_email => v_email, p_data => p_data);
    end if;
    if v_result ->> 'status' = 'validation_failed' and v_email is not null then
      v_email := null; -- an address that our table does not take
    elsif v_result ->> 'status' not in ('identity_already_exists', 'user_already_exists') then
      return v_result;
    end if;
  end loop;
  return jsonb_build_object('status', 'conflict');
end $$;
revoke all on function fluxbase.oauth_user(text, text, text, boolean, jsonb) from public;
comment on function fluxbase.oauth_user(text, text, text, boolean, jsonb) is
  'Whom an identity signs in, by the rule of linking: ok with user_id, oauth_email_exists, user_banned, or what fluxbase.new_user() says.';

-- p_enabled are the providers that the server has: a way in through another one is none.  Null counts all.
create or replace function fluxbase.remove_identity(p_user_id uuid, p_identity_id uuid, p_enabled text[])
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
  v_provider text;
begin
  -- The lock lets two who remove two identities at once not remove the last two.
  select u.* into v_user from auth.users u where u.id = p_user_id for no key update;
  select i.provider into v_provider from auth.identities i where i.id = p_identity_id and i.user_id = p_user_id;
  if v_provider is null then
    return 'identity_not_found';
  elsif v_provider = 'email' then
    return 'email_identity_not_deletable';
  elsif (v_user.email is null or v_user.encrypted_password is null or v_user.email_confirmed_at is null)
        and not exists (select from auth.identities i
                        where i.user_id = p_user_id and i.id <> p_identity_id and i.provider not in ('email', 'phone')
                          and (p_enabled is null or i.provider = any (p_enabled))) then
    return 'single_identity_not_deletable';
  end if;
  delete from auth.identities i where i.id = p_identity_id;
  return 'ok';
end $$;
revoke all on function fluxbase.remove_identity(uuid, uuid, text[]) from public;
comment on function fluxbase.remove_identity(uuid, uuid, text[]) is
  'Removes a way in that is not the last one; ok, identity_not_found, email_identity_not_deletable or single_identity_not_deletable.';

create or replace function auth.identity_rows(p_user_id uuid default null)
returns setof jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select jsonb_build_object(
      'id', i.id, 'user_id', i.user_id, 'user_email', u.email, 'provider', i.provider, 'provider_id', i.provider_id,
      'email', i.identity_data ->> 'email', 'email_verified', i.identity_data -> 'email_verified',
      'created_at', i.created_at, 'last_sign_in_at', i.last_sign_in_at, 'identity_data', i.identity_data)
    from auth.identities i join auth.users u on u.id = i.user_id
    where p_user_id is null or i.user_id = p_user_id
    order by i.created_at, i.id;
end $$;
revoke all on function auth.identity_rows(uuid) from public;
grant execute on function auth.identity_rows(uuid) to fluxbase_admin;
comment on function auth.identity_rows(uuid) is 'Identities as JSON; read them through auth.admin_identities or auth.identities_of().';

create or replace view auth.admin_identities with (security_invoker = true) as
  select (j ->> 'id')::uuid as id, (j ->> 'user_id')::uuid as user_id, j ->> 'user_email' as user_email, j ->> 'provider' as provider,
         j ->> 'provider_id' as provider_id, j ->> 'email' as email, (j ->> 'email_verified')::boolean as email_verified,
         (j ->> 'created_at')::timestamptz as created_at, (j ->> 'last_sign_in_at')::timestamptz as last_sign_in_at,
         j -> 'identity_data' as identity_data
  from auth.identity_rows() j;
revoke all on auth.admin_identities from public;
grant select on auth.admin_identities to fluxbase_admin;
comment on view auth.admin_identities is 'Every identity, oldest first: the address itself (email), or an account at a provider.';

create or replace function auth.identities_of(p_user text)
returns setof auth.admin_identities language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select r.* from auth.identity_rows(p_user_id => auth.user_id_of(p_user => p_user)) j
    cross join lateral jsonb_populate_record(null::auth.admin_identities, j) r;
end $$;
revoke all on function auth.identities_of(text) from public;
grant execute on function auth.identities_of(text) to fluxbase_admin;
comment on function auth.identities_of(text) is 'Ways in of a user, given by id or e-mail address.';

create or replace function auth.link_identity(p_user text, p_provider text, p_provider_id text, p_reason text)
returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user_id uuid := auth.user_id_of(p_user => p_user);
  v_id uuid;
begin
  if p_reason is null or btrim(p_reason) = '' then
    raise exception using errcode = '22023', message = 'linking an identity needs a reason';
  elsif p_provider is null or p_provider !~ '^[a-z][a-z0-9_-]{0,39}$' or p_provider in ('email', 'phone') then
    raise exception using errcode = '22023', message = format('%s is no provider', quote_nullable(p_provider)),
      hint = 'the address of a user is changed in auth.users';
  elsif p_provider_id is null or p_provider_id = '' or length(p_provider_id) > 255 then
    raise exception using errcode = '22023', message = 'an identity needs the id that the provider has for it',
      hint = 'with OpenID Connect it is the claim sub';
  end if;
  perform from auth.users u where u.id = v_user_id for no key update;
  if fluxbase.add_identity(p_user_id => v_user_id, p_provider => p_provider, p_provider_id => p_provider_id,
                           p_data => jsonb_build_object('sub', p_provider_id), p_how => 'administrator') <> 'ok' then
    raise exception using errcode = '23505', message = format('%s %s is linked already', p_provider, quote_literal(p_provider_id)),
      hint = 'auth.admin_identities says to whom';
  end if;
  select i.id into strict v_id from auth.identities i where i.provider = p_provider and i.provider_id = p_provider_id;
  perform audit.record(p_action => 'identity.linked_by_administrator', p_subject_id => v_user_id,
    p_record_key => jsonb_build_object('id', v_id), p_details => jsonb_build_object('provider', p_provider, 'reason', p_reason));
  return v_id;
end $$;
revoke all on function auth.link_identity(text, text, text, text) from public;
grant execute on function auth.link_identity(text, text, text, text) to fluxbase_admin;
comment on function auth.link_identity(text, text, text, text) is
  'Lets an account at a provider, named by the id that it has there, sign in a user; returns the id of the identity.';

-- Every session ends: whoever holds the account at the provider may hold one.
create or replace function auth.unlink_identity(p_identity_id uuid, p_reason text)
returns integer language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_identity auth.identities;
  v_status text;
  v_ended integer;
begin
  if p_reason is null or btrim(p_reason) = '' then
    raise exception using errcode = '22023', message = 'unlinking an identity needs a reason';
  end if;
  select i.* into v_identity from auth.identities i where i.id = p_identity_id;
  v_status := fluxbase.remove_identity(p_user_id => v_identity.user_id, p_identity_id => p_identity_id, p_enabled => null);
  if v_status = 'identity_not_found' then
    raise exception using errcode = 'P0002', message = format('identity %s does not exist', coalesce(p_identity_id::text, 'null')),
      hint = 'auth.identities_of(''ann@example.com'') lists those of a user';
  elsif v_status <> 'ok' then
    raise exception using errcode = '22023', message = case v_status
        when 'email_identity_not_deletable' then 'this identity is the address itself' else 'this is the last way in' end,
      hint = case v_status when 'email_identity_not_deletable' then 'it goes when the address goes'
                           else 'auth.set_password() gives another one; auth.ban_user() keeps the user out' end;
  end if;
  v_ended := auth.end_sessions(p_user_id => v_identity.user_id, p_reason => 'identity_unlinked', p_except_session_id => auth.session_id());
  perform audit.record(p_action => 'identity.unlinked', p_subject_id => v_identity.user_id,
    p_record_key => jsonb_build_object('id', p_identity_id), p_details => jsonb_build_object(
      'provider', v_identity.provider, 'provider_id', v_identity.provider_id, 'reason', p_reason, 'sessions_ended', v_ended));
  return v_ended;
end $$;
revoke all on function auth.unlink_identity(uuid, text) from public;
grant execute on function auth.unlink_identity(uuid, text) to fluxbase_admin;
comment on function auth.unlink_identity(uuid, text) is
  'Takes a way in from a user, never the last one, and ends the sessions; returns how many there were.';
