-- What mails say until somebody says otherwise.  Tables: auth.mail_templates.  Caller: the installation, auth.reset_mail_template.
-- [Name] stands for a placeholder: this file is a template of tern's itself and must not have doubled braces.

create or replace function fluxbase.put_default_mail_templates()
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_mail record;
  v_link text;
  c_placeholder constant text := '{' || '{ .\1 }' || '}';
begin
  for v_mail in
    select * from (values
      ('confirmation', 'Confirm your e-mail address', 'Confirm that [Email] is your address to finish signing up.',
        'Confirm address', true, 'If you did not sign up, ignore this mail: nothing happens then.'),
      ('recovery', 'Reset your password', 'Somebody, hopefully you, asked to reset the password of [Email].',
        'Reset password', true, 'If it was not you, ignore this mail: the password stays as it is.'),
      ('magiclink', 'Your link to sign in', 'Here is the link to sign in as [Email].',
        'Sign in', true, 'If you did not ask for it, ignore this mail: nobody is signed in without it.'),
      ('invite', 'You have been invited', 'You have been invited to [SiteURL] as [Email].',
        'Accept the invitation', true, 'If you do not know what this is about, ignore this mail.'),
      ('email_change_current', 'Confirm the change of your address', 'Confirm that the address of your account shall change from [Email] to [NewEmail].',
        'Confirm the change', true, 'If you did not ask for it, do not confirm, and change your password: somebody is signed in as you.'),
      ('email_change_new', 'Confirm your new address', 'Confirm that [NewEmail] is the new address of your account.',
        'Confirm address', true, 'If you did not ask for it, ignore this mail.'),
      ('reauthentication', 'Your code', 'Enter this code to confirm that it is you.',
        null, true, 'If you did not ask for it, change your password: somebody is signed in as you.'),
      ('email_changed', 'The address of your account has changed', 'The address of your account has changed from [Email] to [NewEmail].',
        null, false, 'If it was not you, tell whoever runs [SiteURL] at once.'),
      ('organization_invite', 'You have been invited to an organization',
        'You have been invited to join the organization [Organization] at [SiteURL] as [Role]. Sign in there, or sign up as [Email], to accept.',
        'Accept the invitation', false, 'If you do not know what this is about, ignore this mail: nothing happens then.'),
      ('password_changed', 'Your password has changed',
        'The password of your account [Email] has changed. API keys (in use: [APIKeys]) and sign-in with other accounts ([Providers]) go on working as before.',
        null, false, 'If it was not you, reset it at once.'),
      ('mfa_reset', 'Your second factors were removed', 'An administrator has removed every second factor of your account [Email].',
        null, false, 'If you did not ask for it, tell whoever runs [SiteURL] at once.')
    ) m (kind, subject, says, action, has_code, warning)
  loop
    v_link := case when v_mail.action is not null then E'[ConfirmationURL]\n\n' else '' end;
    insert into auth.mail_templates as t (kind, locale, subject, text, html, is_default)
    values (v_mail.kind, 'en', v_mail.subject,
      regexp_replace(
        v_mail.says || E'\n\n' || v_link
        || case when v_mail.has_code and v_mail.action is null then E'[Token]\n\n' when v_mail.has_code then E'Or enter this code: [Token]\n\n' else '' end
        || v_mail.warning || E'\n', '\[([A-Za-z]+)\]', c_placeholder, 'g'),
      regexp_replace(
        '<!doctype html><html lang="en"><body><p>' || v_mail.says || E'</p>\n'
        || coalesce('<p><a href="[ConfirmationURL]">' || v_mail.action || E'</a></p>\n', '')
        || case when v_mail.has_code and v_mail.action is null then E'<p><strong>[Token]</strong></p>\n'
                when v_mail.has_code then E'<p>Or enter this code: <strong>[Token]</strong></p>\n' else '' end
        || '<p>' || v_mail.warning || '</p></body></html>', '\[([A-Za-z]+)\]', c_placeholder, 'g'), true)
    on conflict (kind, locale) do update set subject = excluded.subject, text = excluded.text, html = excluded.html, is_default = true
    where t.is_default and (t.subject, t.text, t.html) is distinct from (excluded.subject, excluded.text, excluded.html);
  end loop;
end $$;
revoke all on function fluxbase.put_default_mail_templates() from public;
comment on function fluxbase.put_default_mail_templates() is 'Stores the templates of the installation where nobody has set others.';

select fluxbase.put_default_mail_templates();
