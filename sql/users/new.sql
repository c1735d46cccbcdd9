-- Where every user is made, and who may become one.  Tables: auth.users, auth.signup_rules, auth.organization_invitations.
-- Callers: every way in that makes users, as p_via: signup, otp, oauth, anonymous; invitation and admin are acts of
-- administrators, whom no rule binds.

create or replace function fluxbase.check_signup(p_email text, p_via text)
returns text language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_domain text := lower(substr(p_email, position('@' in p_email) + 1));
begin
  if p_via in ('admin', 'invitation') then
    return 'ok';
  elsif not auth.setting(p_key => 'signup_enabled')::boolean
        or exists (select from auth.signup_rules r where r.kind = 'closed') then
    return 'signup_disabled';
  elsif exists (select from auth.signup_rules r where r.kind = 'invitation_only')
        and not exists (select from auth.organization_invitations i
                        where i.email_normalized = lower(p_email) and i.accepted_at is null and i.revoked_at is null and i.expires_at > now()) then
    return 'signup_not_invited';
  elsif exists (select from auth.signup_rules r where r.kind = 'deny_domain' and fluxbase.in_domain(p_name => v_domain, p_domain => r.domain))
        or exists (select from auth.signup_rules r where r.kind = 'allow_domain')
           and not exists (select from auth.signup_rules r
                           where r.kind = 'allow_domain' and fluxbase.in_domain(p_name => v_domain, p_domain => r.domain)) then
    return 'email_address_not_authorized';
  end if;
  return 'ok';
end $$;
revoke all on function fluxbase.check_signup(text, text) from public;
comment on function fluxbase.check_signup(text, text) is
  'Whether an address may become a user in this way: ok, signup_disabled, signup_not_invited or email_address_not_authorized; without an address, who may be anybody.';

create or replace function fluxbase.in_domain(p_name text, p_domain text)
returns boolean language plpgsql immutable parallel safe security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(case when starts_with(p_domain, '*.') then right(p_name, length(p_domain) - 1) = substr(p_domain, 2)
                       else p_name = p_domain end, false);
end $$;
revoke all on function fluxbase.in_domain(text, text) from public;
comment on function fluxbase.in_domain(text, text) is 'True when a host name is the domain, or, for *.example.com, anything below it.';

-- What p_user leaves null gets the default of the column.
create or replace function fluxbase.new_user(p_user auth.users, p_via text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.check_signup(p_email => p_user.email, p_via => p_via);
  v_user auth.users;
  v_constraint text;
begin
  if v_status <> 'ok' then
    perform audit.record(p_action => 'signup', p_outcome => 'denied',
      p_details => jsonb_build_object('via', p_via, 'reason', v_status));
    return jsonb_build_object('status', v_status);
  end if;
  insert into auth.users (id, role, email, encrypted_password, email_confirmed_at, email_proven_at, invited_at, confirmation_sent_at,
                          raw_app_meta_data, raw_user_meta_data, password_changed_at, banned_until, is_anonymous)
  values (coalesce(p_user.id, gen_random_uuid()), coalesce(p_user.role, 'authenticated'), p_user.email, p_user.encrypted_password,
          p_user.email_confirmed_at, p_user.email_proven_at, p_user.invited_at, p_user.confirmation_sent_at,
          coalesce(p_user.raw_app_meta_data, '{}'), coalesce(p_user.raw_user_meta_data, '{}'),
          case when p_user.encrypted_password is not null then now() end, p_user.banned_until, coalesce(p_user.is_anonymous, false))
  returning * into v_user;
  return jsonb_build_object('status', 'ok', 'user_id', v_user.id);
exception
  when unique_violation then
    return jsonb_build_object('status', 'user_already_exists');
  when check_violation then
    get stacked diagnostics v_constraint = constraint_name;
    return jsonb_build_object('status', 'validation_failed', 'constraint', v_constraint);
end $$;
revoke all on function fluxbase.new_user(auth.users, text) from public;
comment on function fluxbase.new_user(auth.users, text) is
  'The only place where users are made: asks the rules, then stores the row; ok with user_id, user_already_exists, validation_failed with the constraint, or what check_signup() says.';

create or replace function auth.add_signup_rule(p_kind text, p_domain text default null)
returns integer language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id integer;
begin
  insert into auth.signup_rules (kind, domain) values (p_kind, lower(p_domain)) returning id into v_id;
  perform audit.record(p_action => 'signup_rule.added', p_details => jsonb_build_object('id', v_id, 'kind', p_kind, 'domain', lower(p_domain)));
  return v_id;
exception
  when unique_violation then
    raise exception using errcode = '23505', message = 'this rule exists already', hint = 'auth.admin_signup_rules lists them';
  when check_violation or not_null_violation then
    raise exception using errcode = '22023', message = 'this is no rule for sign-ups',
      detail = format('kind %s, domain %s', quote_nullable(p_kind), quote_nullable(p_domain)),
      hint = 'closed and invitation_only have no domain; allow_domain and deny_domain have one: example.com, or *.example.com for what is below';
end $$;
revoke all on function auth.add_signup_rule(text, text) from public;
grant execute on function auth.add_signup_rule(text, text) to fluxbase_admin;
comment on function auth.add_signup_rule(text, text) is 'Adds a rule: closed, invitation_only, or allow_domain and deny_domain with a domain; returns its id.';

create or replace function auth.remove_signup_rule(p_id integer)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  delete from auth.signup_rules r where r.id = p_id;
  if found then
    perform audit.record(p_action => 'signup_rule.removed', p_details => jsonb_build_object('id', p_id));
    return true;
  end if;
  return false;
end $$;
revoke all on function auth.remove_signup_rule(integer) from public;
grant execute on function auth.remove_signup_rule(integer) to fluxbase_admin;
comment on function auth.remove_signup_rule(integer) is 'Removes a rule; false when there is none with this id.';

create or replace function auth.signup_rule_rows()
returns setof jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query select to_jsonb(r) from auth.signup_rules r order by r.id;
end $$;
revoke all on function auth.signup_rule_rows() from public;
grant execute on function auth.signup_rule_rows() to fluxbase_admin;
comment on function auth.signup_rule_rows() is 'Rules for sign-ups as JSON; read them through auth.admin_signup_rules.';

create or replace view auth.admin_signup_rules with (security_invoker = true) as
  select (j ->> 'id')::integer as id, j ->> 'kind' as kind, j ->> 'domain' as domain,
         (j ->> 'created_at')::timestamptz as created_at, j ->> 'created_by' as created_by
  from auth.signup_rule_rows() j;
revoke all on auth.admin_signup_rules from public;
grant select on auth.admin_signup_rules to fluxbase_admin;
comment on view auth.admin_signup_rules is 'Who may sign up; without a row, everybody while the setting signup_enabled is true.';

create or replace function auth.may_sign_up(p_email text, p_via text default 'signup')
returns text language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return fluxbase.check_signup(p_email => p_email, p_via => p_via);
end $$;
revoke all on function auth.may_sign_up(text, text) from public;
grant execute on function auth.may_sign_up(text, text) to fluxbase_admin;
comment on function auth.may_sign_up(text, text) is 'What the rules say of an address: ok, signup_disabled, signup_not_invited or email_address_not_authorized.';
