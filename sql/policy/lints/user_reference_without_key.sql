-- A column that a policy compares with the user and that no foreign key ties to auth.users: rows outlive a deleted user, and erasure does not find them.
create or replace view auth.lint_user_reference_without_key with (security_invoker = true) as
  select 'user_reference_without_key'::text as code, 'info'::text as severity, c.name as object,
         format('%I is compared with the user, and no foreign key refers to auth.users', p.column_name) as evidence,
         case when a.atttypid <> 'pg_catalog.uuid'::regtype then format('make %I a uuid with a foreign key to auth.users (id)', p.column_name)
              else format('alter table %s add foreign key (%I) references auth.users (id) on delete cascade%s;', c.name, p.column_name,
                     case when c.relkind <> 'p' or current_setting('server_version_num')::integer >= 180000 then ' not valid' end) end as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/user_reference_without_key.md'::text as doc
  from (select distinct relation_id, attnum, column_name from auth.lint_policy_columns() where kind = 'user') p
  join auth.lint_relations c on c.oid = p.relation_id
  join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = p.attnum
  where c.relkind in ('r', 'p')
    and not exists (select from pg_catalog.pg_constraint k where k.conrelid = c.oid and k.contype = 'f' and p.attnum = any (k.conkey));
revoke all on auth.lint_user_reference_without_key from public;
grant select on auth.lint_user_reference_without_key to fluxbase_admin;
comment on view auth.lint_user_reference_without_key is 'Columns of users that no foreign key ties to a user.';
