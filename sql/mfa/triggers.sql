-- What holds for every writer of auth.mfa_factors, psql included.  Tables: auth.mfa_factors, auth.sessions, auth.recovery_codes.
-- Caller: triggers.  Definer: whoever may write the factors need not have rights on sessions.

create or replace function auth.mfa_factors_before_update()
returns trigger language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if (old.id, old.user_id, old.factor_type) is distinct from (new.id, new.user_id, new.factor_type) then
    raise exception using errcode = '22023', message = 'a factor stays what it is and whose it is',
      detail = 'id, user_id and factor_type cannot be changed', hint = 'delete the factor and enrol another';
  elsif new.last_step < old.last_step then
    raise exception using errcode = '22023', message = 'last_step cannot go back',
      detail = format('it is %s: codes that were used would work again', old.last_step);
  end if;
  new.updated_at := now();
  return new;
end $$;
revoke all on function auth.mfa_factors_before_update() from public;
comment on function auth.mfa_factors_before_update() is 'Trigger: owner, type and used time steps of a factor stand; updated_at follows every update.';

-- Without a verified factor there is no second factor: no session has shown one, and recovery codes have nothing to replace.
create or replace function auth.mfa_factors_removed()
returns trigger language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_none_left boolean := not exists (select from auth.mfa_factors f where f.user_id = old.user_id and f.status = 'verified');
begin
  update auth.sessions s
  set aal = 'aal1', mfa_factor_id = null, mfa_pending = fluxbase.mfa_required(p_user_id => s.user_id)
  where s.user_id = old.user_id and s.aal = 'aal2' and (v_none_left or s.mfa_factor_id = old.id);
  if v_none_left then
    delete from auth.recovery_codes r where r.user_id = old.user_id;
  end if;
  return null;
end $$;
revoke all on function auth.mfa_factors_removed() from public;
comment on function auth.mfa_factors_removed() is
  'Trigger: sessions that a removed factor had raised to aal2 fall back to aal1; with the last factor go the recovery codes.';

-- They guard access: ENABLE ALWAYS, because session_replication_role = replica skips ordinary triggers.
do $$
declare
  v_trigger record;
begin
  for v_trigger in
    select * from (values
      (1, 'mfa_factors_before_update', 'before update on auth.mfa_factors', '', 'auth.mfa_factors_before_update'),
      (2, 'mfa_factors_deleted', 'after delete on auth.mfa_factors', 'when (old.status = ''verified'')', 'auth.mfa_factors_removed'),
      (3, 'mfa_factors_unverified', 'after update of status on auth.mfa_factors',
        'when (old.status = ''verified'' and new.status <> ''verified'')', 'auth.mfa_factors_removed')
    ) t (ord, name, event, condition, function)
    where not exists (select from pg_trigger g where g.tgrelid = 'auth.mfa_factors'::regclass and g.tgname = t.name)
    order by t.ord
  loop
    execute format('create trigger %I %s for each row %s execute function %s()',
      v_trigger.name, v_trigger.event, v_trigger.condition, v_trigger.function);
    execute format('alter table auth.mfa_factors enable always trigger %I', v_trigger.name);
  end loop;
end $$;
