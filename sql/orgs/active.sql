-- The active organization.  Tables: auth.sessions, auth.memberships.  Caller: anyone, for the own session.

create or replace function fluxbase.put_active_org(p_org_id uuid)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_context jsonb := auth.verified_context();
  v_user_id uuid := (v_context ->> 1)::uuid;
  v_text text;
begin
  if v_user_id is null then
    return 'session_not_found';
  end if;
  -- The lock makes the removal of the member wait for this change, and then undo it.
  perform from auth.memberships m where m.org_id = p_org_id and m.user_id = v_user_id for key share;
  if p_org_id is not null and not found then
    return 'organization_not_found';
  end if;
  if v_context ->> 2 is not null then
    update auth.sessions s set org_id = p_org_id where s.id = (v_context ->> 2)::uuid;
    perform audit.record(p_action => 'session.organization_set', p_details => jsonb_build_object('org_id', p_org_id));
  else
    -- auth.login_as() and users' keys have no session: it holds for the transaction, in the context.
    v_text := jsonb_set(v_context, '{3}', coalesce(to_jsonb(p_org_id), 'null'))::text;
    perform set_config('fluxbase.context', v_text, true),
            set_config('fluxbase.context_mac', fluxbase.context_mac(p_context => v_text), true);
  end if;
  return 'ok';
end $$;
revoke all on function fluxbase.put_active_org(uuid) from public;
comment on function fluxbase.put_active_org(uuid) is 'Sets the active organization of the own session, null for none; ok, session_not_found or organization_not_found.';

create or replace function auth.set_active_org(p_org_id uuid)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  case fluxbase.put_active_org(p_org_id => p_org_id)
    when 'ok' then
      null;
    when 'session_not_found' then
      raise exception using errcode = '42501', message = 'nobody is signed in', hint = 'auth.login_as() signs in for a transaction';
    else
      raise exception using errcode = 'P0002', message = format('organization %s is none of the signed-in user', p_org_id);
  end case;
end $$;
revoke all on function auth.set_active_org(uuid) from public;
grant execute on function auth.set_active_org(uuid) to public;
comment on function auth.set_active_org(uuid) is
  'Makes one of the own organizations the active one of the session, null for none; after auth.login_as() for the transaction.';
