-- Monthly partitions of audit.log, by UTC.  Tables: audit.log.  Callers: auth.housekeeping(), fluxbase_admin.

create or replace function audit.month_start(p_at timestamptz)
returns timestamptz language plpgsql immutable parallel safe security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return date_trunc('month', p_at at time zone 'UTC') at time zone 'UTC';
end $$;
revoke all on function audit.month_start(timestamptz) from public;
comment on function audit.month_start(timestamptz) is 'First instant of the month, in UTC.';

-- The name carries the month; bounds as text depend on the session's time zone.
create or replace function audit.partition_months()
returns table (relation regclass, month timestamptz) language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select c.oid::regclass, make_timestamptz(substr(c.relname, 5, 4)::integer, substr(c.relname, 10)::integer, 1, 0, 0, 0, 'UTC')
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'audit.log'::regclass and c.relname ~ '^log_[0-9]{4}_[0-9]{2}$' and not i.inhdetachpending;
end $$;
revoke all on function audit.partition_months() from public;
grant execute on function audit.partition_months() to fluxbase_admin, fluxbase_auditor;
comment on function audit.partition_months() is 'Each attached partition of audit.log with the first instant of its month.';

-- CREATE TABLE ... PARTITION OF would lock writers out of the log (ACCESS EXCLUSIVE); LIKE and ATTACH do not.
-- ATTACH adds the indexes and the row trigger of the parent; the rest is done before, on a table nobody knows yet.
create or replace function audit.ensure_partitions()
returns integer language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_month timestamptz;
  v_next timestamptz;
  v_name text;
  v_made integer := 0;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('audit.partitions', 0)) then
    return 0;
  end if;
  for i in 0 .. auth.setting(p_key => 'audit_partitions_ahead')::integer loop
    v_month := (audit.month_start(p_at => now()) at time zone 'UTC' + make_interval(months => i)) at time zone 'UTC';
    v_next := (v_month at time zone 'UTC' + interval '1 month') at time zone 'UTC';
    v_name := to_char(v_month at time zone 'UTC', '"log_"YYYY_MM');
    continue when exists (select from audit.partition_months() p where p.month = v_month);
    execute format('create table audit.%I (like audit.log including defaults including constraints including comments)', v_name);
    execute format('alter table audit.%I enable row level security', v_name);
    perform audit.guard_truncate(p_relation => format('audit.%I', v_name)::regclass);
    execute format('alter table audit.log attach partition audit.%I for values from (%L) to (%L)', v_name, v_month, v_next);
    execute format('alter table audit.%I enable always trigger log_refuse_change', v_name);
    v_made := v_made + 1;
  end loop;
  return v_made;
end $$;
revoke all on function audit.ensure_partitions() from public;
grant execute on function audit.ensure_partitions() to fluxbase_admin;
comment on function audit.ensure_partitions() is 'Makes the monthly partitions of audit.log that are missing, as far ahead as audit_partitions_ahead says; returns how many.';

-- DETACH locks the log for an instant: when a reader or writer is in the way it gives up, the next run tries again.
create or replace function audit.drop_expired_partitions()
returns integer language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms'
as $$
declare
  v_keep integer := auth.setting(p_key => 'audit_retention_months')::integer;
  v_partition record;
  v_dropped integer := 0;
begin
  if v_keep = 0 or not pg_try_advisory_xact_lock(hashtextextended('audit.partitions', 0)) then
    return 0;
  end if;
  for v_partition in
    select p.relation, p.month from audit.partition_months() p
    where p.month < (audit.month_start(p_at => now()) at time zone 'UTC' - make_interval(months => v_keep)) at time zone 'UTC'
    order by p.month
  loop
    begin
      execute format('alter table audit.log detach partition %s', v_partition.relation);
      execute format('drop table %s', v_partition.relation);
    exception when lock_not_available then
      exit;
    end;
    v_dropped := v_dropped + 1;
    perform audit.record(p_action => 'audit.partition_dropped',
      p_details => jsonb_build_object('month', to_char(v_partition.month at time zone 'UTC', 'YYYY-MM')));
  end loop;
  return v_dropped;
end $$;
revoke all on function audit.drop_expired_partitions() from public;
grant execute on function audit.drop_expired_partitions() to fluxbase_admin;
comment on function audit.drop_expired_partitions() is 'Drops the months of audit.log that audit_retention_months no longer keeps; returns how many.';
