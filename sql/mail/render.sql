-- What a mail says.  Tables: auth.mail_templates, auth.settings.  Callers: the sender of the server, the preview in psql:
-- both render here, so what is previewed is what is sent.
-- A placeholder is a name in doubled braces with a dot before it, as templates of Supabase have it.  This file is a template of
-- tern's itself, so the patterns spell the braces apart.

-- The secrets of a mail never come here.  p_token and p_code are marks in their place, which the server replaces.
create or replace function fluxbase.mail_variables(p_kind text, p_email text, p_new_email text, p_redirect_to text, p_token text, p_code text)
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_type text := case p_kind
    when 'confirmation' then 'signup' when 'recovery' then 'recovery' when 'magiclink' then 'magiclink' when 'invite' then 'invite'
    when 'email_change_current' then 'email_change' when 'email_change_new' then 'email_change' end;
  v_site text := nullif(auth.setting(p_key => 'site_url'), '');
  v_public text := nullif(auth.setting(p_key => 'public_url'), '');
  v_invitation text := coalesce(nullif(auth.setting(p_key => 'organization_invitation_url'), ''), v_site);
begin
  return jsonb_build_object('Email', p_email, 'SiteURL', v_site)
    || case when p_kind in ('email_change_current', 'email_change_new', 'email_changed') then jsonb_build_object('NewEmail', p_new_email) else '{}' end
    || case when p_kind in ('reauthentication') or v_type is not null then jsonb_build_object('Token', p_code) else '{}' end
    || case when v_type is not null then jsonb_build_object('TokenHash', p_token, 'RedirectTo', coalesce(p_redirect_to, v_site),
         'ConfirmationURL', v_public || '/auth/v1/verify?token=' || p_token || '&type=' || v_type
           || coalesce('&redirect_to=' || fluxbase.url_encode(p_text => coalesce(p_redirect_to, v_site)), ''))
       -- In the fragment, which no server sees: the application takes it from there, and opening the address uses nothing up.
       when p_kind = 'organization_invite' then jsonb_build_object('TokenHash', p_token,
         'ConfirmationURL', v_invitation || '#invitation_token=' || p_token)
       else '{}' end;
end $$;
revoke all on function fluxbase.mail_variables(text, text, text, text, text, text) from public;
comment on function fluxbase.mail_variables(text, text, text, text, text, text) is
  'What a mail of this kind may say; null for what the settings site_url and public_url would have to tell and do not.';

-- Names that users chose freely are none of these: whoever may write to strangers through us would write what they like.
-- A mail from before the release that added a fact is sent without it.
create or replace function fluxbase.mail_facts(p_kind text, p_facts jsonb)
returns jsonb language plpgsql immutable parallel safe security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return case p_kind
    when 'password_changed' then jsonb_build_object('APIKeys', coalesce(p_facts ->> 'api_keys', '0'),
                                                    'Providers', coalesce(nullif(p_facts ->> 'providers', ''), '-'))
    when 'organization_invite' then jsonb_build_object('Organization', p_facts ->> 'organization', 'Role', p_facts ->> 'role')
    else '{}' end;
end $$;
revoke all on function fluxbase.mail_facts(text, jsonb) from public;
comment on function fluxbase.mail_facts(text, jsonb) is 'What a mail of this kind says beside addresses and links, of the facts that the outbox has.';

create or replace function fluxbase.other_ways_in(p_user_id uuid)
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return jsonb_build_object(
    'api_keys', (select count(*) from auth.api_keys k
                 where k.user_id = p_user_id and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())),
    'providers', (select string_agg(distinct i.provider, ', ' order by i.provider) from auth.identities i
                  where i.user_id = p_user_id and i.provider not in ('email', 'phone')));
end $$;
revoke all on function fluxbase.other_ways_in(uuid) from public;
comment on function fluxbase.other_ways_in(uuid) is 'What a new password leaves as it is: how many keys work for the user, and which providers sign the user in.';

create or replace function fluxbase.url_encode(p_text text)
returns text language plpgsql immutable parallel safe security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select string_agg(case when b.code in (45, 46, 95, 126) or b.code between 48 and 57 or b.code between 65 and 90 or b.code between 97 and 122
                           then chr(b.code) else '%' || upper(lpad(to_hex(b.code), 2, '0')) end, '' order by b.place)
    from (select i as place, get_byte(convert_to(p_text, 'UTF8'), i) as code
          from generate_series(0, octet_length(convert_to(p_text, 'UTF8')) - 1) i) b);
end $$;
revoke all on function fluxbase.url_encode(text) from public;
comment on function fluxbase.url_encode(text) is 'Percent-encodes all but the unreserved characters (RFC 3986 section 2.3).';

create or replace function fluxbase.html_escape(p_text text)
returns text language sql immutable parallel safe security invoker
return replace(replace(replace(replace(replace(p_text, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&#34;'), '''', '&#39;');
revoke all on function fluxbase.html_escape(text) from public;
comment on function fluxbase.html_escape(text) is 'The text as it stands in HTML, between tags and in quoted attributes.';

-- One pass: what a value contains is never read as a placeholder.
create or replace function fluxbase.render_mail(p_template text, p_variables jsonb, p_html boolean)
returns text language plpgsql immutable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_parts text[] := regexp_split_to_array(p_template, '[{][{][ ]*[.][A-Za-z]+[ ]*[}][}]');
  v_names text[] := array(select m[1] from regexp_matches(p_template, '[{][{][ ]*[.]([A-Za-z]+)[ ]*[}][}]', 'g') m);
  v_text text := v_parts[1];
  v_value text;
begin
  if exists (select from unnest(v_parts) p where p ~ '[{][{]|[}][}]') then
    raise exception using errcode = '22023', message = 'the template has braces that are no placeholder',
      hint = 'a placeholder is the name of a variable with a dot before it, in doubled braces; there are no conditions and no functions';
  end if;
  for i in 1..coalesce(array_length(v_names, 1), 0) loop
    v_value := p_variables ->> v_names[i];
    if v_value is null then
      raise exception using errcode = '22023', message = format('the mail has no variable %s', v_names[i]),
        detail = format('it has %s', coalesce((select string_agg(k.key, ', ' order by k.key) from jsonb_each(p_variables) k where k.value <> 'null'), 'none')),
        hint = case when p_variables ? v_names[i] then 'auth.site_url and server.public_url of the server''s configuration tell what links begin with'
                    else 'auth.set_mail_template() stores another template' end;
    end if;
    v_text := v_text || case when p_html then fluxbase.html_escape(p_text => v_value) else v_value end || v_parts[i + 1];
  end loop;
  return v_text;
end $$;
revoke all on function fluxbase.render_mail(text, jsonb, boolean) from public;
comment on function fluxbase.render_mail(text, jsonb, boolean) is
  'A template with its variables, escaped for HTML or as they are; 22023 for a variable that is missing.';

-- Escaping holds between tags and in quoted attributes that are no link, style or script; a link is the whole attribute, so
-- that its beginning is ours.  Everywhere else a placeholder is refused, when the template is written.
create or replace function fluxbase.check_mail_html(p_html text)
returns void language plpgsql immutable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  c_piece constant text := '(<!--(?:[^-]|-[^-]|--[^>])*-->|<style[^>]*>(?:[^<]|<[^/])*</style>|<(?:[a-zA-Z/?]|!(?!--))(?:"[^"]*"|''[^'']*''|[^''">])*>)';
  c_value constant text := '"[^"]*"|''[^'']*''|[^[:space:]"''=<>`]+';
  c_attribute constant text := '[[:space:]]+([a-zA-Z_:@.-]+)(?:=(' || c_value || '))?';
  v_piece text;
  v_attribute text[];
begin
  if p_html ~* '<[/]?(script|iframe|object|embed|base|form|svg|math|template|textarea|title|xmp|noscript|noframes|noembed|plaintext)[^a-z]' then
    raise exception using errcode = '22023', message = 'the HTML of a mail has an element that mail programs do not show',
      hint = 'leave out script, iframe, object, embed, base, form, svg, math, template, textarea, title, xmp, noscript, noframes, noembed and plaintext';
  elsif regexp_replace(p_html, c_piece, '', 'gi') ~ '<[a-zA-Z/!?]' then
    raise exception using errcode = '22023', message = 'the HTML has a tag that does not end';
  end if;
  for v_piece in select m[1] from regexp_matches(p_html, c_piece, 'gi') m where m[1] ~ '[{][{]' loop
    if v_piece !~ ('^<[a-zA-Z][a-zA-Z0-9]*(?:' || replace(c_attribute, '(' || c_value || ')', '(?:' || c_value || ')') || ')*[[:space:]]*[/]?>$')
       or lower(left(v_piece, 6)) = '<style' then
      raise exception using errcode = '22023', message = 'the HTML has a placeholder where it cannot be escaped', detail = left(v_piece, 200);
    end if;
    for v_attribute in select m from regexp_matches(v_piece, c_attribute, 'g') m where m[2] ~ '[{][{]' loop
      if not (lower(v_attribute[1]) in ('href', 'src') and v_attribute[2] ~ '^"[{][{][ ]*[.](ConfirmationURL|SiteURL|RedirectTo)[ ]*[}][}]"$'
              or lower(v_attribute[1]) in ('alt', 'title') and v_attribute[2] ~ '^"') then
        raise exception using errcode = '22023', message = 'the HTML has a placeholder where it cannot be escaped',
          detail = left(v_attribute[1] || '=' || v_attribute[2], 200),
          hint = 'placeholders stand between tags, in alt="..." and title="...", and ConfirmationURL, SiteURL and RedirectTo alone in href="..." and src="..."';
      end if;
    end loop;
  end loop;
end $$;
revoke all on function fluxbase.check_mail_html(text) from public;
comment on function fluxbase.check_mail_html(text) is 'Raises 22023 when a placeholder stands where a value could become more than text.';

create or replace function fluxbase.mail_kinds()
returns text[] language sql immutable parallel safe security invoker
return array['confirmation', 'recovery', 'magiclink', 'invite', 'email_change_current', 'email_change_new', 'reauthentication',
             'email_changed', 'password_changed', 'mfa_reset', 'organization_invite'];
revoke all on function fluxbase.mail_kinds() from public;
comment on function fluxbase.mail_kinds() is 'The kinds of mail that there are.';

create or replace function auth.mail_templates_check()
returns trigger language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_sample jsonb := fluxbase.mail_variables(p_kind => new.kind, p_email => 'ann@example.com', p_new_email => 'new@example.com',
    p_redirect_to => 'https://example.com/', p_token => 'token', p_code => '123456')
    || fluxbase.mail_facts(p_kind => new.kind, p_facts => '{"organization": "acme", "role": "member"}')
    || jsonb_build_object('SiteURL', 'https://example.com');
begin
  if not new.kind = any (fluxbase.mail_kinds()) then
    raise exception using errcode = '22023', message = format('there is no mail of kind %L', new.kind),
      detail = array_to_string(fluxbase.mail_kinds(), ', ');
  end if;
  if v_sample ? 'ConfirmationURL' then
    v_sample := v_sample || jsonb_build_object('ConfirmationURL', 'https://example.com/verify');
  end if;
  perform fluxbase.render_mail(p_template => new.subject, p_variables => v_sample - array['TokenHash', 'ConfirmationURL', 'Token'], p_html => false),
          fluxbase.render_mail(p_template => new.text, p_variables => v_sample, p_html => false),
          fluxbase.render_mail(p_template => new.html, p_variables => v_sample, p_html => true),
          fluxbase.check_mail_html(p_html => new.html);
  new.updated_at := now();
  new.updated_by := session_user;
  return new;
end $$;
revoke all on function auth.mail_templates_check() from public;
comment on function auth.mail_templates_check() is
  'Trigger: a template says only what its kind of mail knows, its HTML holds what is put into it, and subjects, which logs show, no secret.';

-- ENABLE ALWAYS, because session_replication_role = replica skips ordinary triggers.
do $$
begin
  if not exists (select from pg_trigger g where g.tgrelid = 'auth.mail_templates'::regclass and g.tgname = 'mail_templates_check') then
    create trigger mail_templates_check before insert or update on auth.mail_templates
      for each row execute function auth.mail_templates_check();
    alter table auth.mail_templates enable always trigger mail_templates_check;
  end if;
end $$;

create or replace function fluxbase.mail_template(p_kind text, p_locale text)
returns auth.mail_templates language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_template auth.mail_templates;
  v_fallback text := auth.setting(p_key => 'mail_locale');
begin
  select t.* into v_template from auth.mail_templates t
  where t.kind = p_kind and t.locale in (p_locale, split_part(p_locale, '-', 1), v_fallback, split_part(v_fallback, '-', 1), 'en')
  order by array_position(array[p_locale, split_part(p_locale, '-', 1), v_fallback, split_part(v_fallback, '-', 1), 'en'], t.locale)
  limit 1;
  if not found then
    raise exception using errcode = 'P0002', message = format('there is no template for mails of kind %s', quote_nullable(p_kind)),
      detail = array_to_string(fluxbase.mail_kinds(), ', '), hint = 'auth.set_mail_template() stores one';
  end if;
  return v_template;
end $$;
revoke all on function fluxbase.mail_template(text, text) from public;
comment on function fluxbase.mail_template(text, text) is
  'The template of a kind of mail in this language, else in its main language, that of the setting mail_locale, or English.';
