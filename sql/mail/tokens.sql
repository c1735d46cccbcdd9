-- Links and codes that are mailed.  Tables: auth.one_time_tokens, auth.login_attempts.  Callers: the owner's functions.
-- A token is made without its secret: the server that sends the mail derives link and code from the row's id and stores
-- their hashes.  So what psql begins is mailed like everything else, and nothing here is worth stealing.

-- null: the mail may be asked for, and is counted.  Otherwise how many seconds to wait.  Addresses that nobody has are counted, too.
-- The delay doubles with each mail and is forgotten after an hour without one.
create or replace function fluxbase.count_mail(p_kind text, p_email text)
returns integer language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_interval interval := auth.setting(p_key => 'mail_resend_interval')::interval;
  v_subject text := p_kind || ':' || fluxbase.account_subject(p_email => p_email);
begin
  insert into auth.login_attempts as a (scope, subject, failures, slowed_until)
  values ('mail', v_subject, 1, clock_timestamp() + v_interval)
  on conflict (scope, subject) do update
    set failures = case when a.last_attempt_at < now() - interval '1 hour' then 1 else a.failures + 1 end,
        last_attempt_at = now(),
        slowed_until = clock_timestamp() + case when a.last_attempt_at < now() - interval '1 hour' then v_interval
                                                else least(v_interval * 2.0 ^ least(a.failures, 20), greatest(v_interval, interval '1 hour')) end
    where a.slowed_until is null or a.slowed_until <= clock_timestamp();
  if found then
    return null;
  end if;
  return (select greatest(1, ceil(extract(epoch from a.slowed_until - clock_timestamp())))::integer
          from auth.login_attempts a where a.scope = 'mail' and a.subject = v_subject);
end $$;
revoke all on function fluxbase.count_mail(text, text) from public;
comment on function fluxbase.count_mail(text, text) is
  'Counts one mail of a kind to an address and returns null; while the address has to wait it counts nothing and returns the seconds.';

-- The caller holds the row of the user, or that of count_mail() for an address without user, so that two never supersede each other
-- at once.  Without user the token is the address's; without address, too, the row only keeps the work the same.
-- p_data: whoever shows the token becomes a user with these metadata, when the address has none by then.
create or replace function fluxbase.put_token(
  p_purpose text, p_user_id uuid, p_email text, p_relates_to text default null, p_data jsonb default null, p_flow_id uuid default null,
  p_id uuid default null, p_token_hash bytea default null, p_code_hash bytea default null)
returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := coalesce(p_id, gen_random_uuid());
begin
  update auth.one_time_tokens t set used_at = now(), expires_at = least(t.expires_at, now())
  where t.user_id = p_user_id and t.purpose = p_purpose and t.used_at is null;
  update auth.one_time_tokens t set used_at = now(), expires_at = least(t.expires_at, now())
  where t.email_normalized = lower(p_email) and t.purpose = p_purpose and t.used_at is null;
  insert into auth.one_time_tokens (id, purpose, user_id, email, relates_to, data, flow_id, token_hash, code_hash, expires_at)
  values (v_id, p_purpose, p_user_id, p_email, p_relates_to, p_data, p_flow_id, p_token_hash, p_code_hash,
          now() + auth.setting(p_key => case p_purpose when 'invite' then 'mail_invitation_lifetime' else 'mail_token_lifetime' end)::interval);
  return v_id;
end $$;
revoke all on function fluxbase.put_token(text, uuid, text, text, jsonb, uuid, uuid, bytea, bytea) from public;
comment on function fluxbase.put_token(text, uuid, text, text, jsonb, uuid, uuid, bytea, bytea) is
  'Makes a token in place of the one before for the same purpose, and returns its id.';

-- What is voided expires at that moment; what was used did so before it expired.
create or replace function fluxbase.void_tokens(p_user_id uuid, p_purposes text[] default null)
returns integer language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_count integer;
begin
  update auth.one_time_tokens t set used_at = now(), expires_at = least(t.expires_at, now())
  where t.used_at is null
    and (t.user_id = p_user_id or t.user_id is null and t.email_normalized = (select u.email_normalized from auth.users u where u.id = p_user_id))
    and (p_purposes is null or t.purpose = any (p_purposes));
  get diagnostics v_count = row_count;
  return v_count;
end $$;
revoke all on function fluxbase.void_tokens(uuid, text[]) from public;
comment on function fluxbase.void_tokens(uuid, text[]) is 'Ends the tokens of a user, all or those for some purposes; returns how many were open.';
