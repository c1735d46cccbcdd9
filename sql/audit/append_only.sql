-- Nobody changes what happened.  Tables: audit.log and its partitions.  Caller: triggers.
-- ENABLE ALWAYS: session_replication_role = replica skips ordinary triggers.

create or replace function audit.refuse_change()
returns trigger language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using errcode = '42501', message = format('%s of audit.log is refused', lower(tg_op)),
    detail = 'the audit log is append-only, for its owner too',
    hint = 'old months leave with audit.drop_expired_partitions(), by the setting audit_retention_months';
end $$;
revoke all on function audit.refuse_change() from public;
comment on function audit.refuse_change() is 'Trigger: refuses update, delete and truncate of audit.log and its partitions.';

-- Row triggers are cloned to partitions by PostgreSQL, statement triggers are not.
create or replace function audit.guard_truncate(p_relation regclass)
returns void language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (select from pg_trigger t where t.tgrelid = p_relation and t.tgname = 'log_refuse_truncate' and t.tgenabled = 'A') then
    execute format('create or replace trigger log_refuse_truncate before truncate on %s
                    for each statement execute function audit.refuse_change()', p_relation);
    execute format('alter table %s enable always trigger log_refuse_truncate', p_relation);
  end if;
end $$;
revoke all on function audit.guard_truncate(regclass) from public;
comment on function audit.guard_truncate(regclass) is 'Puts the trigger that refuses TRUNCATE on audit.log or one of its partitions.';

do $$
declare
  v_partition regclass;
begin
  if not exists (select from pg_trigger t where t.tgrelid = 'audit.log'::regclass and t.tgname = 'log_refuse_change') then
    create trigger log_refuse_change before update or delete on audit.log
      for each row execute function audit.refuse_change();
  end if;
  for v_partition in select p.relid from pg_partition_tree('audit.log') p loop
    perform audit.guard_truncate(p_relation => v_partition);
    if exists (select from pg_trigger t where t.tgrelid = v_partition and t.tgname = 'log_refuse_change' and t.tgenabled <> 'A') then
      execute format('alter table %s enable always trigger log_refuse_change', v_partition);
    end if;
  end loop;
end $$;
