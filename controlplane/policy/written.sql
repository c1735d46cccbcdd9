-- How many rows this session has written, not yet reported, to each relation that policies do not need.  The difference
-- of two readings in one transaction is what that transaction wrote.
select s.schemaname || '.' || s.relname as name, s.n_tup_ins + s.n_tup_upd + s.n_tup_del as rows
from pg_catalog.pg_stat_xact_all_tables s
where s.n_tup_ins + s.n_tup_upd + s.n_tup_del > 0
  and not (s.schemaname = 'audit' or s.schemaname like 'pg_toast%'
    or s.schemaname = 'pg_catalog' and s.relname in (
      'pg_policy', 'pg_class', 'pg_attribute', 'pg_attrdef', 'pg_proc', 'pg_index', 'pg_namespace', 'pg_default_acl',
      'pg_depend', 'pg_shdepend', 'pg_description', 'pg_init_privs'))
