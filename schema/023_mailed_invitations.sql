-- Invitations into organizations that are mailed: a token of their own, and who may be mailed how often.
alter table auth.organization_invitations
  add column mail_token_hash bytea,
  add constraint organization_invitations_mail_token_hash_key unique (mail_token_hash),
  add constraint organization_invitations_mail_token_hash_ck check (length(mail_token_hash) = 32);
comment on column auth.organization_invitations.mail_token_hash is 'SHA-256 of the token in the mail; null until a server sends one.';

alter table auth.mail_outbox
  add column invitation_id uuid,
  add constraint mail_outbox_invitation_id_fk foreign key (invitation_id) references auth.organization_invitations (id) on delete set null;
create index mail_outbox_invitation_id_idx on auth.mail_outbox (invitation_id) where invitation_id is not null;

-- No request has this path: fluxbase.count_invitation_mail() asks for these rules itself, whether rate limits are enabled or not.
insert into ratelimit.rules (name, scope, path, max_requests, window_seconds, durable, source) values
  ('invitations by a user', 'user', '/mail/organization_invite', 50, 86400, true, 'default'),
  ('invitations of an organization', 'org', '/mail/organization_invite', 200, 86400, true, 'default')
on conflict (name) do nothing;

---- create above / drop below ----
--{{/*
\quit
--*/}}
delete from ratelimit.rules where source = 'default' and path = '/mail/organization_invite';
delete from auth.mail_outbox where kind = 'organization_invite';
delete from auth.mail_templates where kind = 'organization_invite';
alter table auth.mail_outbox drop column invitation_id;
alter table auth.organization_invitations drop column mail_token_hash;
