-- Powers that outlast or exceed the session.  Tables: auth.mfa_factors, auth.sessions.  Caller: the entry points.
-- Whoever has a second factor must have shown it, whatever the enforcement says: a stolen password is then no
-- administrator and makes no key.
create or replace function fluxbase.lacks_second_factor()
returns boolean language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_session auth.sessions;
begin
  if not exists (select from auth.mfa_factors f where f.user_id = auth.current_user_id() and f.status = 'verified') then
    return false;
  end if;
  select s.* into v_session from auth.sessions s where s.id = auth.session_id();
  return not fluxbase.has_aal2(p_session => v_session);
end $$;
revoke all on function fluxbase.lacks_second_factor() from public;
comment on function fluxbase.lacks_second_factor() is 'True when the signed-in user has a verified factor and the session has not shown one.';
