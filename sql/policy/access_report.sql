-- Why may somebody (not) touch a row?  Tables: the catalog; the named table only when the row is given by its key.
-- Caller: fluxbase_admin.  Invoker, and never to be called from a definer function: there PostgreSQL refuses to set the role.
-- Expressions of policies are evaluated over a row made of JSON, as the role and in the context of the user, inside a block
-- that always ends in an error and is caught: role, settings and whatever a policy's function wrote are gone afterwards
-- (sequences are not).  No trigger fires, the table is not written.

-- One report as JSON lines, the verdict last.  p_signed comes from auth.sign_context().
create or replace function auth.access_report(
  p_signed jsonb, p_table regclass, p_command text, p_row jsonb, p_new jsonb, p_reads boolean, p_returning boolean, p_columns text[])
returns jsonb language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_role text := p_signed ->> 'role';
  v_class record;
  v_lines jsonb := '[]';
  v_checks jsonb := '[]';
  v_circles text[] := '{}';           -- policies that come back to this table, as oid and expression
  v_check jsonb;
  v_reads boolean;
  v_key text[];
  v_column record;
  v_missing text[] := '{}';           -- columns of the new row that nobody can know beforehand
  v_old jsonb := p_row;
  v_new jsonb;
  v_given jsonb;
  v_row jsonb;
  v_from text;
  v_path text := (select s.reset_val from pg_settings s where s.name = 'search_path');
  v_value boolean;
  v_json jsonb;
  v_result text;
  v_detail text;
  v_state text;
  v_bypass text;
  v_denied text;                      -- the first certain reason
  v_denied_new boolean := false;      -- it stands on the new row, which a trigger might have changed
  v_raised text;
  v_unknown text;
  v_verdict text;
begin
  -- 1. The relation, the command, the rows.
  select c.oid, c.relname::text, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.relowner, n.oid as schema_id, n.nspname::text,
         c.relkind = 'p' or c.relhassubclass as has_children
    into v_class
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = p_table and c.relkind in ('r', 'p', 'v', 'm', 'f');
  if not found then
    raise exception using errcode = '42P01', message = 'table is null or does not exist';
  end if;
  if p_command is null or p_command not in ('select', 'select for update', 'insert', 'update', 'delete', 'upsert') then
    raise exception using errcode = '22023', message = format('command %s does not exist', quote_nullable(p_command)),
      hint = 'select, select for update, insert, update, delete or upsert (insert ... on conflict do update)';
  end if;
  if jsonb_typeof(coalesce(p_row, '{}')) <> 'object' or jsonb_typeof(coalesce(p_new, '{}')) <> 'object' then
    raise exception using errcode = '22023', message = 'a row is a JSON object', hint = 'select to_jsonb(t.*) from your_table t';
  end if;
  for v_column in
    select k.name from (select jsonb_object_keys(coalesce(p_row, '{}') || coalesce(p_new, '{}')) as name
                        union select unnest(p_columns)) k
    where not exists (select from pg_attribute a where a.attrelid = p_table and a.attname = k.name and a.attnum > 0 and not a.attisdropped)
  loop
    raise exception using errcode = '42703', message = format('%s has no column %s', p_table, quote_nullable(v_column.name));
  end loop;
  if p_command = 'insert' then
    v_given := coalesce(p_new, p_row);
    v_old := null;
  elsif p_command in ('update', 'upsert') then
    v_given := p_new;
  end if;
  v_reads := case p_command when 'insert' then p_returning when 'upsert' then true when 'update' then p_reads or p_returning
                            when 'delete' then p_reads or p_returning else true end;
  v_key := array(select a.attname::text from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey::smallint[])
                 where i.indrelid = p_table and i.indisprimary);

  -- 2. Grants.
  for v_column in
    with needed (ord, privilege, columns) as (
      -- An upsert reads the key, and each column that it takes from EXCLUDED.
      select 2, 'select', case when p_columns is not null then p_columns
                               when p_command = 'upsert' and not p_returning then
                                 array(select unnest(v_key) union select jsonb_object_keys(coalesce(v_given, '{}')) order by 1)
                               when p_command in ('update', 'delete') and not p_returning and cardinality(v_key) > 0 then v_key
                               else array(select a.attname::text from pg_attribute a where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped) end
      where v_reads
      union all
      select 3, 'insert', array(select jsonb_object_keys(coalesce(v_given, '{}')) order by 1) where p_command in ('insert', 'upsert')
      union all
      select 4, 'update', array(select jsonb_object_keys(coalesce(v_given, '{}')) order by 1) where p_command in ('update', 'upsert')
      union all
      select 4, 'update', '{}' where p_command = 'select for update'
      union all
      select 5, 'delete', null where p_command = 'delete'),
    grants as (
      select 1 as ord, 'usage of schema ' || quote_ident(v_class.nspname) as name, has_schema_privilege(v_role, v_class.schema_id, 'usage') as held, null as lacks
      union all
      select n.ord, n.privilege,
        has_table_privilege(v_role, p_table, n.privilege)
          or n.columns is not null and cardinality(n.columns) = 0 and has_any_column_privilege(v_role, p_table, n.privilege)
          or coalesce((select bool_and(has_column_privilege(v_role, p_table, c, n.privilege)) from unnest(n.columns) c), false),
        (select string_agg(quote_ident(c), ', ' order by c) from unnest(n.columns) c where not has_column_privilege(v_role, p_table, c, n.privilege))
      from needed n)
    select g.* from grants g order by g.ord
  loop
    v_lines := v_lines || jsonb_build_object('kind', 'grant', 'name', v_column.name, 'result', case when v_column.held then 'pass' else 'fail' end,
      'detail', case when not v_column.held then coalesce('missing for the columns ' || v_column.lacks, 'missing') end);
    if not v_column.held then
      v_denied := coalesce(v_denied, format('%s has no grant: %s%s', v_role, v_column.name, coalesce(' on the columns ' || v_column.lacks, '')));
    end if;
  end loop;

  -- What is denied without the row needs nobody who may read it.
  begin
    v_old := auth.row_by_key(p_table => p_table, p_row => v_old);
  exception when insufficient_privilege then
    if v_denied is null then
      raise;
    end if;
  end;

  -- 3. Does row security hold for this role at all?
  v_bypass := case
    when v_class.relkind in ('m', 'f') then 'it has no row security'
    when not v_class.relrowsecurity then 'row security is off'
    when exists (select from pg_roles r where r.rolname = v_role and (r.rolsuper or r.rolbypassrls)) then v_role || ' is a superuser or has BYPASSRLS'
    when pg_has_role(v_role, v_class.relowner, 'usage') and not v_class.relforcerowsecurity then v_role || ' is the owner and row security is not forced'
  end;
  v_lines := v_lines || jsonb_build_object('kind', 'row security', 'name', case when not v_class.relrowsecurity then 'off' when v_class.relforcerowsecurity then 'on, forced' else 'on' end,
    'result', case when v_bypass is null then 'n/a' else 'pass' end, 'detail', coalesce(v_bypass, 'holds for ' || v_role));
  if v_class.relkind = 'v' then
    v_bypass := null;
    v_unknown := 'it is a view: ask for the tables that it reads, '
      || coalesce((select string_agg(distinct d.refobjid::regclass::text, ', ') from pg_depend d join pg_rewrite r on r.oid = d.objid
                   where d.classid = 'pg_rewrite'::regclass and r.ev_class = p_table and d.refclassid = 'pg_class'::regclass and d.refobjid <> p_table), 'none');
  elsif v_class.relkind = 'f' then
    v_unknown := 'it is a foreign table: its server decides';
  elsif v_class.relkind = 'm' and p_command <> 'select' then
    v_denied := coalesce(v_denied, 'a materialized view is only read');
  elsif exists (select from pg_rewrite r where r.ev_class = p_table) and v_class.relkind <> 'm' then
    v_unknown := 'it has rewrite rules';
  end if;

  -- 4. What PostgreSQL asks, in which phase, of which row.  A phase filters rows out or refuses the statement.
  if v_bypass is null and v_class.relkind <> 'v' then
    -- While PostgreSQL expands the policies of a table it refuses to expand the same table again, when there is a sub-select
    -- in what it would add.  A row made of JSON is no table, so the circle is looked for in the parsed forms.
    with recursive visible as (
      select y.polrelid, y.polqual::text as tree from pg_policy y join pg_class c on c.oid = y.polrelid
      where c.relrowsecurity and y.polcmd in ('*', 'r')
        and (0 = any (y.polroles) or exists (select from unnest(y.polroles) u (oid) where u.oid <> 0 and pg_has_role(v_role, u.oid, 'usage')))),
    way as (
      select p.oid || t.kind as start, m.found[1]::oid as here
      from pg_policy p cross join lateral (values ('using', p.polqual::text), ('check', coalesce(p.polwithcheck, p.polqual)::text)) t (kind, tree)
      cross join lateral regexp_matches(t.tree, ':relid (\d+)', 'g') m (found)
      where p.polrelid = p_table
      union
      select w.start, m.found[1]::oid
      from way w join visible v on v.polrelid = w.here cross join lateral regexp_matches(v.tree, ':relid (\d+)', 'g') m (found)
      where w.here <> p_table)
    select coalesce(array_agg(w.start), '{}') into v_circles from way w
    where w.here = p_table and exists (select from visible v where v.polrelid = p_table and v.tree ~ 'SUBLINK');

    select coalesce(jsonb_agg(jsonb_build_object('phase', f.phase, 'row', f.of_row, 'refuses', f.refuses, 'name', p.polname, 'permissive', p.polpermissive,
             'expression', case when f.uses_check then coalesce(pg_get_expr(p.polwithcheck, p.polrelid), pg_get_expr(p.polqual, p.polrelid)) else pg_get_expr(p.polqual, p.polrelid) end,
             'applies', 0 = any (p.polroles) or exists (select from unnest(p.polroles) u (oid) where u.oid <> 0 and pg_has_role(v_role, u.oid, 'usage')),
             'columns', (select coalesce(jsonb_agg(a.attname), '[]') from pg_depend d join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
                         where d.classid = 'pg_policy'::regclass and d.objid = p.oid and d.refclassid = 'pg_class'::regclass and d.refobjid = p_table and d.refobjsubid > 0),
             'circle', p.oid || case when f.uses_check then 'check' else 'using' end = any (v_circles),
             'whole', concat(p.polqual::text, p.polwithcheck::text) ~ ':varattno 0 ')
             order by f.ord, not p.polpermissive, p.polname), '[]')
      into v_checks
    from (values
      (1, 'read', 'old', 'r', false, false, p_command in ('select', 'select for update') or p_command in ('update', 'delete') and v_reads),
      (2, 'old row', 'old', 'w', false, false, p_command in ('update', 'select for update')),
      (2, 'old row', 'old', 'd', false, false, p_command = 'delete'),
      (3, 'new row', 'new', 'a', true, true, p_command in ('insert', 'upsert')),
      (4, 'new row is read', 'new', 'r', false, true, p_command = 'insert' and v_reads or p_command = 'upsert'),
      (5, 'conflicting row', 'old', 'w', false, true, p_command = 'upsert'),
      (6, 'conflicting row is read', 'old', 'r', false, true, p_command = 'upsert'),
      (7, 'changed row', 'changed', 'w', true, true, p_command in ('update', 'upsert')),
      (8, 'changed row is read', 'changed', 'r', false, true, p_command = 'update' and v_reads or p_command = 'upsert')
    ) f (ord, phase, of_row, command, uses_check, refuses, asked)
    join pg_policy p on p.polrelid = p_table and p.polcmd in ('*', f.command::"char")
    where f.asked;
    -- A phase without a permissive policy lets nothing through.
    for v_column in
      select f.phase, f.command from (values
        ('read', 'r', p_command in ('select', 'select for update') or p_command in ('update', 'delete') and v_reads),
        ('old row', 'w', p_command in ('update', 'select for update')), ('old row', 'd', p_command = 'delete'),
        ('new row', 'a', p_command in ('insert', 'upsert')), ('new row is read', 'r', p_command = 'insert' and v_reads or p_command = 'upsert'),
        ('conflicting row', 'w', p_command = 'upsert' and p_row is not null), ('changed row', 'w', p_command = 'update')) f (phase, command, asked)
      where f.asked and not exists (select from jsonb_array_elements(v_checks) c where c ->> 'phase' = f.phase and (c ->> 'permissive')::boolean and (c ->> 'applies')::boolean)
    loop
      v_denied := coalesce(v_denied, format('no policy for %s lets %s pass (%s)',
        case v_column.command when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' else 'delete' end, v_role, v_column.phase));
    end loop;
  end if;

  -- 5. Everything from here to the end of the block is undone.
  begin
    perform set_config('fluxbase.context', p_signed ->> 'context', true),
            set_config('fluxbase.context_mac', p_signed ->> 'mac', true),
            set_config('request.jwt.claims', coalesce(p_signed ->> 'claims', ''), true),
            set_config('role', v_role, true),
            set_config('search_path', v_path, true);
    v_from := format(' from pg_catalog.jsonb_populate_record(null::%s, $1) as %I%s', p_table, v_class.relname,
      case when v_class.has_children then '' else format(' cross join (values (%s::oid)) as "fluxbase$system" (tableoid)', v_class.oid) end);

    -- Defaults of absent columns, as the user; what a sequence gives is not known.
    if p_command in ('insert', 'upsert') and v_given is not null then
      v_new := v_given;
      for v_column in
        select a.attname, a.attidentity, pg_get_expr(d.adbin, d.adrelid) as expression, format_type(a.atttypid, a.atttypmod) as type,
               (select t.typdefault is not null from pg_type t where t.oid = a.atttypid) as of_domain
        from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and not v_given ? a.attname
        order by a.attnum
      loop
        if v_column.attidentity <> '' or v_column.expression ~ '\mnextval\(' or v_column.expression is null and v_column.of_domain then
          v_missing := v_missing || v_column.attname::text;
        elsif v_column.expression is not null then
          begin
            execute format('select pg_catalog.to_jsonb((%s)::%s)', v_column.expression, v_column.type) into v_json;
            v_new := v_new || jsonb_build_object(v_column.attname, v_json);
          exception when others then
            if sqlstate = '42501' then
              v_denied := coalesce(v_denied, format('the default of %I: %s', v_column.attname, sqlerrm));
            else
              v_raised := coalesce(v_raised, format('the default of %I: %s', v_column.attname, sqlerrm));
            end if;
            v_missing := v_missing || v_column.attname::text;
          end;
        end if;
      end loop;
    end if;

    for v_check in select c from jsonb_array_elements(v_checks) c loop
      v_result := null;
      v_detail := null;
      v_state := null;
      if not (v_check ->> 'applies')::boolean then
        v_result := 'n/a';
        v_detail := 'not for ' || v_role;
      elsif (v_check ->> 'circle')::boolean then
        v_result := 'error';
        v_state := '42P17';
        v_detail := format('infinite recursion detected in policy for relation "%s" (42P17)', v_class.relname);
        v_denied := coalesce(v_denied, format('%s: %s ends in an error: %s', v_check ->> 'phase', v_check ->> 'name', v_detail));
      elsif p_command = 'upsert' and p_row is null and v_check ->> 'row' <> 'new' then
        v_result := 'n/a';
        v_detail := 'no row conflicts';
      else
        v_row := case v_check ->> 'row' when 'old' then v_old when 'new' then v_new
                   when 'changed' then case when v_old is not null and v_given is not null then v_old || v_given end end;
        -- Generated columns follow from the others.
        if v_row is not null and v_check ->> 'row' <> 'old' then
          for v_column in
            select a.attname, pg_get_expr(d.adbin, d.adrelid) as expression from pg_attribute a join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
            where a.attrelid = p_table and a.attgenerated <> '' and not a.attisdropped
          loop
            begin
              execute format('select pg_catalog.to_jsonb(%s)%s', v_column.expression, v_from) into v_json using v_row;
              v_row := v_row || jsonb_build_object(v_column.attname, v_json);
            exception when others then
              v_raised := coalesce(v_raised, format('generated column %I: %s', v_column.attname, sqlerrm));
            end;
          end loop;
        end if;
        if v_row is null then
          v_detail := case when p_command <> 'insert' and v_check ->> 'row' <> 'old' and p_new is null then 'p_new, the values to write, is not given' else 'the row is not given' end;
        else
          select string_agg(quote_ident(a.attname), ', ') into v_detail
          from pg_attribute a
          where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped
            and ((v_check -> 'columns') ? a.attname or (v_check ->> 'whole')::boolean)
            and case when v_check ->> 'row' = 'new' then a.attname = any (v_missing) else not v_row ? a.attname end;
          v_detail := 'not known: ' || v_detail;
        end if;
        -- Without rows first: what fails then fails in every execution (rights, recursion); the rest depends on the row.
        begin
          execute format('select (%s)%s limit 0', v_check ->> 'expression', v_from) into v_value using coalesce(v_row, '{}');
          if v_detail is not null then
            v_result := 'n/a';
          else
            begin
              execute format('select (%s)%s', v_check ->> 'expression', v_from) into v_value using v_row;
              v_result := case v_value when true then 'pass' when false then 'fail' else 'null' end;
            exception when others then
              v_result := 'error';
              v_detail := format('%s (%s)', sqlerrm, sqlstate);
            end;
          end if;
        exception when others then
          get stacked diagnostics v_state = returned_sqlstate;
          v_result := case when v_state in ('42703', '42P10') then 'n/a' else 'error' end;
          v_detail := case when v_state = '42703' then 'it asks for a system column, which a row outside of the table does not have'
                           else format('%s (%s)', sqlerrm, v_state) end;
        end;
      end if;
      v_lines := v_lines || jsonb_build_object('phase', v_check ->> 'phase', 'kind', case when (v_check ->> 'permissive')::boolean then 'permissive' else 'restrictive' end,
        'name', v_check ->> 'name', 'expression', v_check ->> 'expression', 'result', v_result, 'detail', v_detail,
        'applies', v_check -> 'applies', 'row', v_check ->> 'row', 'refuses', v_check -> 'refuses', 'state', v_state);
    end loop;

    -- Missing rights and recursion end every execution, unless the planner folds them away.  It folds what is one expression:
    -- all permissive policies of a phase, and each restrictive one.  As a condition, where null is false: "f() and null" is gone.
    for v_column in
      select c ->> 'phase' as phase, string_agg(quote_ident(c ->> 'name'), ', ') as names, string_agg(format('(%s)', c ->> 'expression'), ' or ') as expression
      from jsonb_array_elements(v_checks) c where (c ->> 'applies')::boolean
      group by c ->> 'phase', case when (c ->> 'permissive')::boolean then null else c ->> 'name' end
    loop
      begin
        execute format('select%s where %s limit 0', v_from, v_column.expression) using '{}'::jsonb;
      exception
        when insufficient_privilege or invalid_object_definition then
          v_denied := coalesce(v_denied, format('%s: %s ends in an error: %s (%s)', v_column.phase, v_column.names, sqlerrm, sqlstate));
        when others then
          null;  -- the line of the policy says it
      end;
    end loop;
    raise exception using errcode = 'ZF999', message = 'undo';
  exception when sqlstate 'ZF999' then
    null;
  end;

  -- 6. Permissive policies are OR-ed, restrictive ones AND-ed with them; null is no.
  for v_column in
    select l ->> 'phase' as phase, l ->> 'row' as of_row, bool_or((l ->> 'refuses')::boolean) as refuses,
      string_agg(l ->> 'name', ', ' order by n) filter (where l ->> 'kind' = 'restrictive' and l ->> 'result' in ('fail', 'null')) as stopped_by,
      bool_or(l ->> 'kind' = 'permissive' and l ->> 'result' = 'pass') as opened,
      bool_or(l ->> 'kind' = 'permissive' and (l ->> 'result' = 'n/a' or l ->> 'result' = 'error' and coalesce(l ->> 'state', '') not in ('42501', '42P17'))) as maybe,
      string_agg(l ->> 'name' || ': ' || (l ->> 'detail'), '; ' order by n) filter (where l ->> 'result' = 'error' and coalesce(l ->> 'state', '') not in ('42501', '42P17')) as raised,
      string_agg(l ->> 'name' || ': ' || (l ->> 'detail'), '; ' order by n) filter (where l ->> 'result' = 'n/a') as unknown,
      bool_or(l ->> 'kind' = 'restrictive' and l ->> 'result' = 'n/a') as unknown_matters
    from jsonb_array_elements(v_lines) with ordinality x (l, n)
    where l ? 'phase' and (l ->> 'applies')::boolean and not (p_command = 'upsert' and p_row is null and l ->> 'row' <> 'new')
    group by 1, 2 order by min(n)
  loop
    if v_denied is null and (v_column.stopped_by is not null or not v_column.opened and not v_column.maybe) then
      v_denied := format('%s: %s', v_column.phase, coalesce('stopped by ' || v_column.stopped_by, 'no permissive policy is true'))
        || case when v_column.refuses then ', the statement is refused' else ', the row is left out' end;
      v_denied_new := v_column.of_row <> 'old';
    end if;
    v_raised := coalesce(v_raised, v_column.raised);
    -- A phase that one permissive policy opened stays open, whatever another would say.
    if v_column.unknown is not null and (v_column.unknown_matters or not v_column.opened) then
      v_unknown := coalesce(v_unknown, v_column.unknown);
    end if;
  end loop;
  if p_command in ('insert', 'update', 'upsert', 'delete') and exists (
       select from pg_trigger t where t.tgrelid = p_table and not t.tgisinternal and t.tgenabled <> 'D' and t.tgtype & 1 = 1 and t.tgtype & 2 = 2
         and t.tgtype & (case p_command when 'insert' then 4 when 'delete' then 8 when 'update' then 16 else 20 end) <> 0) then
    v_lines := v_lines || jsonb_build_object('kind', 'trigger', 'name', 'before ' || p_command, 'result', 'n/a', 'detail', 'a BEFORE trigger may change or drop the row');
    v_unknown := coalesce(v_unknown, 'a BEFORE trigger may change or drop the row');
    if v_denied_new then
      v_denied := null;
    end if;
  end if;
  v_verdict := case when v_denied is not null then 'denied' when v_raised is not null then 'error' when v_unknown is not null then 'unknown' else 'allowed' end;
  return v_lines || jsonb_build_object('kind', 'verdict', 'name', p_command, 'result', v_verdict,
    'detail', case v_verdict when 'denied' then v_denied when 'error' then 'an expression raises, and PostgreSQL decides when it is evaluated: ' || v_raised
                when 'unknown' then v_unknown else coalesce(v_bypass, 'every phase is open') end);
end $$;
revoke all on function auth.access_report(jsonb, regclass, text, jsonb, jsonb, boolean, boolean, text[]) from public;
grant execute on function auth.access_report(jsonb, regclass, text, jsonb, jsonb, boolean, boolean, text[]) to fluxbase_admin;
comment on function auth.access_report(jsonb, regclass, text, jsonb, jsonb, boolean, boolean, text[]) is
  'Lines of auth.explain_access() as JSON, for a context signed by auth.sign_context().';
