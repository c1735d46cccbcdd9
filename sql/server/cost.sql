-- A guard against expensive statements.  Tables: none.  Caller: whoever a data request runs as, before its statement.

-- The statement is one that this session has prepared; PostgreSQL reads its arguments as EXECUTE does.  It is planned under
-- the search path that it will run under, because another one would make PostgreSQL analyse it twice.
create or replace function auth.limit_cost(p_statement text, p_arguments text[], p_search_path text, p_most double precision)
returns void language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_arguments text;
  v_plan pg_catalog.json;
  v_cost pg_catalog.float8;
begin
  select '(' || string_agg(quote_nullable(u.argument), ', ' order by u.position) || ')' into v_arguments
  from unnest(p_arguments) with ordinality u (argument, position);
  v_arguments := format('explain (format json) execute %I%s', p_statement, v_arguments);
  perform set_config('search_path', p_search_path, true); -- until the function returns
  execute v_arguments into v_plan;
  v_cost := v_plan operator(pg_catalog.->) 0 operator(pg_catalog.->) 'Plan' operator(pg_catalog.->>) 'Total Cost';
  if v_cost operator(pg_catalog.>) p_most then
    raise exception using errcode = 'ZF422', message = 'estimated cost is above the limit',
      detail = pg_catalog.format('cost %s, limit %s', v_cost, p_most);
  end if;
end $$;
revoke all on function auth.limit_cost(text, text[], text, double precision) from public;
grant execute on function auth.limit_cost(text, text[], text, double precision) to public;
comment on function auth.limit_cost(text, text[], text, double precision) is
  'Raises ZF422 when PostgreSQL estimates that a prepared statement of this session costs more than the limit.';
