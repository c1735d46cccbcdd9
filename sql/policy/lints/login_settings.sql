-- Settings of the logins are all that bounds a request besides the gate, and SQL that got into a request may change those of its login.
-- The installation's are in schema/roles.sql.
create or replace view auth.lint_login_settings with (security_invoker = true) as
  select 'login_settings'::text as code, x.severity as severity, 'role ' || quote_ident(x.name) as object,
         x.evidence as evidence,
         x.fix as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/login_settings.md'::text as doc
  from (
    with held as (
      select l.name as login, split_part(c.setting, '=', 1) as name, substr(c.setting, position('=' in c.setting) + 1) as value,
             case when s.setdatabase <> 0 then format(' in database %I', current_database()) else '' end as place,
             row_number() over (partition by l.oid, split_part(c.setting, '=', 1) order by s.setdatabase = 0) = 1 as holds
      from auth.lint_logins l join pg_catalog.pg_db_role_setting s on s.setrole = l.oid
        and s.setdatabase in (0, (select d.oid from pg_catalog.pg_database d where d.datname = current_database()))
      cross join lateral unnest(s.setconfig) c (setting)),
    wanted (name, value, milliseconds) as (
      select w.* from (values ('statement_timeout', '15s', 15000), ('lock_timeout', '5s', 5000),
                              ('idle_in_transaction_session_timeout', '30s', 30000), ('transaction_timeout', '60s', 60000)) w (name, value, milliseconds)
      where w.name <> 'transaction_timeout' or current_setting('server_version_num')::integer >= 170000),
    compared as (
      select l.name as login, w.name, w.value as wanted, w.milliseconds, h.value, h.place,
             m.parts[1]::numeric * case m.parts[2] when 'us' then 0.001 when 's' then 1000 when 'min' then 60000 when 'h' then 3600000 when 'd' then 86400000 else 1 end as held
      from auth.lint_logins l cross join wanted w
      left join held h on h.login = l.name and h.name = w.name and h.holds
      left join lateral regexp_match(h.value, '^\s*([0-9]+(?:\.[0-9]*)?)\s*(us|ms|s|min|h|d)?\s*$') m (parts) on true)
    select case -- auth.allow_data_login() asks for the other three.
             when (c.held = 0 or c.value is null) and c.name <> 'transaction_timeout' then 'error' when c.held is null or c.held = 0 or c.held > c.milliseconds then 'warning' else 'info' end as severity,
           c.login as name,
           case when c.value is null then format('it has no %s', c.name)
                when c.held = 0 then format('its %s is off', c.name)
                else format('its %s is %s, and the installation''s is %s', c.name, c.value, c.wanted) end as evidence,
           format('alter role %I%s set %s = %L;', c.login, c.place, c.name, c.wanted) as fix
    from compared c
    where c.held is distinct from c.milliseconds
    union all
    select case when h.name in ('role', 'row_security', 'session_replication_role', 'default_transaction_read_only', 'search_path') then 'error' else 'info' end,
           h.login, format('it sets %s to %s, which the installation does not', h.name, h.value), format('alter role %I%s reset %I;', h.login, h.place, h.name)
    from held h
    where h.name not in (select w.name from wanted w) and not (h.name = 'jit' and h.value = 'off')) x;
revoke all on auth.lint_login_settings from public;
grant select on auth.lint_login_settings to fluxbase_admin;
comment on view auth.lint_login_settings is 'Logins of the server whose settings are not those of the installation.';
