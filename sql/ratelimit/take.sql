-- Counting.  Tables: ratelimit.rules, ratelimit.counters, ratelimit.volume_counters.  Caller: fluxbase_server.

-- One statement counts and decides, under the lock of the counter's row: requests in parallel cannot pass together.
-- Windows are fixed: they begin at multiples of their length since 1970.  A call that waited for the row while the next
-- window began counts there.
create or replace function ratelimit.take(
  p_rule_id integer, p_limit integer, p_window_seconds integer, p_durable boolean, p_subject text, p_want integer,
  out granted integer, out hits integer, out window_start timestamptz)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_window timestamptz := to_timestamp(floor(extract(epoch from clock_timestamp()) / p_window_seconds) * p_window_seconds);
  v_first integer := least(p_want, p_limit);
begin
  if p_durable then
    insert into ratelimit.counters as c (rule_id, subject, window_start, hits, taken)
    values (p_rule_id, p_subject, v_window, v_first, v_first)
    on conflict on constraint counters_rule_id_subject_pk do update
      set window_start = greatest(c.window_start, excluded.window_start),
          taken = case when excluded.window_start > c.window_start then excluded.taken else least(p_want, p_limit - c.hits) end,
          hits = case when excluded.window_start > c.window_start then excluded.hits else c.hits + least(p_want, p_limit - c.hits) end
      where excluded.window_start > c.window_start or c.hits < p_limit
    returning c.taken, c.hits, c.window_start into granted, hits, window_start;
  else
    insert into ratelimit.volume_counters as c (rule_id, subject, window_start, hits, taken)
    values (p_rule_id, p_subject, v_window, v_first, v_first)
    on conflict on constraint volume_counters_rule_id_subject_pk do update
      set window_start = greatest(c.window_start, excluded.window_start),
          taken = case when excluded.window_start > c.window_start then excluded.taken else least(p_want, p_limit - c.hits) end,
          hits = case when excluded.window_start > c.window_start then excluded.hits else c.hits + least(p_want, p_limit - c.hits) end
      where excluded.window_start > c.window_start or c.hits < p_limit
    returning c.taken, c.hits, c.window_start into granted, hits, window_start;
  end if;
  if granted is null then
    granted := 0;
    hits := p_limit;
    window_start := v_window;
  end if;
end $$;
revoke all on function ratelimit.take(integer, integer, integer, boolean, text, integer) from public;
comment on function ratelimit.take(integer, integer, integer, boolean, text, integer) is
  'Takes up to p_want requests out of the current window; granted is how many there were, 0 when the limit is reached.';

-- The first refusal of a window is recorded; what the counter says of the last taking is how the others know.
create or replace function ratelimit.record_refusal(p_rule_id integer, p_subject text, p_window_start timestamptz)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update ratelimit.counters c set taken = 0
  where c.rule_id = p_rule_id and c.subject = p_subject and c.window_start = p_window_start and c.taken > 0;
  if found then
    perform audit.record(p_action => 'ratelimit.refused', p_outcome => 'denied', p_details => jsonb_build_object(
      'rule', (select r.name from ratelimit.rules r where r.id = p_rule_id), 'subject', p_subject));
  end if;
end $$;
revoke all on function ratelimit.record_refusal(integer, text, timestamptz) from public;
comment on function ratelimit.record_refusal(integer, text, timestamptz) is
  'Writes to audit.log that a subject has reached the limit of a durable rule: once in each window, whichever server asks.';

-- Rules are taken in the order of their ids, so two calls never wait for each other.  The first refusal ends it.
create or replace function fluxbase.rate_limit(p_requests jsonb)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_request record;
  v_taken record;
  v_list jsonb := '[]';
begin
  for v_request in
    select q.id, r.durable, r.mode, q.subject, q.want,
           case when q.id > 0 then r.max_requests else r.burst end as max_requests,
           case when q.id > 0 then r.window_seconds else 1 end as window_seconds
    from (select (e ->> 'rule')::integer as id, e ->> 'subject' as subject, (e ->> 'want')::integer as want
          from jsonb_array_elements(p_requests) e) q
    join ratelimit.rules r on r.id = abs(q.id) and (q.id > 0 or r.burst is not null)
    order by r.id, q.id
  loop
    select t.granted, t.hits, t.window_start into v_taken
    from ratelimit.take(p_rule_id => v_request.id, p_limit => v_request.max_requests, p_window_seconds => v_request.window_seconds,
                        p_durable => v_request.durable, p_subject => v_request.subject, p_want => greatest(v_request.want, 1)) t;
    v_list := v_list || jsonb_build_object('rule', v_request.id, 'subject', v_request.subject, 'granted', v_taken.granted,
      'remaining', greatest(v_request.max_requests - v_taken.hits, 0),
      'window', extract(epoch from v_taken.window_start)::bigint,
      'reset_ms', greatest(0, ceil(1000 * (extract(epoch from v_taken.window_start) + v_request.window_seconds
                                           - extract(epoch from clock_timestamp()))))::bigint);
    if v_taken.granted = 0 and v_request.mode = 'enforce' then
      if v_request.durable and v_request.id > 0 then
        perform ratelimit.record_refusal(p_rule_id => v_request.id, p_subject => v_request.subject, p_window_start => v_taken.window_start);
      end if;
      exit;
    end if;
  end loop;
  return jsonb_build_object('status', 'ok', 'taken', v_list);
end $$;
revoke all on function fluxbase.rate_limit(jsonb) from public;
grant execute on function fluxbase.rate_limit(jsonb) to fluxbase_server;
comment on function fluxbase.rate_limit(jsonb) is 'Takes requests of subjects under rules: [{"rule", "subject", "want"}]; says what was granted and when each window ends.';

-- Of servers that count elsewhere, which ask once for a window.
create or replace function fluxbase.rate_refused(p_rule_id integer, p_subject text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform audit.record(p_action => 'ratelimit.refused', p_outcome => 'denied', p_details => jsonb_build_object(
    'rule', (select r.name from ratelimit.rules r where r.id = p_rule_id), 'subject', p_subject));
  return jsonb_build_object('status', 'ok');
end $$;
revoke all on function fluxbase.rate_refused(integer, text) from public;
grant execute on function fluxbase.rate_refused(integer, text) to fluxbase_server;
comment on function fluxbase.rate_refused(integer, text) is 'Records that a subject has reached the limit of a rule, which another store has counted.';
