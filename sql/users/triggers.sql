-- What holds for every writer of auth.users, auth.sessions and auth.token_blacklist, psql included.
-- Tables: auth.users, auth.identities, auth.sessions, auth.refresh_tokens, auth.token_blacklist.  Caller: triggers.
-- Definer: whoever may write one of these tables need not have rights on the others.

create or replace function auth.users_before_write()
returns trigger language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  new.email := nullif(new.email, '');
  new.phone := nullif(new.phone, '');
  if tg_op = 'UPDATE' then
    new.updated_at := now();
    -- Whoever began the change of the address may be the reason for the new password.
    if (new.password_changed_at is distinct from old.password_changed_at or new.email is distinct from old.email)
       and new.email_change is not distinct from old.email_change then
      new.email_change := null;
    end if;
  end if;
  return new;
end $$;
revoke all on function auth.users_before_write() from public;
comment on function auth.users_before_write() is 'Trigger: an empty address is none; updated_at follows every update; a new password or address ends a change of the address that waits.';

-- What was vouched for is the address, not the user: another address starts without, unless the same statement vouches for it.
create or replace function auth.users_keep_proof()
returns trigger language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if new.email_confirmed_at is null
     or tg_op = 'UPDATE' and lower(new.email) is distinct from lower(old.email) and new.email_proven_at is not distinct from old.email_proven_at then
    new.email_proven_at := null;
  end if;
  return new;
end $$;
revoke all on function auth.users_keep_proof() from public;
comment on function auth.users_keep_proof() is 'Trigger: email_proven_at ends when the address changes and when its confirmation ends.';

-- The e-mail address is an identity like any other. An import that brings its own identities wins: on conflict do nothing.
create or replace function auth.users_write_identity()
returns trigger language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if new.email is null then
    delete from auth.identities i where i.provider = 'email' and i.user_id = new.id;
    return null;
  end if;
  update auth.identities i
  set identity_data = i.identity_data || fluxbase.email_identity_data(p_user => new), updated_at = now()
  where i.provider = 'email' and i.user_id = new.id;
  if not found then
    insert into auth.identities (user_id, provider, provider_id, identity_data)
    values (new.id, 'email', new.id::text, fluxbase.email_identity_data(p_user => new))
    on conflict (provider, provider_id) do nothing;
  end if;
  return null;
end $$;
revoke all on function auth.users_write_identity() from public;
comment on function auth.users_write_identity() is 'Trigger: the identity of provider email follows the address and its confirmation.';

create or replace function auth.users_copy_ban()
returns trigger language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update auth.sessions s set blocked_until = new.banned_until
  where s.user_id = new.id and s.blocked_until is distinct from new.banned_until;
  return null;
end $$;
revoke all on function auth.users_copy_ban() from public;
comment on function auth.users_copy_ban() is 'Trigger: a ban, its change and its end reach every session of the user at once.';

-- The row lock makes a ban that is being written wait for this session, or this session see the ban.
-- NO KEY UPDATE, not SHARE: two logins that both held SHARE and then stamp last_sign_in_at would deadlock.
create or replace function auth.sessions_take_ban()
returns trigger language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  select u.banned_until into new.blocked_until from auth.users u where u.id = new.user_id for no key update;
  return new;
end $$;
revoke all on function auth.sessions_take_ban() from public;
comment on function auth.sessions_take_ban() is 'Trigger: a new session carries the ban of its user.';

create or replace function auth.token_blacklist_mark_session()
returns trigger language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if new.session_id is null then
    select r.session_id into new.session_id from auth.refresh_tokens r where r.jti = new.jti;
  end if;
  update auth.sessions s set has_denied_tokens = true where s.id = new.session_id and not s.has_denied_tokens;
  return new;
end $$;
revoke all on function auth.token_blacklist_mark_session() from public;
comment on function auth.token_blacklist_mark_session() is
  'Trigger: marks the session of a denied token, which it finds by the jti when the row does not name it.';

-- Creating a trigger locks writers out, so it is done once.  The last four guard access: ENABLE ALWAYS, because
-- session_replication_role = replica skips ordinary triggers.
do $$
declare
  v_trigger record;
begin
  for v_trigger in
    select * from (values
      (1, 'auth.users'::regclass, 'users_before_write', 'before insert or update on auth.users', '', 'auth.users_before_write', false),
      (2, 'auth.users', 'users_identity_insert', 'after insert on auth.users', 'when (new.email is not null)', 'auth.users_write_identity', false),
      (3, 'auth.users', 'users_identity_update', 'after update on auth.users',
        'when ((old.email, old.email_confirmed_at) is distinct from (new.email, new.email_confirmed_at))', 'auth.users_write_identity', false),
      (4, 'auth.users', 'users_ban', 'after update on auth.users',
        'when (old.banned_until is distinct from new.banned_until)', 'auth.users_copy_ban', true),
      (5, 'auth.sessions', 'sessions_ban', 'before insert or update of user_id on auth.sessions', '', 'auth.sessions_take_ban', true),
      (6, 'auth.token_blacklist', 'token_blacklist_session', 'before insert or update of jti, session_id on auth.token_blacklist', '',
        'auth.token_blacklist_mark_session', true),
      (7, 'auth.users', 'users_proof', 'before insert or update on auth.users', '', 'auth.users_keep_proof', true)
    ) t (ord, relation, name, event, condition, function, always)
    where not exists (select from pg_trigger g where g.tgrelid = t.relation and g.tgname = t.name)
    order by t.ord
  loop
    execute format('create trigger %I %s for each row %s execute function %s()',
      v_trigger.name, v_trigger.event, v_trigger.condition, v_trigger.function);
    if v_trigger.always then
      execute format('alter table %s enable always trigger %I', v_trigger.relation, v_trigger.name);
    end if;
  end loop;
end $$;
