-- Whether the database has an application function that may run SQL it makes up: only that can replace a prepared
-- statement of a connection, and only from a volatile function in a procedural language (see package gateway).
-- One such function can be reached from any relation, through triggers, foreign key actions, policies, views, defaults,
-- constraints, domains and partitions; so there is no list of relations, and $1 (exposed schemas, text[]) says nothing.
select pg_catalog.to_json($1::pg_catalog.text[] is not null and exists (
  select from pg_catalog.pg_proc p
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  join pg_catalog.pg_language l on l.oid = p.prolang
  where n.nspname not in ('auth', 'audit', 'ratelimit', 'fluxbase', 'information_schema')
    and not pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_')
    and p.provolatile = 'v'
    and l.lanname not in ('internal', 'c', 'sql')
    and (l.lanname <> 'plpgsql' or p.prosrc ~* '\mexecute\M')))::pg_catalog.text
