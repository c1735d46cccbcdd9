-- Mails to send.  Tables: auth.mail_outbox, auth.one_time_tokens, auth.organization_invitations.  Callers: the owner's functions write, servers send.
-- Sending is three steps, each a transaction of its own: claim a batch, begin a mail, say how it ended.  A server that dies in
-- between loses its claim after a while, and another sends: a mail may come twice, under the same Message-ID, but never not at all.

create or replace function fluxbase.put_mail(
  p_kind text, p_recipient text, p_user_id uuid default null, p_token_id uuid default null, p_locale text default null,
  p_variables jsonb default '{}')
returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
  v_variables jsonb := coalesce(p_variables, '{}')
    || case p_kind when 'password_changed' then fluxbase.other_ways_in(p_user_id => p_user_id) else '{}' end;
begin
  insert into auth.mail_outbox (kind, locale, recipient, user_id, token_id, variables, status)
  values (p_kind, coalesce(p_locale, auth.setting(p_key => 'mail_locale')), p_recipient, p_user_id, p_token_id, v_variables,
          case when p_recipient is null then 'cancelled' else 'pending' end)
  returning id into v_id;
  perform pg_notify('fluxbase_mail', '');
  return v_id;
end $$;
revoke all on function fluxbase.put_mail(text, text, uuid, uuid, text, jsonb) from public;
comment on function fluxbase.put_mail(text, text, uuid, uuid, text, jsonb) is
  'Writes a mail to send when this transaction commits; without recipient, a row that only keeps the work the same.';

create or replace function fluxbase.mail_claim(p_limit integer)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_taken jsonb;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('auth.mail', 0)) then
    return jsonb_build_object('status', 'ok', 'result', '[]'::jsonb);
  end if;
  with due as (
    select m.id from auth.mail_outbox m
    where m.status in ('pending', 'sending') and m.next_attempt_at <= now()
    order by m.next_attempt_at, m.created_at limit p_limit for update skip locked
  ), taken as (
    update auth.mail_outbox m set status = 'sending', attempts = m.attempts + 1, next_attempt_at = now() + interval '5 minutes'
    from due where m.id = due.id returning m.id, coalesce(m.token_id, m.invitation_id) as token_id, m.recipient, m.created_at
  )
  select coalesce(jsonb_agg(jsonb_build_object(
      'id', k.id, 'token_id', k.token_id, 'code_subject', lower(coalesce(t.email, k.recipient))) order by k.created_at, k.id), '[]') into v_taken
  from taken k left join auth.one_time_tokens t on t.id = k.token_id;
  return jsonb_build_object('status', 'ok', 'result', v_taken);
end $$;
revoke all on function fluxbase.mail_claim(integer) from public;
grant execute on function fluxbase.mail_claim(integer) to fluxbase_server;
comment on function fluxbase.mail_claim(integer) is 'Takes mails that are due, for five minutes; none while another server is taking some.';

-- The marks are random, so that nothing in a template or an address can be one.
create or replace function fluxbase.mail_begin(p_id uuid, p_token_hash bytea, p_code_hash bytea)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_mail auth.mail_outbox;
  v_template auth.mail_templates;
  v_variables jsonb;
  v_token_mark text := 'FLUXBASETOKEN' || replace(gen_random_uuid()::text, '-', '');
  v_code_mark text := 'FLUXBASECODE' || replace(gen_random_uuid()::text, '-', '');
  v_message text;
  v_detail text;
begin
  -- Its invitation first, as whoever deletes the organization.
  perform from auth.organization_invitations i
  where i.id = (select m.invitation_id from auth.mail_outbox m where m.id = p_id) for no key update;
  select m.* into v_mail from auth.mail_outbox m where m.id = p_id and m.status = 'sending' for no key update;
  if not found then
    return jsonb_build_object('status', 'mail_not_found');
  end if;
  -- Some mails are about a token; it must still be worth sending.
  if v_mail.kind = 'organization_invite' then
    update auth.organization_invitations i set mail_token_hash = p_token_hash
    where i.id = v_mail.invitation_id and i.accepted_at is null and i.revoked_at is null and i.expires_at > now();
    if not found then
      update auth.mail_outbox m set status = 'cancelled', last_error = 'the invitation was accepted, revoked, superseded or has expired'
      where m.id = p_id;
      return jsonb_build_object('status', 'mail_not_found');
    end if;
  elsif v_mail.kind not in ('email_changed', 'password_changed', 'mfa_reset') then
    update auth.one_time_tokens t
    set token_hash = p_token_hash, code_hash = p_code_hash,
        user_id = coalesce(t.user_id, (
          select u.id from auth.users u where u.email_normalized = t.email_normalized
            and not exists (select from auth.one_time_tokens o where o.user_id = u.id and o.purpose = t.purpose and o.used_at is null)))
    where t.id = v_mail.token_id and t.used_at is null and t.expires_at > now()
    returning t.user_id into v_mail.user_id;
    if not found then
      update auth.mail_outbox m set status = 'cancelled', last_error = 'the token was used, superseded or has expired' where m.id = p_id;
      return jsonb_build_object('status', 'mail_not_found');
    end if;
    update auth.mail_outbox m set user_id = v_mail.user_id where m.id = p_id and m.user_id is distinct from v_mail.user_id;
  end if;
  begin
    v_template := fluxbase.mail_template(p_kind => v_mail.kind, p_locale => v_mail.locale);
    v_variables := fluxbase.mail_variables(p_kind => v_mail.kind, p_email => coalesce(v_mail.variables ->> 'email', v_mail.recipient),
      p_new_email => v_mail.variables ->> 'new_email', p_redirect_to => v_mail.variables ->> 'redirect_to',
      p_token => v_token_mark, p_code => v_code_mark) || fluxbase.mail_facts(p_kind => v_mail.kind, p_facts => v_mail.variables);
    return jsonb_build_object('status', 'ok', 'result', jsonb_build_object(
      'recipient', v_mail.recipient, 'kind', v_mail.kind, 'created_at', v_mail.created_at,
      'token_mark', v_token_mark, 'code_mark', v_code_mark,
      'subject', fluxbase.render_mail(p_template => v_template.subject, p_variables => v_variables, p_html => false),
      'text', fluxbase.render_mail(p_template => v_template.text, p_variables => v_variables, p_html => false),
      'html', fluxbase.render_mail(p_template => v_template.html, p_variables => v_variables, p_html => true)));
  exception when invalid_parameter_value or no_data_found then -- whoever mends template or settings gets it sent
    get stacked diagnostics v_message = message_text, v_detail = pg_exception_detail;
    return jsonb_build_object('status', 'mail_not_rendered', 'result', concat_ws('; ', v_message, nullif(v_detail, '')));
  end;
end $$;
revoke all on function fluxbase.mail_begin(uuid, bytea, bytea) from public;
grant execute on function fluxbase.mail_begin(uuid, bytea, bytea) to fluxbase_server;
comment on function fluxbase.mail_begin(uuid, bytea, bytea) is
  'Stores the hashes of a claimed mail''s token and renders it, with marks for token and code; mail_not_found when it is not to be sent any more, mail_not_rendered with the reason.';

create or replace function fluxbase.mail_finish(p_id uuid, p_error text, p_permanent boolean)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_mail auth.mail_outbox;
begin
  update auth.mail_outbox m
  set status = case when p_error is null then 'sent' when p_permanent or m.created_at < now() - interval '3 days' then 'failed' else 'pending' end,
      sent_at = case when p_error is null then now() end,
      last_error = left(p_error, 1000),
      next_attempt_at = now() + least(interval '5 seconds' * 2.0 ^ least(m.attempts - 1, 20), interval '30 minutes')
  where m.id = p_id and m.status = 'sending'
  returning m.* into v_mail;
  if not found then
    return jsonb_build_object('status', 'mail_not_found');
  elsif v_mail.status = 'sent' then
    update auth.users u
    set confirmation_sent_at = case v_mail.kind when 'confirmation' then now() else u.confirmation_sent_at end,
        recovery_sent_at = case when v_mail.kind in ('recovery', 'magiclink') then now() else u.recovery_sent_at end,
        email_change_sent_at = case when v_mail.kind in ('email_change_current', 'email_change_new') then now() else u.email_change_sent_at end,
        reauthentication_sent_at = case v_mail.kind when 'reauthentication' then now() else u.reauthentication_sent_at end
    where u.id = v_mail.user_id and v_mail.token_id is not null;
  elsif v_mail.status = 'failed' then
    perform audit.record(p_action => 'mail.failed', p_outcome => 'error', p_subject_id => v_mail.user_id,
      p_details => jsonb_build_object('id', p_id, 'kind', v_mail.kind, 'attempts', v_mail.attempts));
  end if;
  return jsonb_build_object('status', 'ok', 'result', v_mail.status);
end $$;
revoke all on function fluxbase.mail_finish(uuid, text, boolean) from public;
grant execute on function fluxbase.mail_finish(uuid, text, boolean) to fluxbase_server;
comment on function fluxbase.mail_finish(uuid, text, boolean) is
  'How sending ended: null is sent; otherwise it is tried again later, with growing delay for three days, or given up when no later try can help.';

create or replace function auth.mail_rows()
returns setof jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select to_jsonb(m) || jsonb_build_object('token_expires_at', coalesce(t.expires_at, i.expires_at))
    from auth.mail_outbox m left join auth.one_time_tokens t on t.id = m.token_id
    left join auth.organization_invitations i on i.id = m.invitation_id
    where m.recipient is not null order by m.created_at desc, m.id;
end $$;
revoke all on function auth.mail_rows() from public;
grant execute on function auth.mail_rows() to fluxbase_admin;
comment on function auth.mail_rows() is 'Mails as JSON; read them through auth.outbox.';

create or replace view auth.outbox with (security_invoker = true) as
  select (j ->> 'id')::uuid as id, j ->> 'kind' as kind, j ->> 'recipient' as recipient, j ->> 'status' as status,
         (j ->> 'attempts')::integer as attempts, (j ->> 'created_at')::timestamptz as created_at,
         (j ->> 'next_attempt_at')::timestamptz as next_attempt_at, (j ->> 'sent_at')::timestamptz as sent_at, j ->> 'last_error' as last_error,
         j ->> 'locale' as locale, (j ->> 'user_id')::uuid as user_id, (j ->> 'token_expires_at')::timestamptz as token_expires_at
  from auth.mail_rows() j;
revoke all on auth.outbox from public;
grant select on auth.outbox to fluxbase_admin;
comment on view auth.outbox is 'Mails, newest first: pending, sending, sent, failed or cancelled.';

create or replace function auth.retry_mail(p_id uuid)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update auth.mail_outbox m set status = 'pending', next_attempt_at = now(), last_error = null
  where m.id = p_id and m.status in ('pending', 'failed');
  if found then
    perform audit.record(p_action => 'mail.retried', p_details => jsonb_build_object('id', p_id)), pg_notify('fluxbase_mail', '');
    return true;
  end if;
  return false;
end $$;
revoke all on function auth.retry_mail(uuid) from public;
grant execute on function auth.retry_mail(uuid) to fluxbase_admin;
comment on function auth.retry_mail(uuid) is 'Sends a mail that waits or was given up, now; false for any other.';

create or replace function auth.cancel_mail(p_id uuid)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update auth.mail_outbox m set status = 'cancelled', last_error = 'cancelled by ' || session_user
  where m.id = p_id and m.status in ('pending', 'failed');
  if found then
    perform audit.record(p_action => 'mail.cancelled', p_details => jsonb_build_object('id', p_id));
    return true;
  end if;
  return false;
end $$;
revoke all on function auth.cancel_mail(uuid) from public;
grant execute on function auth.cancel_mail(uuid) to fluxbase_admin;
comment on function auth.cancel_mail(uuid) is 'Never sends a mail that waits or was given up; false for any other.';
