-- Rights on schema audit.  The auditor reads the log, nobody writes it but the owner's functions.
-- No grants on partitions: reading one directly would pass by the policy of audit.log.
do $$
declare
  v_table record;
begin
  for v_table in
    select c.oid::regclass as name from pg_class c
    where c.relnamespace = 'audit'::regnamespace and c.relkind in ('r', 'p') and not c.relrowsecurity
    order by c.relname
  loop
    execute format('alter table %s enable row level security', v_table.name);
  end loop;
  if not exists (select from pg_policy p where p.polrelid = 'audit.log'::regclass and p.polname = 'log_auditor_reads') then
    create policy log_auditor_reads on audit.log for select to fluxbase_auditor using (true);
  end if;
end $$;
comment on policy log_auditor_reads on audit.log is 'The auditor reads everything and changes nothing.';

grant usage on schema audit to fluxbase_auditor, fluxbase_admin;
grant select on audit.log to fluxbase_auditor;
