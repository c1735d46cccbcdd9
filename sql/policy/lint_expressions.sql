-- What policies say, read from their parsed form, and what the functions do that they call.  Tables: the catalog.  Caller: fluxbase_admin.

-- What a name in the text of a function may stand for: {schema or null, name} as they are written, in the schemas that it looks into.
create or replace function auth.lint_qualified(p_found text[], p_settings text[], p_schema text)
returns setof text language plpgsql immutable parallel safe security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_name constant text := quote_ident(coalesce(substring(p_found[2] from '^"(.*)"$'), lower(p_found[2])));
  v_schema text;
  v_path text[] := array[p_schema] || array_remove(array['public'], p_schema);
begin
  if p_found[1] is not null then
    return next quote_ident(coalesce(substring(p_found[1] from '^"(.*)"$'), lower(p_found[1]))) || '.' || v_name;
    return;
  elsif p_settings is not null then
    v_path := coalesce((select auth.lint_search_path(p_setting => substr(g, 13)) from unnest(p_settings) g where g like 'search\_path=%'), v_path);
  end if;
  foreach v_schema in array v_path loop
    return next quote_ident(v_schema) || '.' || v_name;
  end loop;
end $$;
revoke all on function auth.lint_qualified(text[], text[], text) from public;
grant execute on function auth.lint_qualified(text[], text[], text) to fluxbase_admin;
comment on function auth.lint_qualified(text[], text[], text) is 'Names of relations or functions that a name in the text of a function may stand for.';

-- What a function reads: known of a bound body; of another, the names after FROM and JOIN, in the schemas that it looks into.
-- Materialized, so that names find each other by their hash.
create or replace view auth.lint_function_reads with (security_invoker = true) as
  with named as materialized (
    select f.oid as function_id, q.name
    from auth.lint_functions f
    cross join lateral regexp_matches(f.code, '(?<!\mdistinct\s+)\m(?:from|join)\s+(?:only\s+)?(?:("[^"]+"|[[:alpha:]_][[:alnum:]_$]*)\s*\.\s*)?("[^"]+"|[[:alpha:]_][[:alnum:]_$]*)', 'gi') m (found)
    cross join lateral auth.lint_qualified(p_found => m.found, p_settings => f.proconfig, p_schema => f.schema) q (name)
    where not f.is_bound),
  relation as materialized (select c.oid, c.name from auth.lint_relations c)
  select d.objid as function_id, c.oid as relation_id
  from pg_catalog.pg_depend d join relation c on c.oid = d.refobjid
  where d.classid = 'pg_catalog.pg_proc'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
  union
  select n.function_id, c.oid from named n join relation c on c.name = n.name;
revoke all on auth.lint_function_reads from public;
grant select on auth.lint_function_reads to fluxbase_admin;
comment on view auth.lint_function_reads is 'Relations of the application that its functions read.';

-- What a function calls: known of a bound body; of another, the names before a parenthesis, in the schemas that it looks into.  Of a name
-- that several functions have, the text does not tell which is meant: it is not sure.
create or replace view auth.lint_function_calls with (security_invoker = true) as
  with named as materialized (
    select f.function_id, f.found[2] as schema, f.found[3] as called, q.name
    from (
      select distinct f.oid as function_id, f.proconfig, f.schema, m.found
      from auth.lint_functions f
      cross join lateral regexp_matches(f.code, '(\minto\s+)?(?:("[^"]+"|\m[[:alpha:]_][[:alnum:]_$]*)\s*\.\s*)?("[^"]+"|\m[[:alpha:]_][[:alnum:]_$]*)\s*\(', 'g') m (found)
      where not f.is_bound) f
    cross join lateral auth.lint_qualified(p_found => f.found[2:3], p_settings => f.proconfig, p_schema => f.schema) q (name)
    where f.found[1] is null), -- the columns of insert into
  callable as materialized (select g.oid, g.bare_name from auth.lint_functions g where not g.is_trigger)
  select f.oid as function_id, g.oid as called_id, true as is_sure
  from auth.lint_functions f
  join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = f.oid and d.refclassid = 'pg_catalog.pg_proc'::regclass
  join auth.lint_functions g on g.oid = d.refobjid
  where f.is_bound
  union
  select n.function_id, g.oid, count(*) over (partition by n.function_id, n.called, n.schema) = 1
  from named n join callable g on g.bare_name = n.name;
revoke all on auth.lint_function_calls from public;
grant select on auth.lint_function_calls to fluxbase_admin;
comment on view auth.lint_function_calls is 'Functions of the application that its functions call.';

-- Functions that tell who is asking, and what to call them: the helpers of schema auth, settings, and functions of the application whose
-- body asks these.  is_ours: called with a column it answers a question about the row, and cannot be asked once.
create or replace function auth.lint_identity_functions()
returns table (function_id oid, label text, is_ours boolean)
language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_helpers constant text := 'current_user_id|uid|jwt|role|current_user_role|email|session_id|aal|is_authenticated|is_admin|current_org_id|current_org_role|org_ids|org_ids_with_role|has_permission|has_scope|verified_context';
begin
  return query
    with recursive calls as materialized (select k.function_id, k.called_id from auth.lint_function_calls k),
    asks (oid, bare_name) as (
      select f.oid, f.bare_name
      from auth.lint_functions f
      where f.body ~* ('\mauth\s*\.\s*(' || v_helpers || ')\s*\(|\mcurrent_setting\s*\(')
      union
      select f.oid, f.bare_name
      from asks join calls k on k.called_id = asks.oid join auth.lint_functions f on f.oid = k.function_id)
    select p.oid, case n.nspname when 'auth' then 'auth.' else '' end || p.proname || '()', true
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'auth' and p.proname ~ ('^(' || v_helpers || ')$') or n.nspname = 'pg_catalog' and p.proname = 'current_setting'
    union all
    select a.oid, a.bare_name || '(), which asks who is calling,', false from asks a;
end $$;
revoke all on function auth.lint_identity_functions() from public;
grant execute on function auth.lint_identity_functions() to fluxbase_admin;
comment on function auth.lint_identity_functions() is 'Functions that tell who is asking, those of the application that ask them included.';

-- Walks the parsed form of an expression, in which all spellings are one.  A column belongs to the query varlevelsup levels further out;
-- a part of the expression depends on the row when a column in it belongs to the query that the part stands in, or to one around it.
-- p_asks: names of the functions that tell who is asking, by oid; of the application's, the names end with a comma.
create or replace function auth.lint_expression(p_tree text, p_asks jsonb)
returns table (finding text, evidence text)
language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_found text[];
  v_depth integer := 0;
  v_level integer := 0;        -- queries around the node
  v_none constant integer := 1000;
  v_kind text[];
  v_levels integer[];
  v_outermost integer[];       -- of the queries that columns below the node belong to
  v_or boolean[];              -- an OR, or an AND below a NOT
  v_negated boolean[];
  v_children integer[];
  v_has_from boolean[];
  v_function text[];
  v_in boolean[];              -- column IN (select ...)
  v_calls text[] := '{}';      -- asked for every row, so far
  v_calls_before integer[];
  v_names text[] := '{}';      -- everything that is called
  v_names_before integer[];
  v_arms text[] := '{}';       -- of an OR, that do not depend on the row
  v_arms_before integer[];
  v_label text;
begin
  for v_found in
    select m from regexp_matches(regexp_replace(p_tree, '\\.', '_', 'g'),
      '\{([A-Z]+)|(\})|:boolop (and|or|not)|:varlevelsup (\d+)|:funcid (\d+)|:fromlist (\()|:subLinkType (2)', 'g') m
  loop
    if v_found[1] is not null then
      v_depth := v_depth + 1;
      v_level := v_level + (v_found[1] = 'QUERY')::integer;
      v_kind[v_depth] := v_found[1];
      v_levels[v_depth] := v_level;
      v_outermost[v_depth] := v_none;
      v_or[v_depth] := false;
      v_negated[v_depth] := v_depth > 1 and v_found[1] = 'BOOLEXPR' and v_kind[v_depth - 1] = 'BOOLEXPR' and v_negated[v_depth - 1];
      v_children[v_depth] := 0;
      v_has_from[v_depth] := false;
      v_function[v_depth] := null;
      v_in[v_depth] := false;
      v_calls_before[v_depth] := cardinality(v_calls);
      v_names_before[v_depth] := cardinality(v_names);
      v_arms_before[v_depth] := cardinality(v_arms);
      if v_found[1] = 'SQLVALUEFUNCTION' then
        v_names := v_names || 'current_user or its like'::text;
      end if;
    elsif v_found[3] is not null then
      v_or[v_depth] := v_found[3] = case when v_negated[v_depth] then 'and' else 'or' end;
      v_negated[v_depth] := v_negated[v_depth] <> (v_found[3] = 'not');
    elsif v_found[4] is not null then
      v_outermost[v_depth] := v_level - v_found[4]::integer;
    elsif v_found[5] is not null then
      v_function[v_depth] := v_found[5];
    elsif v_found[6] is not null then
      v_has_from[v_depth - 1] := true;
    elsif v_found[7] is not null then
      v_in[v_depth] := v_level = 0 and (v_depth = 1 or not v_negated[v_depth - 1]);
    else
      if v_function[v_depth] is not null then
        v_label := p_asks ->> v_function[v_depth];
        v_names := v_names || coalesce(rtrim(v_label, ','), v_function[v_depth]::oid::regproc || '()');
        if v_label is not null and (v_outermost[v_depth] > v_level or v_label like '%,') then
          v_calls := v_calls || (case when v_outermost[v_depth] > v_level then '' else '?' end || v_label);
        end if;
      elsif v_kind[v_depth] in ('RANGETBLENTRY', 'RTE') then
        -- A function in FROM is asked once for each run of its query.
        for i in v_calls_before[v_depth] + 1 .. cardinality(v_calls) loop
          v_calls[i] := '@' || ltrim(v_calls[i], '@');
        end loop;
      elsif v_kind[v_depth] = 'QUERY' then
        v_level := v_level - 1;
        if v_outermost[v_depth] > v_level then
          if v_in[v_depth - 1] then
            finding := 'in_subselect';
            evidence := 'a column is compared with in (select ...)';
            return next;
          end if;
          v_calls := v_calls[1:v_calls_before[v_depth]]
            || array(select c from unnest(v_calls[v_calls_before[v_depth] + 1:]) c where v_has_from[v_depth] and c not like '@%');
        end if;
      elsif v_kind[v_depth] in ('BOOLEXPR', 'CASEEXPR') then
        if v_outermost[v_depth] <= v_level then
          return query select distinct 'constant_or'::text, a from unnest(v_arms[v_arms_before[v_depth] + 1:]) a;
        end if;
        v_arms := v_arms[1:v_arms_before[v_depth]];
      end if;
      if v_depth > 1 then
        v_children[v_depth - 1] := v_children[v_depth - 1] + 1;
        v_outermost[v_depth - 1] := least(v_outermost[v_depth - 1], v_outermost[v_depth]);
        if v_outermost[v_depth] > v_level
           and (v_kind[v_depth - 1] = 'BOOLEXPR' and v_or[v_depth - 1] or v_kind[v_depth - 1] = 'CASEWHEN' and v_children[v_depth - 1] = 1) then
          v_arms := v_arms || coalesce((select string_agg(distinct n, ', ') from unnest(v_names[v_names_before[v_depth] + 1:]) n), 'a constant');
        end if;
      end if;
      v_depth := v_depth - 1;
    end if;
  end loop;
  return query
    select distinct case when c ~ '^@?\?' then 'per_row_argument' else 'per_row' end, ltrim(c, '@?') from unnest(v_calls) c;
end $$;
revoke all on function auth.lint_expression(text, jsonb) from public;
grant execute on function auth.lint_expression(text, jsonb) to fluxbase_admin;
comment on function auth.lint_expression(text, jsonb) is
  'What is wrong inside a parsed expression: identity asked per row, an arm of OR that does not depend on the row, IN that no index serves.';

create or replace function auth.lint_policy_findings()
returns table (policy_id oid, object text, permissive boolean, finding text, evidence text)
language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_asks jsonb;
begin
  select jsonb_object_agg(f.function_id, f.label) into v_asks from auth.lint_identity_functions() f;
  return query
    select p.policy_id, p.object, p.permissive, f.finding, f.evidence
    from auth.lint_policies() p join pg_policy y on y.oid = p.policy_id
    cross join lateral (values (y.polqual::text, false), (y.polwithcheck::text, true)) e (tree, is_check)
    cross join lateral auth.lint_expression(p_tree => e.tree, p_asks => v_asks) f
    where e.tree is not null and not (e.is_check and f.finding = 'in_subselect');
end $$;
revoke all on function auth.lint_policy_findings() from public;
grant execute on function auth.lint_policy_findings() to fluxbase_admin;
comment on function auth.lint_policy_findings() is 'What lint_expression() finds in the policies of the application.';

-- Only what is printed without a name of ours or yours is evaluated: constants, and operators and types of PostgreSQL.
create or replace function auth.lint_always_true(p_relation_id oid, p_expression text)
returns text language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_plain text := btrim(regexp_replace(regexp_replace(p_expression, '\s+AS ("[^"]*"|[a-z_]+)', '', 'g'), '\mSELECT\M|[()\s]+', ' ', 'g'));
  v_column text;
  v_result boolean;
begin
  v_plain := regexp_replace(v_plain, '\s+', ' ', 'g');
  if v_plain = 'true' then
    return 'true';
  elsif v_plain ~ '^(auth\.(uid|current_user_id|session_id) IS NOT NULL|auth\.is_authenticated|auth\.(role|current_user_role) = ''authenticated''::text)$' then
    return 'true for everybody who is signed in';
  end if;
  v_column := coalesce(substring(v_plain from '^("[^"]+"|[[:alpha:]_][[:alnum:]_$]*) IS NOT NULL$'), substring(v_plain from '^("[^"]+"|[[:alpha:]_][[:alnum:]_$]*) = \1$'));
  if v_column is not null then
    return (select 'true' from pg_attribute a where a.attrelid = p_relation_id and quote_ident(a.attname) = v_column and a.attnotnull);
  elsif p_expression <> 'false'
        and regexp_replace(regexp_replace(v_plain, '''([^'']|'''')*''|::[a-z]+( varying| precision)?', '', 'g'),
                           '\m(true|false|NULL|IS|NOT|AND|OR|DISTINCT|FROM|COALESCE)\M', '', 'g') !~ '[[:alpha:]_"]' then
    execute 'select (' || p_expression || ')::boolean' into v_result;
    return case when v_result then 'true' end;
  end if;
  return null;
exception when others then
  return null;
end $$;
revoke all on function auth.lint_always_true(oid, text) from public;
grant execute on function auth.lint_always_true(oid, text) to fluxbase_admin;
comment on function auth.lint_always_true(oid, text) is 'For whom an expression of a policy is true whatever the row: "true" or "true for everybody who is signed in"; else null.';
