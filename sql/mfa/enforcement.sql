-- Who needs a second factor.  Tables: auth.settings, auth.user_roles, auth.memberships, auth.sessions.
-- Callers: auth.issue_session and fluxbase.refresh, so that it holds for every way in; fluxbase_admin.

-- A value that nobody knows requires: better to ask for a factor too many.
create or replace function fluxbase.mfa_required(p_user_id uuid)
returns boolean language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_enforcement text := auth.setting(p_key => 'mfa_enforcement');
  v_names text[];
begin
  if v_enforcement in ('off', 'optional') then
    return false;
  elsif v_enforcement <> 'required_for_roles' then
    return true;
  end if;
  v_names := string_to_array(auth.setting(p_key => 'mfa_required_roles'), ',');
  return exists (select from auth.user_roles r where r.user_id = p_user_id and r.role = any (v_names))
      or exists (select from auth.memberships m join auth.organizations o on o.id = m.org_id
                 where m.user_id = p_user_id and (m.role = any (v_names) or array['org:' || o.slug, 'org:' || o.id] && v_names))
      or exists (select from auth.users u where u.id = p_user_id and u.role = any (v_names));
end $$;
revoke all on function fluxbase.mfa_required(uuid) from public;
comment on function fluxbase.mfa_required(uuid) is 'True when the settings mfa_enforcement and mfa_required_roles ask a second factor of this user.';

-- Otherwise a changed setting, role or membership reaches a session when it is refreshed.
create or replace function auth.enforce_mfa()
returns integer language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_count integer;
begin
  update auth.sessions s set mfa_pending = not s.mfa_pending
  where s.revoked_at is null and s.expires_at > now()
    and s.mfa_pending <> (s.aal = 'aal1' and fluxbase.mfa_required(p_user_id => s.user_id));
  get diagnostics v_count = row_count;
  perform audit.record(p_action => 'mfa.enforced', p_details => jsonb_build_object('sessions_changed', v_count));
  return v_count;
end $$;
revoke all on function auth.enforce_mfa() from public;
grant execute on function auth.enforce_mfa() to fluxbase_admin;
comment on function auth.enforce_mfa() is
  'Applies mfa_enforcement to the sessions that exist, now instead of at their next refresh; returns how many changed.';
