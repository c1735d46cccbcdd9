-- Whom a psql function means.  Tables: auth.users.  Caller: the owner's functions.
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
