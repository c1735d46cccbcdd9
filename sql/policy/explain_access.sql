-- Why may somebody (not) touch a row?  Tables: the named one only when the row is given by its key.  Caller: fluxbase_admin.
-- Invoker, as auth.access_report(), which answers.

create or replace function auth.explain_access(
  p_user text, p_table regclass, p_command text, p_row jsonb default null, p_new jsonb default null,
  p_reads boolean default true, p_returning boolean default false, p_columns text[] default null,
  p_aal text default 'aal1', p_role text default null, p_org text default null)
returns table (step bigint, phase text, kind text, name text, expression text, result text, detail text)
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select l.n, l.line ->> 'phase', l.line ->> 'kind', l.line ->> 'name', l.line ->> 'expression', l.line ->> 'result', l.line ->> 'detail'
    from jsonb_array_elements(auth.access_report(
      p_signed => auth.sign_context(p_user => p_user, p_aal => p_aal, p_role => p_role, p_org => p_org), p_table => p_table, p_command => p_command,
      p_row => p_row, p_new => p_new, p_reads => p_reads, p_returning => p_returning, p_columns => p_columns)) with ordinality l (line, n)
    order by l.n;
end $$;
revoke all on function auth.explain_access(text, regclass, text, jsonb, jsonb, boolean, boolean, text[], text, text, text) from public;
grant execute on function auth.explain_access(text, regclass, text, jsonb, jsonb, boolean, boolean, text[], text, text, text) to fluxbase_admin;
comment on function auth.explain_access(text, regclass, text, jsonb, jsonb, boolean, boolean, text[], text, text, text) is
  'Grants, row security and every policy for one command of a user on one row (whole, or its key), with the verdict in the last line: allowed, denied, error or unknown. The user is active in p_org: id or slug, '''' for none, null for the only one.';
