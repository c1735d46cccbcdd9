-- The one way into audit.log for our own functions.  Tables: audit.log.  Caller: the owner's functions.

-- Definer: only the owner may insert.  Who and whence come from the signed context and never from a setting that a
-- caller could forge; without a context (psql, a trigger, the server before a login) the row says what it knows.
create or replace function audit.record(
  p_action text, p_outcome text default 'ok', p_subject_id uuid default null, p_details jsonb default null,
  p_user_id uuid default null, p_session_id uuid default null, p_record_key jsonb default null)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_context jsonb := auth.verified_context();
begin
  insert into audit.log (action, outcome, subject_id, details, record_key,
                         user_id, session_id, org_id, api_key_id, ip, request_id, actor_id, role)
  values (p_action, p_outcome, p_subject_id, p_details, p_record_key,
          coalesce(p_user_id, (v_context ->> 1)::uuid), coalesce(p_session_id, (v_context ->> 2)::uuid),
          (v_context ->> 3)::uuid, (v_context ->> 6)::uuid, (v_context ->> 7)::inet, v_context ->> 8,
          (v_context ->> 9)::uuid, coalesce(nullif(current_setting('role', true), 'none'), session_user));
end $$;
revoke all on function audit.record(text, text, uuid, jsonb, uuid, uuid, jsonb) from public;
comment on function audit.record(text, text, uuid, jsonb, uuid, uuid, jsonb) is
  'Writes one row to audit.log with the user, session, address and request of the signed context.';
