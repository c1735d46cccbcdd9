-- Whom a psql function means, and whose an account is.  Tables: auth.users.  Caller: the owner's functions.
create or replace function auth.user_id_of(p_user text)
returns uuid language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
begin
  if p_user ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then
    select u.id into v_id from auth.users u where u.id = p_user::uuid;
  else
    select u.id into v_id from auth.users u where u.email_normalized = lower(p_user);
  end if;
  if v_id is null then
    raise exception using errcode = 'P0002', message = format('user %s does not exist', quote_nullable(p_user)),
      hint = 'give the id or the e-mail address; auth.admin_users lists everybody';
  end if;
  return v_id;
end $$;
revoke all on function auth.user_id_of(text) from public;
comment on function auth.user_id_of(text) is 'Id of a user given by id or e-mail address; P0002 when there is none.';

-- The one question of mailed links and of identity providers alike: may what proves an address be let into the account as it is?
create or replace function fluxbase.owns_address(p_user auth.users)
returns boolean language plpgsql immutable security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return p_user.email_confirmed_at is not null and p_user.email_proven_at is not null;
end $$;
revoke all on function fluxbase.owns_address(auth.users) from public;
comment on function fluxbase.owns_address(auth.users) is
  'Whether somebody has shown to own the address of an account: by a mailed link or code, or an administrator or a provider vouched. A confirmation that came by itself shows nothing.';
