-- Looking at counters in psql.  Tables: ratelimit.rules, ratelimit.counters, ratelimit.volume_counters.  Caller: fluxbase_admin.

create or replace function ratelimit.usage()
returns table (rule text, subject text, used integer, max_requests integer, resets_at timestamptz)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select r.name, c.subject, c.hits, r.max_requests, c.window_start + make_interval(secs => r.window_seconds)
    from ratelimit.counters c join ratelimit.rules r on r.id = c.rule_id
    where c.window_start + make_interval(secs => r.window_seconds) > now()
    union all
    select r.name, c.subject, u.used, r.max_requests, to_timestamp((floor(n.epoch / r.window_seconds) + 1) * r.window_seconds)
    from ratelimit.volume_counters c join ratelimit.rules r on r.id = c.rule_id
    cross join (select extract(epoch from now())::double precision) n (epoch)
    cross join lateral (select r.max_requests - ratelimit.room(p_limit => r.max_requests, p_previous => c.previous, p_hits => c.hits,
      p_age => (n.epoch - extract(epoch from c.window_start)::double precision) / r.window_seconds)) u (used)
    where u.used > 0;
end $$;
revoke all on function ratelimit.usage() from public;
grant execute on function ratelimit.usage() to fluxbase_admin;
comment on function ratelimit.usage() is 'Every counter that has something: of the window that has not ended, and of rules that slide the share of the one before.';

create or replace function ratelimit.top(p_limit integer default 20)
returns table (rule text, subject text, used integer, max_requests integer, resets_at timestamptz)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select u.rule, u.subject, u.used, u.max_requests, u.resets_at from ratelimit.usage() u
    order by u.used::double precision / u.max_requests desc, u.used desc, u.rule, u.subject limit p_limit;
end $$;
revoke all on function ratelimit.top(integer) from public;
grant execute on function ratelimit.top(integer) to fluxbase_admin;
comment on function ratelimit.top(integer) is 'Who is nearest to a limit, or at it.';

-- The path of a rule as a regular expression.
create or replace function ratelimit.matches(p_pattern text, p_path text)
returns boolean language sql immutable parallel safe security invoker
return p_pattern is null or p_path ~ ('^' || regexp_replace(regexp_replace(regexp_replace(
  p_pattern, '([][().^$+?{}|\\])', '\\\1', 'g'), '/\*\*$', '(/.*)?'), '/\*(?=/|$)', '/[^/]+', 'g') || '$');
revoke all on function ratelimit.matches(text, text) from public;
comment on function ratelimit.matches(text, text) is 'Whether a path is one of a rule.';

create or replace function ratelimit.why(p_subject text, p_path text, p_method text default 'POST')
returns table (rule text, scope text, max_requests integer, window_seconds integer, used integer, resets_at timestamptz, verdict text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select r.name, r.scope, r.max_requests, r.window_seconds, coalesce(u.used, 0), u.resets_at,
           case when coalesce(u.used, 0) < r.max_requests then 'passes' when r.mode = 'report' then 'reported' else 'refused' end
    from ratelimit.active_rules() r
    left join ratelimit.usage() u on u.rule = r.name and u.subject = case r.scope when 'global' then '*' else p_subject end
    where (r.method is null or r.method = upper(p_method) or r.method = 'GET' and upper(p_method) = 'HEAD') and ratelimit.matches(p_pattern => r.path, p_path => ratelimit.canonical(p_path => p_path))
    order by r.id;
end $$;
revoke all on function ratelimit.why(text, text, text) from public;
grant execute on function ratelimit.why(text, text, text) to fluxbase_admin;
comment on function ratelimit.why(text, text, text) is
  'Which rules a request of a subject (address, user, key) meets, and what each says. A client has the subject user:..., org:... (its keys), key:... or ip:....';

create or replace function ratelimit.reset(p_subject text default null, p_rule text default null)
returns bigint language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_rows bigint;
  v_more bigint;
begin
  if p_subject is null and p_rule is null then
    raise exception using errcode = '22023', message = 'neither a subject nor a rule is given',
      hint = 'to forget all that a rule has counted, give its name';
  end if;
  delete from ratelimit.counters c using ratelimit.rules r
  where r.id = abs(c.rule_id) and (p_subject is null or c.subject = p_subject) and (p_rule is null or r.name = p_rule);
  get diagnostics v_rows = row_count;
  delete from ratelimit.volume_counters c using ratelimit.rules r
  where r.id = abs(c.rule_id) and (p_subject is null or c.subject = p_subject) and (p_rule is null or r.name = p_rule);
  get diagnostics v_more = row_count;
  perform audit.record(p_action => 'ratelimit.reset', p_details => jsonb_build_object('subject', p_subject, 'rule', p_rule));
  perform pg_notify('fluxbase_settings', 'ratelimit');
  return v_rows + v_more;
end $$;
revoke all on function ratelimit.reset(text, text) from public;
grant execute on function ratelimit.reset(text, text) to fluxbase_admin;
comment on function ratelimit.reset(text, text) is 'Forgets what was counted of a subject, under a rule or all; returns the number of counters. Servers follow within seconds.';
