-- What time has made useless.  Tables: all that hold something which expires.  Callers: fluxbase_server, fluxbase_admin.
-- One run at a time, by an advisory lock of the transaction.  Each task takes a bounded batch and skips rows that
-- somebody holds, so a run is short and waits for nobody; what is left is there for the next one.

create or replace function auth.housekeeping()
returns table (task text, rows bigint) language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  -- Access tokens outlive the setting that was in force when they were issued, yet never its maximum.
  v_token_lifetime constant interval := interval '24 hours 5 minutes';
  v_retention interval := auth.setting(p_key => 'session_retention')::interval;
  v_mail_retention interval := auth.setting(p_key => 'mail_retention')::interval;
  v_batch constant integer := 10000;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('auth.housekeeping', 0)) then
    task := 'skipped: another run is active';
    rows := 0;
    return next;
    return;
  end if;

  task := 'expired entries of the token blacklist';
  delete from auth.token_blacklist where jti in (
    select b.jti from auth.token_blacklist b where b.expires_at < now() - interval '5 minutes'
    limit v_batch for update skip locked);
  get diagnostics rows = row_count;
  return next;

  task := 'used and expired one-time tokens';
  delete from auth.one_time_tokens where id in (
    select t.id from auth.one_time_tokens t
    where t.expires_at < now() - interval '1 day' or t.used_at < now() - interval '1 day'
    limit v_batch for update skip locked);
  get diagnostics rows = row_count;
  return next;

  task := 'mails that are over';
  delete from auth.mail_outbox where id in (
    select m.id from auth.mail_outbox m
    where m.status in ('sent', 'failed', 'cancelled')
      and m.created_at < now() - case when m.recipient is null then interval '1 hour' else v_mail_retention end
    limit v_batch for update skip locked);
  get diagnostics rows = row_count;
  return next;

  task := 'sign-ins with a code challenge that are over';
  delete from auth.flow_states where id in (
    select f.id from auth.flow_states f where f.expires_at < now() - interval '1 day'
    limit v_batch for update skip locked);
  get diagnostics rows = row_count;
  return next;

  task := 'tokens of providers that nobody fetched';
  update auth.flow_states set provider_tokens = null where id in (
    select f.id from auth.flow_states f where f.provider_tokens is not null and f.auth_code_expires_at < now()
    limit v_batch for update skip locked);
  get diagnostics rows = row_count;
  return next;

  task := 'sign-ins at providers that are over';
  delete from auth.oauth_flows where id in (
    select f.id from auth.oauth_flows f where f.expires_at < now() - interval '1 day'
    limit v_batch for update skip locked);
  get diagnostics rows = row_count;
  return next;

  task := 'organization invitations that are over';
  delete from auth.organization_invitations where id in (
    select i.id from auth.organization_invitations i
    where least(i.expires_at, i.accepted_at, i.revoked_at) < now() - v_retention
    limit v_batch for update skip locked);
  get diagnostics rows = row_count;
  return next;

  task := 'old challenges of second factors';
  delete from auth.mfa_challenges where id in (
    select c.id from auth.mfa_challenges c where c.expires_at < now() - interval '1 day'
    limit v_batch for update skip locked);
  get diagnostics rows = row_count;
  return next;

  task := 'second factors begun and left';
  delete from auth.mfa_factors where id in (
    select f.id from auth.mfa_factors f where f.status = 'unverified' and f.created_at < now() - interval '1 day'
    limit v_batch for update skip locked);
  get diagnostics rows = row_count;
  return next;

  task := 'stale counters of failed logins';
  delete from auth.login_attempts where (scope, subject) in (
    select a.scope, a.subject from auth.login_attempts a
    where a.last_attempt_at < now() - interval '24 hours' and (a.slowed_until is null or a.slowed_until < now())
    limit v_batch for update skip locked);
  get diagnostics rows = row_count;
  return next;

  task := 'counters of rate limits';
  delete from ratelimit.counters where (rule_id, subject) in (
    select c.rule_id, c.subject from ratelimit.counters c left join ratelimit.rules r on r.id = c.rule_id
    where c.window_start < now() - make_interval(secs => coalesce(r.window_seconds, 0) + 60)
       or c.window_start > clock_timestamp() + make_interval(secs => coalesce(r.window_seconds, 0) + 60) -- a clock that was ahead
    limit v_batch for update of c skip locked);
  get diagnostics rows = row_count;
  return next;

  task := 'volume counters of rate limits';
  delete from ratelimit.volume_counters where (rule_id, subject) in (
    select c.rule_id, c.subject from ratelimit.volume_counters c left join ratelimit.rules r on r.id = c.rule_id
    where c.window_start < now() - make_interval(secs => 2 * coalesce(r.window_seconds, 0) + 60)
       or c.window_start > clock_timestamp() + make_interval(secs => coalesce(r.window_seconds, 0) + 60)
    limit v_batch for update of c skip locked);
  get diagnostics rows = row_count;
  return next;

  task := 'dead sessions';
  delete from auth.sessions where id in (
    select s.id from auth.sessions s
    where s.expires_at < now() - v_retention or s.revoked_at < now() - v_retention
    limit v_batch for update skip locked);
  get diagnostics rows = row_count;
  return next;

  -- The current token and its parent stay: the parent may be replayed when the answer to it got lost.
  task := 'refresh tokens of old generations';
  delete from auth.refresh_tokens where (session_id, generation) in (
    select r.session_id, r.generation from auth.refresh_tokens r join auth.sessions s on s.id = r.session_id
    where r.generation < s.generation - 1 and r.issued_at < now() - v_token_lifetime
    limit v_batch for update of r skip locked);
  get diagnostics rows = row_count;
  return next;

  task := 'signing keys that are over';
  delete from auth.signing_keys where algorithm <> 'HS256' and verifies_until < now() - v_retention;
  get diagnostics rows = row_count;
  return next;

  task := 'audit partitions made';
  rows := audit.ensure_partitions();
  return next;

  task := 'audit partitions dropped';
  rows := audit.drop_expired_partitions();
  return next;
end $$;
revoke all on function auth.housekeeping() from public;
grant execute on function auth.housekeeping() to fluxbase_admin, fluxbase_server;
comment on function auth.housekeeping() is 'Deletes what has expired, in batches, and keeps audit partitions ahead; says what it did. The server calls it, an administrator may.';
