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

-- The gate let the session in before this request waited for the row of its user.  Whoever held that may have ended the session, to
-- put a thief out: a password, key or identity of his must not come after.
create or replace function fluxbase.lock_own_user()
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform from auth.users u where u.id = auth.current_user_id() for no key update;
  perform from auth.sessions s where s.id = auth.session_id() and s.revoked_at is null; -- as it is now, by a snapshot of its own
  return found;
end $$;
revoke all on function fluxbase.lock_own_user() from public;
comment on function fluxbase.lock_own_user() is 'Locks the row of the signed-in user; false when the session has ended meanwhile.';
