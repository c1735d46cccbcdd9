-- The templates in psql.  Tables: auth.mail_templates.  Caller: fluxbase_admin.
-- Definer: the administrator has no right on the table.

create or replace function auth.set_mail_template(p_kind text, p_subject text, p_text text, p_html text, p_locale text default 'en')
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if num_nulls(p_kind, p_subject, p_text, p_html, p_locale) > 0 then
    raise exception using errcode = '22004', message = 'a template has a kind, a subject, a text, HTML and a language',
      hint = 'auth.admin_mail_templates lists those of the installation';
  end if;
  insert into auth.mail_templates as t (kind, locale, subject, text, html) values (p_kind, p_locale, p_subject, p_text, p_html)
  on conflict (kind, locale) do update set subject = excluded.subject, text = excluded.text, html = excluded.html, is_default = false;
  perform audit.record(p_action => 'mail_template.set', p_details => jsonb_build_object('kind', p_kind, 'locale', p_locale));
end $$;
revoke all on function auth.set_mail_template(text, text, text, text, text) from public;
grant execute on function auth.set_mail_template(text, text, text, text, text) to fluxbase_admin;
comment on function auth.set_mail_template(text, text, text, text, text) is
  'Stores what mails of a kind say in a language; refused when it names a variable that such a mail does not have.';

create or replace function auth.reset_mail_template(p_kind text, p_locale text default 'en')
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_found boolean;
begin
  delete from auth.mail_templates t where t.kind = p_kind and t.locale = p_locale and not t.is_default;
  v_found := found;
  if v_found then
    perform fluxbase.put_default_mail_templates(),
            audit.record(p_action => 'mail_template.reset', p_details => jsonb_build_object('kind', p_kind, 'locale', p_locale));
  end if;
  return v_found;
end $$;
revoke all on function auth.reset_mail_template(text, text) from public;
grant execute on function auth.reset_mail_template(text, text) to fluxbase_admin;
comment on function auth.reset_mail_template(text, text) is
  'Forgets a template that was set, so that the one of the installation holds again, or none; false when none was set.';

create or replace function auth.mail_template_rows()
returns setof jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query select to_jsonb(t) from auth.mail_templates t order by t.kind, t.locale;
end $$;
revoke all on function auth.mail_template_rows() from public;
grant execute on function auth.mail_template_rows() to fluxbase_admin;
comment on function auth.mail_template_rows() is 'Templates as JSON; read them through auth.admin_mail_templates.';

create or replace view auth.admin_mail_templates with (security_invoker = true) as
  select j ->> 'kind' as kind, j ->> 'locale' as locale, j ->> 'subject' as subject, j ->> 'text' as text, j ->> 'html' as html,
         (j ->> 'is_default')::boolean as is_default, (j ->> 'updated_at')::timestamptz as updated_at, j ->> 'updated_by' as updated_by
  from auth.mail_template_rows() j;
revoke all on auth.admin_mail_templates from public;
grant select on auth.admin_mail_templates to fluxbase_admin;
comment on view auth.admin_mail_templates is 'What mails say, by kind and language.';

-- The same functions as for a mail that is sent; only the token and the code are examples.
create or replace function auth.preview_mail(p_kind text, p_email text, p_locale text default null)
returns table (subject text, body text, html text) language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
  v_template auth.mail_templates;
  v_variables jsonb;
begin
  select u.* into v_user from auth.users u where u.email_normalized = lower(p_email);
  v_template := fluxbase.mail_template(p_kind => p_kind, p_locale => coalesce(p_locale, fluxbase.mail_locale(p_data => v_user.raw_user_meta_data)));
  v_variables := fluxbase.mail_variables(p_kind => p_kind, p_email => coalesce(v_user.email, p_email),
    p_new_email => coalesce(v_user.email_change, 'new@example.com'), p_redirect_to => null,
    p_token => 'EXAMPLE_of_a_token_that_is_43_characters_or', p_code => '123456')
    || fluxbase.mail_facts(p_kind => p_kind, p_facts => '{"organization": "acme", "role": "member"}' || fluxbase.other_ways_in(p_user_id => v_user.id));
  subject := fluxbase.render_mail(p_template => v_template.subject, p_variables => v_variables, p_html => false);
  body := fluxbase.render_mail(p_template => v_template.text, p_variables => v_variables, p_html => false);
  html := fluxbase.render_mail(p_template => v_template.html, p_variables => v_variables, p_html => true);
  return next;
end $$;
revoke all on function auth.preview_mail(text, text, text) from public;
grant execute on function auth.preview_mail(text, text, text) to fluxbase_admin;
comment on function auth.preview_mail(text, text, text) is 'A mail as it would be sent to this address, with an example of token and code; nothing is sent.';

create or replace function fluxbase.mail_locale(p_data jsonb)
returns text language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_locale text := p_data ->> 'locale';
begin
  return case when v_locale ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$' and length(v_locale) <= 35 then v_locale else auth.setting(p_key => 'mail_locale') end;
end $$;
revoke all on function fluxbase.mail_locale(jsonb) from public;
comment on function fluxbase.mail_locale(jsonb) is 'The language in which a user with this metadata is written to: its member locale, else the setting mail_locale.';
