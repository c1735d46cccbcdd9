-- People and how they prove who they are. Column names are those of Supabase Auth where it has them.
create table auth.users (
  id uuid not null default gen_random_uuid(),
  aud text not null default 'authenticated',
  role text not null default 'authenticated',
  email text,
  email_normalized text generated always as (lower(email)) stored,
  encrypted_password text,
  email_confirmed_at timestamptz,
  invited_at timestamptz,
  confirmation_sent_at timestamptz,
  recovery_sent_at timestamptz,
  email_change text,
  email_change_sent_at timestamptz,
  reauthentication_sent_at timestamptz,
  last_sign_in_at timestamptz,
  raw_app_meta_data jsonb not null default '{}',
  raw_user_meta_data jsonb not null default '{}',
  phone text,
  phone_confirmed_at timestamptz,
  password_changed_at timestamptz,
  banned_until timestamptz,
  is_anonymous boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint users_id_pk primary key (id),
  -- Printable ASCII, one at sign, a dot in the domain: look-alike letters and invisible characters stay out (RFC 5321 4.5.3.1 for the lengths).
  constraint users_email_ck check (
    email ~ '^[!#-''*+\-./0-9=?A-Z^_`a-z{|}~]{1,64}@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$'
    and length(email) <= 254),
  constraint users_encrypted_password_ck check (encrypted_password ~ '^\$2[aby]\$(0[4-9]|1[0-9]|2[0-9]|3[01])\$[./A-Za-z0-9]{53}$'),
  constraint users_role_ck check (role ~ '^[a-z_][a-z0-9_]{0,62}$' and role not in ('none', 'anon', 'service_role')),
  constraint users_app_meta_data_ck check (jsonb_typeof(raw_app_meta_data) = 'object'),
  constraint users_user_meta_data_ck check (jsonb_typeof(raw_user_meta_data) = 'object')
);
create unique index users_email_normalized_key on auth.users (email_normalized);
create index users_created_at_idx on auth.users (created_at);
comment on table auth.users is 'One row a person. A row that the table accepts can log in.';
comment on column auth.users.email is 'As typed; compared and unique through email_normalized.';
comment on column auth.users.encrypted_password is 'bcrypt ($2a$, $2b$, $2y$); null means no password login.';
comment on column auth.users.banned_until is 'Every session is refused until then; infinity for good.';

create table auth.identities (
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  provider text not null,
  provider_id text not null,
  identity_data jsonb not null default '{}',
  email text generated always as (lower(identity_data ->> 'email')) stored,
  last_sign_in_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint identities_id_pk primary key (id),
  constraint identities_provider_provider_id_key unique (provider, provider_id),
  constraint identities_user_id_fk foreign key (user_id) references auth.users (id) on delete cascade
);
create index identities_user_id_idx on auth.identities (user_id);
comment on table auth.identities is 'One row a way in: the e-mail address itself or an account at a provider.';

create table auth.one_time_tokens (
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  purpose text not null,
  token_hash bytea not null,
  relates_to text,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at timestamptz,
  constraint one_time_tokens_id_pk primary key (id),
  constraint one_time_tokens_token_hash_key unique (token_hash),
  constraint one_time_tokens_user_id_fk foreign key (user_id) references auth.users (id) on delete cascade,
  constraint one_time_tokens_token_hash_ck check (length(token_hash) = 32),
  constraint one_time_tokens_purpose_ck check (purpose in
    ('confirmation', 'recovery', 'magiclink', 'invite', 'email_change_current', 'email_change_new', 'reauthentication'))
);
create unique index one_time_tokens_user_id_purpose_key on auth.one_time_tokens (user_id, purpose) where used_at is null;
create index one_time_tokens_expires_at_idx on auth.one_time_tokens (expires_at);
comment on table auth.one_time_tokens is 'Mailed links and codes, hashed: one use, one purpose; the next supersedes the one before.';

-- subject is a hash for accounts: people type passwords into the field of the address.
create table auth.login_attempts (
  scope text not null,
  subject text not null,
  failures integer not null default 0,
  last_attempt_at timestamptz not null default now(),
  slowed_until timestamptz,
  constraint login_attempts_scope_subject_pk primary key (scope, subject),
  constraint login_attempts_scope_ck check (scope in ('account', 'address', 'pair'))
) with (fillfactor = 70);
create index login_attempts_last_attempt_at_idx on auth.login_attempts (last_attempt_at);
comment on table auth.login_attempts is 'Failed logins by account, by address and by pair, known accounts or not; survives a crash.';

create table auth.common_passwords (
  password text not null,
  constraint common_passwords_password_pk primary key (password),
  constraint common_passwords_password_ck check (password = lower(password))
);
comment on table auth.common_passwords is 'Passwords nobody may choose, in lower case; extend it as you like.';

---- create above / drop below ----
--{{/*
\quit
--*/}}
drop table auth.common_passwords;
drop table auth.login_attempts;
drop table auth.one_time_tokens;
drop table auth.identities;
drop table auth.users;
