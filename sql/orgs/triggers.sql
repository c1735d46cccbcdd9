-- What must follow a membership and a member, whoever changes them.
-- Tables: auth.memberships, auth.sessions, auth.organization_invitations, auth.users.

-- An invitation stands on the authority of who made it: without this, whoever is removed comes back with one of the own.
create or replace function auth.memberships_lost()
returns trigger language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update auth.organization_invitations i set revoked_at = now()
  where i.org_id = old.org_id and i.invited_by = old.user_id and i.accepted_at is null and i.revoked_at is null;
  if tg_op = 'DELETE' then
    -- Whoever became a member by another way has an invitation left, with which the removed would come back.
    update auth.organization_invitations i set revoked_at = now()
    where i.org_id = old.org_id and i.accepted_at is null and i.revoked_at is null
      and i.email_normalized = (select u.email_normalized from auth.users u where u.id = old.user_id);
    update auth.sessions s set org_id = null where s.user_id = old.user_id and s.org_id = old.org_id;
  end if;
  return null;
end $$;
revoke all on function auth.memberships_lost() from public;
comment on function auth.memberships_lost() is
  'Trigger: a changed or ended membership voids the open invitations of that member; an ended one those for the own address, too, and is active in no session.';

-- Before, because the foreign key forgets who made an invitation as soon as the user is gone.
create or replace function auth.users_void_invitations()
returns trigger language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update auth.organization_invitations i set revoked_at = now()
  where i.invited_by = old.id and i.accepted_at is null and i.revoked_at is null;
  return old;
end $$;
revoke all on function auth.users_void_invitations() from public;
comment on function auth.users_void_invitations() is 'Trigger: the open invitations of a user end before the user is deleted.';

do $$
begin
  if not exists (select from pg_trigger g where g.tgrelid = 'auth.memberships'::regclass and g.tgname = 'memberships_lost') then
    create trigger memberships_lost after delete or update of org_id, user_id, role on auth.memberships
      for each row execute function auth.memberships_lost();
    alter table auth.memberships enable always trigger memberships_lost;
  end if;
  if not exists (select from pg_trigger g where g.tgrelid = 'auth.users'::regclass and g.tgname = 'users_invitations') then
    create trigger users_invitations before delete on auth.users for each row execute function auth.users_void_invitations();
    alter table auth.users enable always trigger users_invitations;
  end if;
end $$;
