-- Rules of rate limits.  Tables: ratelimit.rules, ratelimit.counters, ratelimit.volume_counters.
-- Callers: fluxbase_admin in psql, fluxbase_server at start.

comment on column ratelimit.rules.scope is
  'Who is counted: ip (IPv6 by /64), user, api_key, org, client (user, else organization of the API key, else API key, else address) or global (all together).';

-- Requests are counted under our names of paths: a rule with the other name would be about none.
create or replace function ratelimit.canonical(p_path text)
returns text language sql immutable parallel safe security invoker
return regexp_replace(regexp_replace(p_path, '^/rest/v1(?=/|$)', '/api/v1/rest'), '^/auth/v1(?=/|$)', '/api/v1/auth');
revoke all on function ratelimit.canonical(text) from public;
comment on function ratelimit.canonical(text) is 'The path of ours for one that clients of Supabase use.';

create or replace function ratelimit.set_rule(
  p_name text, p_scope text, p_limit integer, p_window interval, p_path text default null, p_method text default null,
  p_mode text default 'enforce', p_burst integer default null)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_path text := ratelimit.canonical(p_path => p_path);
  v_column text;
  v_constraint text;
begin
  insert into ratelimit.rules as r (name, scope, method, path, max_requests, window_seconds, mode, durable, burst)
  values (p_name, p_scope, upper(p_method), v_path, p_limit, extract(epoch from p_window)::integer, p_mode,
          coalesce(starts_with(v_path, '/api/v1/auth/'), false), p_burst)
  on conflict (name) do update
    set scope = excluded.scope, method = excluded.method, path = excluded.path, max_requests = excluded.max_requests,
        window_seconds = excluded.window_seconds, mode = excluded.mode, durable = excluded.durable, burst = excluded.burst,
        source = 'psql';
  perform audit.record(p_action => 'ratelimit.rule_set', p_details => jsonb_build_object('name', p_name, 'scope', p_scope,
    'path', v_path, 'method', p_method, 'limit', p_limit, 'window', p_window, 'mode', p_mode, 'burst', p_burst));
  perform pg_notify('fluxbase_settings', 'ratelimit');
exception when check_violation or not_null_violation then
  get stacked diagnostics v_column = column_name, v_constraint = constraint_name;
  raise exception using errcode = sqlstate,
    message = format('%s of the rule is missing or out of its bounds', coalesce(nullif(v_column, ''), substring(v_constraint from '^rules_(.*)_ck$'))),
    hint = 'scope is ip, user, api_key, org, client or global; path begins with a slash; max_requests is p_limit, 1 to 1000000000; '
           'window_seconds is p_window, 1 second to 31 days; method is one word; mode is enforce or report; burst is 1 to the limit';
end $$;
revoke all on function ratelimit.set_rule(text, text, integer, interval, text, text, text, integer) from public;
grant execute on function ratelimit.set_rule(text, text, integer, interval, text, text, text, integer) to fluxbase_admin;
comment on function ratelimit.set_rule(text, text, integer, interval, text, text, text, integer) is
  'Makes or replaces a rule: at most p_limit requests of one subject in each p_window, p_burst of them in one second. Mode report counts and lets pass.';

create or replace function ratelimit.drop_rule(p_name text)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id integer;
begin
  delete from ratelimit.rules r where r.name = p_name returning r.id into v_id;
  if not found then
    raise exception using errcode = 'P0002', message = format('there is no rule %L', p_name),
      hint = 'select name from ratelimit.active_rules()';
  end if;
  delete from ratelimit.counters c where c.rule_id in (v_id, -v_id);
  delete from ratelimit.volume_counters c where c.rule_id in (v_id, -v_id);
  perform audit.record(p_action => 'ratelimit.rule_dropped', p_details => jsonb_build_object('name', p_name));
  perform pg_notify('fluxbase_settings', 'ratelimit');
end $$;
revoke all on function ratelimit.drop_rule(text) from public;
grant execute on function ratelimit.drop_rule(text) to fluxbase_admin;
comment on function ratelimit.drop_rule(text) is 'Removes a rule and what it has counted.';

-- The configuration replaces the defaults of a path that it names.
create or replace function ratelimit.active_rules()
returns table (id integer, name text, scope text, method text, path text, max_requests integer, window_seconds integer,
               mode text, durable boolean, source text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select r.id, r.name, r.scope, r.method, r.path, r.max_requests, r.window_seconds, r.mode, r.durable, r.source
    from ratelimit.rules r
    where r.source <> 'default'
       or not exists (select from ratelimit.rules c where c.source = 'config' and c.path = r.path
                        and (c.method is null or c.method = r.method))
    order by r.id;
end $$;
revoke all on function ratelimit.active_rules() from public;
grant execute on function ratelimit.active_rules() to fluxbase_admin;
comment on function ratelimit.active_rules() is 'The rules in force while rate_limiting.enabled is true.';

-- A burst is a rule of its own to servers: the same requests, a window of one second, the negative id.
create or replace function fluxbase.rate_rules()
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return (select coalesce(jsonb_agg(jsonb_build_object('id', l.id, 'name', r.name, 'scope', r.scope, 'method', r.method, 'path', r.path,
            'limit', l.max_requests, 'window_seconds', l.window_seconds, 'mode', r.mode, 'durable', r.durable) order by r.id, l.id), '[]')
          from ratelimit.active_rules() r
          cross join lateral (
            select r.id, r.max_requests, r.window_seconds
            union all select -b.id, b.burst, 1 from ratelimit.rules b where b.id = r.id and b.burst is not null) l);
end $$;
revoke all on function fluxbase.rate_rules() from public;
grant execute on function fluxbase.rate_rules() to fluxbase_server;
comment on function fluxbase.rate_rules() is 'The rules in force, for servers.';

create or replace function fluxbase.apply_rate_limits(p_rules jsonb)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('ratelimit.rules', 0)); -- servers that start together
  delete from ratelimit.rules r where r.source = 'config'
    and not exists (select from jsonb_array_elements(p_rules) e where e ->> 'name' = r.name);
  insert into ratelimit.rules as r (name, scope, method, path, max_requests, window_seconds, durable, source)
  select e ->> 'name', e ->> 'scope', e ->> 'method', e ->> 'path', (e ->> 'limit')::integer, (e ->> 'window_seconds')::integer,
         coalesce(starts_with(e ->> 'path', '/api/v1/auth/'), false), 'config'
  from jsonb_array_elements(p_rules) e
  on conflict (name) do update
    set scope = excluded.scope, method = excluded.method, path = excluded.path, max_requests = excluded.max_requests,
        window_seconds = excluded.window_seconds, durable = excluded.durable
    where r.source = 'config' and (r.scope, r.max_requests, r.durable) is distinct from (excluded.scope, excluded.max_requests, excluded.durable);
  return jsonb_build_object('status', 'ok');
end $$;
revoke all on function fluxbase.apply_rate_limits(jsonb) from public;
grant execute on function fluxbase.apply_rate_limits(jsonb) to fluxbase_server;
comment on function fluxbase.apply_rate_limits(jsonb) is 'Makes the rules of the configuration those of the section rate_limiting.';
