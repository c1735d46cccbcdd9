-- Being a user in psql: the same context, claims and role that a request of that user has, for one transaction.
--   begin;
--   select auth.login_as('ann@example.com');
--   select * from notes;               -- what Ann sees
--   select auth.login_reset();
--   commit;
-- Tables: auth.users, auth.memberships, auth.settings.  Caller: fluxbase_admin (members without inheritance first: set role fluxbase_admin).

-- Claims of a user outside a session; fluxbase.session_json makes those of a session.
create or replace function fluxbase.claims_json(p_user auth.users, p_aal text)
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user jsonb := fluxbase.user_json(p_user => p_user, p_identities => fluxbase.identities_json(p_user_id => p_user.id));
begin
  return fluxbase.with_custom_claims(p_user_id => p_user.id, p_claims => jsonb_build_object(
    'sub', p_user.id, 'role', p_user.role, 'email', coalesce(p_user.email, ''), 'phone', coalesce(p_user.phone, ''),
    'session_id', null, 'aal', p_aal, 'amr', '[]'::jsonb, 'is_anonymous', p_user.is_anonymous,
    'app_metadata', v_user -> 'app_metadata', 'user_metadata', v_user -> 'user_metadata'));
end $$;
revoke all on function fluxbase.claims_json(auth.users, text) from public;
comment on function fluxbase.claims_json(auth.users, text) is 'Claims of a user without a session: as an API key or auth.login_as has them.';

-- Definer: it reads users and signs with the key that only the owner reads.  Audited: whoever may call it can be anybody.
-- Tools that try what a user may cannot choose an organization first: p_org is the active one, given by id or slug, and '' is
-- none.  Null is the only one of a user who has one.
create or replace function auth.sign_context(p_user text, p_aal text, p_role text, p_org text default null)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
  v_role text;
  v_org_id uuid;
  v_claims jsonb;
  v_context text;
begin
  if p_user is not null then
    select u.* into strict v_user from auth.users u where u.id = auth.user_id_of(p_user => p_user);
    if p_aal is null or p_aal not in ('aal1', 'aal2', 'aal3') then
      raise exception using errcode = '22023', message = format('%s is no assurance level', quote_nullable(p_aal)), hint = 'aal1, aal2 or aal3';
    end if;
    if p_org is null then
      v_org_id := (select (array_agg(m.org_id))[1] from auth.memberships m where m.user_id = v_user.id having count(*) = 1);
    elsif p_org <> '' then
      v_org_id := auth.org_id_of(p_org => p_org);
      -- No session is active where its user is no member; a context that says so would open what nobody can reach.
      if not exists (select from auth.memberships m where m.org_id = v_org_id and m.user_id = v_user.id) then
        raise exception using errcode = 'P0002', message = format('organization %s is none of the user', p_org), hint = 'auth.admin_members lists the members';
      end if;
    end if;
  elsif p_org <> '' then
    raise exception using errcode = '22023', message = 'nobody is active in an organization without being a user', hint = 'leave out p_org';
  end if;
  v_role := coalesce(p_role, v_user.role, 'anon');
  if v_role not in ('anon', 'authenticated', 'service_role')
     and not v_role = any (string_to_array(auth.setting(p_key => 'request_roles'), ',')) then
    raise exception using errcode = '22023', message = format('role %s may not run requests', quote_literal(v_role)),
      hint = 'list it in the setting request_roles';
  end if;
  if v_user.id is not null then
    v_claims := fluxbase.claims_json(p_user => v_user, p_aal => p_aal) || jsonb_build_object('role', v_role);
  end if;
  v_context := jsonb_build_array(1, v_user.id, null, v_org_id, case when v_user.id is not null then p_aal end, v_role,
    null, null, null, null, extract(epoch from now())::bigint,
    encode(sha256(convert_to(v_claims::text, 'UTF8')), 'hex'))::text;
  perform audit.record(p_action => 'context.signed', p_subject_id => v_user.id,
    p_details => jsonb_build_object('role', v_role, 'aal', case when v_user.id is not null then p_aal end, 'org_id', v_org_id));
  return jsonb_build_object('context', v_context, 'mac', fluxbase.context_mac(p_context => v_context),
    'claims', v_claims::text, 'role', v_role);
end $$;
revoke all on function auth.sign_context(text, text, text, text) from public;
grant execute on function auth.sign_context(text, text, text, text) to fluxbase_admin;
comment on function auth.sign_context(text, text, text, text) is 'Signed context of a user for auth.login_as() and for what tries access, active in p_org (id or slug, '''' for none, null for the only one); each call is audited.';

-- Invoker: the role can be set only outside of definer functions, and PostgreSQL then checks that the login may become it.
-- A session begins without an active organization unless it chose one: so does this.
create or replace function auth.login_as(p_user text default null, p_aal text default 'aal1', p_role text default null, p_org text default '')
returns void language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_signed jsonb := auth.sign_context(p_user => p_user, p_aal => p_aal, p_role => p_role, p_org => p_org);
begin
  if statement_timestamp() = transaction_timestamp() then
    raise notice using message = 'auth.login_as() lasts until the end of the transaction', hint = 'begin a transaction first';
  end if;
  perform set_config('fluxbase.context', v_signed ->> 'context', true),
          set_config('fluxbase.context_mac', v_signed ->> 'mac', true),
          set_config('request.jwt.claims', coalesce(v_signed ->> 'claims', ''), true),
          set_config('fluxbase.role_before', current_setting('role'), true),
          set_config('role', v_signed ->> 'role', true);
end $$;
revoke all on function auth.login_as(text, text, text, text) from public;
grant execute on function auth.login_as(text, text, text, text) to fluxbase_admin;
comment on function auth.login_as(text, text, text, text) is
  'Makes the rest of the transaction a request of this user, given by id or e-mail address; null is a caller without token. The user is active in p_org: id or slug, '''' for none, null for the only one.';

-- Public: by then the role is that of a request.  It takes away the caller's own identity and gives nothing, since the
-- role before is one that the login may set anyway.
create or replace function auth.login_reset()
returns void language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  perform set_config('fluxbase.context', '', true),
          set_config('fluxbase.context_mac', '', true),
          set_config('request.jwt.claims', '', true),
          set_config('role', coalesce(nullif(current_setting('fluxbase.role_before', true), ''), 'none'), true);
end $$;
revoke all on function auth.login_reset() from public;
grant execute on function auth.login_reset() to public;
comment on function auth.login_reset() is 'Ends auth.login_as(): nobody is signed in and the role is the one from before.';
