-- Mail: what it says, what is to be sent, and the links and codes in it.
create table auth.mail_templates (
  kind text not null,
  locale text not null default 'en',
  subject text not null,
  text text not null,
  html text not null,
  is_default boolean not null default false,
  updated_at timestamptz not null default now(),
  updated_by text not null default session_user,
  constraint mail_templates_kind_locale_pk primary key (kind, locale),
  constraint mail_templates_locale_ck check (locale ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
  constraint mail_templates_subject_ck check (subject <> '' and length(subject) <= 200 and subject !~ '[[:cntrl:]]')
);
comment on table auth.mail_templates is 'What mails say, by kind and language; variables are checked when a row is written.';
comment on column auth.mail_templates.is_default is 'True for what came with the installation: upgrades replace it. False once somebody has changed it.';

-- A token may belong to an address that has no user yet: the user is made when the token comes back.
alter table auth.one_time_tokens
  alter column user_id drop not null,
  alter column token_hash drop not null,
  add column email text,
  add column email_normalized text generated always as (lower(email)) stored,
  add column code_hash bytea,
  add column data jsonb,
  add column flow_id uuid,
  add constraint one_time_tokens_code_hash_ck check (length(code_hash) = 32),
  add constraint one_time_tokens_data_ck check (jsonb_typeof(data) = 'object'),
  add constraint one_time_tokens_flow_id_fk foreign key (flow_id) references auth.flow_states (id) on delete cascade;
create unique index one_time_tokens_email_purpose_key on auth.one_time_tokens (email_normalized, purpose)
  where used_at is null and user_id is null;
create index one_time_tokens_code_hash_idx on auth.one_time_tokens (code_hash) where used_at is null and code_hash is not null;
create index one_time_tokens_flow_id_idx on auth.one_time_tokens (flow_id) where flow_id is not null;
comment on column auth.one_time_tokens.email is 'Where it was mailed to; null for what only keeps requests for unknown addresses alike.';
comment on column auth.one_time_tokens.token_hash is 'SHA-256 of the link''s token; null until a server sends the mail.';
comment on column auth.one_time_tokens.code_hash is 'HMAC of the code with a key of the server: six digits could be searched otherwise.';
comment on column auth.one_time_tokens.data is 'Metadata of the user who is made when the token comes back.';

create table auth.mail_outbox (
  id uuid not null default gen_random_uuid(),
  kind text not null,
  locale text not null,
  recipient text,
  user_id uuid,
  token_id uuid,
  variables jsonb not null default '{}',
  status text not null default 'pending',
  attempts integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  sent_at timestamptz,
  last_error text,
  constraint mail_outbox_id_pk primary key (id),
  constraint mail_outbox_user_id_fk foreign key (user_id) references auth.users (id) on delete cascade,
  constraint mail_outbox_token_id_fk foreign key (token_id) references auth.one_time_tokens (id) on delete set null,
  constraint mail_outbox_status_ck check (status in ('pending', 'sending', 'sent', 'failed', 'cancelled')),
  constraint mail_outbox_recipient_ck check (recipient is not null or status = 'cancelled'),
  constraint mail_outbox_sent_at_ck check ((status = 'sent') = (sent_at is not null))
);
create index mail_outbox_next_attempt_at_idx on auth.mail_outbox (next_attempt_at) where status in ('pending', 'sending');
create index mail_outbox_created_at_idx on auth.mail_outbox (created_at);
create index mail_outbox_user_id_idx on auth.mail_outbox (user_id) where user_id is not null;
create index mail_outbox_token_id_idx on auth.mail_outbox (token_id) where token_id is not null;
comment on table auth.mail_outbox is 'Mails to send, written in the transaction that wants them: none is lost, and none is sent for what was rolled back.';
comment on column auth.mail_outbox.next_attempt_at is 'When it is sent, or, while it is being sent, when another server takes over.';
comment on column auth.mail_outbox.variables is 'What the template may say beside the address and the links; never a secret.';

comment on column auth.users.email_proven_at is
  'When the address was proven, by a mailed link or code, or by an administrator who vouched for it; null after automatic confirmation and after a change of the address.';

---- create above / drop below ----
--{{/*
\quit
--*/}}
comment on column auth.users.email_proven_at is
  'When an administrator vouched for this address; null after automatic confirmation and after a change of the address.';
drop table auth.mail_outbox;
delete from auth.one_time_tokens where user_id is null or token_hash is null;
drop index auth.one_time_tokens_code_hash_idx;
drop index auth.one_time_tokens_email_purpose_key;
alter table auth.one_time_tokens
  drop column flow_id, drop column data, drop column code_hash, drop column email_normalized, drop column email,
  alter column token_hash set not null,
  alter column user_id set not null;
comment on column auth.one_time_tokens.token_hash is null;
drop table auth.mail_templates;
