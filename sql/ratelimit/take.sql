-- Counting.  Tables: ratelimit.rules, ratelimit.counters, ratelimit.volume_counters.  Caller: fluxbase_server.

-- One statement counts and decides, under the lock of the counter's row: requests in parallel cannot pass together.
-- Windows begin at multiples of their length since 1970.  Of a durable rule they are fixed.  A call that waited for the row
-- while the next window began counts there.
create or replace function ratelimit.take(
  p_rule_id integer, p_limit integer, p_window_seconds integer, p_subject text, p_want integer,
  out granted integer, out remaining integer, out window_start timestamptz, out free_at timestamptz)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_window timestamptz := to_timestamp(floor(extract(epoch from clock_timestamp()) / p_window_seconds) * p_window_seconds);
  v_first integer := least(p_want, p_limit);
begin
  insert into ratelimit.counters as c (rule_id, subject, window_start, hits, taken)
  values (p_rule_id, p_subject, v_window, v_first, v_first)
  on conflict on constraint counters_rule_id_subject_pk do update
    set window_start = greatest(c.window_start, excluded.window_start),
        taken = case when excluded.window_start > c.window_start then excluded.taken else least(p_want, p_limit - c.hits) end,
        hits = case when excluded.window_start > c.window_start then excluded.hits else c.hits + least(p_want, p_limit - c.hits) end
    where excluded.window_start > c.window_start or c.hits < p_limit
  returning c.taken, greatest(p_limit - c.hits, 0), c.window_start into granted, remaining, window_start;
  if granted is null then
    granted := 0;
    remaining := 0;
    window_start := v_window;
  end if;
  free_at := window_start + make_interval(secs => p_window_seconds);
end $$;
revoke all on function ratelimit.take(integer, integer, integer, text, integer) from public;
comment on function ratelimit.take(integer, integer, integer, text, integer) is
  'Takes up to p_want requests of a durable rule out of the current window; granted is how many there were, 0 when the limit is reached, and free_at when the window ends.';

-- How many requests are left of a counter whose window began p_age windows ago.  Of the window before, the share counts that a
-- window ending now would still hold, as if its requests had come evenly.
create or replace function ratelimit.room(p_limit integer, p_previous integer, p_hits integer, p_age double precision)
returns integer language sql immutable parallel safe security invoker
return p_limit - case
  when p_age < 1 then p_hits + floor(p_previous * (1 - greatest(p_age, 0)))::integer
  when p_age < 2 then floor(p_hits * (2 - p_age))::integer
  else 0 end;
revoke all on function ratelimit.room(integer, integer, integer, double precision) from public;
comment on function ratelimit.room(integer, integer, integer, double precision) is
  'How many requests a sliding counter has left, none at 0 and below: p_age is how many windows ago its window began.';

-- As ratelimit.take, of the rules that are not durable: their windows slide, and never more than the limit is taken out of one.
create or replace function ratelimit.take_sliding(
  p_rule_id integer, p_limit integer, p_window_seconds integer, p_subject text, p_want integer,
  out granted integer, out remaining integer, out window_start timestamptz, out free_at timestamptz)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_now double precision := extract(epoch from clock_timestamp());
  v_window double precision := floor(v_now / p_window_seconds) * p_window_seconds;
  v_first integer := least(p_want, p_limit);
  v_start double precision;
  v_previous integer;
  v_hits integer;
begin
  insert into ratelimit.volume_counters as c (rule_id, subject, window_start, hits, taken)
  values (p_rule_id, p_subject, to_timestamp(v_window), v_first, v_first)
  on conflict on constraint volume_counters_rule_id_subject_pk do update
    set (window_start, previous, hits, taken) = (
      select case when a.age < 1 then c.window_start else excluded.window_start end,
             case when a.age < 1 then c.previous when a.age < 2 then c.hits else 0 end,
             case when a.age < 1 then c.hits else 0 end + t.taken, t.taken
      from (select (v_now - extract(epoch from c.window_start)::double precision) / p_window_seconds) a (age)
      cross join lateral (
        select least(p_want, ratelimit.room(p_limit => p_limit, p_previous => c.previous, p_hits => c.hits, p_age => a.age))) t (taken))
    where ratelimit.room(p_limit => p_limit, p_previous => c.previous, p_hits => c.hits,
                         p_age => (v_now - extract(epoch from c.window_start)::double precision) / p_window_seconds) > 0
  returning c.taken, c.window_start, c.previous, c.hits into granted, window_start, v_previous, v_hits;
  if granted is not null then
    remaining := greatest(0, ratelimit.room(p_limit => p_limit, p_previous => v_previous, p_hits => v_hits,
      p_age => (v_now - extract(epoch from window_start)::double precision) / p_window_seconds));
    free_at := window_start + make_interval(secs => p_window_seconds);
    return;
  end if;

  -- Refused: until what is wanted, or the rest of the window, will be there.
  granted := 0;
  remaining := 0;
  window_start := to_timestamp(v_window);
  select extract(epoch from c.window_start), c.previous, c.hits into v_start, v_previous, v_hits
  from ratelimit.volume_counters c where c.rule_id = p_rule_id and c.subject = p_subject;
  if v_start + p_window_seconds <= v_now then
    v_start := v_start + p_window_seconds;
    v_previous := v_hits;
    v_hits := 0;
  end if;
  if v_hits >= p_limit then
    v_start := v_start + p_window_seconds;
    v_previous := v_hits;
    v_hits := 0;
  end if;
  free_at := to_timestamp(v_start + p_window_seconds * greatest(0,
    1 - (p_limit - v_hits - least(p_want, p_limit - v_hits) + 1)::double precision / greatest(v_previous, 1))) + interval '1 millisecond';
end $$;
revoke all on function ratelimit.take_sliding(integer, integer, integer, text, integer) from public;
comment on function ratelimit.take_sliding(integer, integer, integer, text, integer) is
  'Takes up to p_want requests of a rule that is not durable; granted is how many there were, 0 when the limit is reached: then free_at is when p_want will be there.';

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
    if v_request.durable then
      select t.* into v_taken
      from ratelimit.take(p_rule_id => v_request.id, p_limit => v_request.max_requests, p_window_seconds => v_request.window_seconds,
                          p_subject => v_request.subject, p_want => greatest(v_request.want, 1)) t;
    else
      select t.* into v_taken
      from ratelimit.take_sliding(p_rule_id => v_request.id, p_limit => v_request.max_requests, p_window_seconds => v_request.window_seconds,
                                  p_subject => v_request.subject, p_want => greatest(v_request.want, 1)) t;
    end if;
    v_list := v_list || jsonb_build_object('rule', v_request.id, 'subject', v_request.subject, 'granted', v_taken.granted,
      'remaining', v_taken.remaining, 'window', extract(epoch from v_taken.window_start)::bigint,
      'reset_ms', greatest(0, ceil(1000 * extract(epoch from v_taken.free_at - clock_timestamp())))::bigint);
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
comment on function fluxbase.rate_limit(jsonb) is 'Takes requests of subjects under rules: [{"rule", "subject", "want"}]; says what was granted, and when each window ends or, of a refusal, when to ask again.';

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
