-- Sign-ins that leave the program that began them and come back to it by a browser (RFC 7636), and who may sign up.
create table auth.flow_states (
  id uuid not null default gen_random_uuid(),
  purpose text not null,
  code_challenge text not null,
  user_id uuid,
  authentication_method text,
  auth_code_hash bytea,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  auth_code_expires_at timestamptz,
  used_at timestamptz,
  constraint flow_states_id_pk primary key (id),
  constraint flow_states_auth_code_hash_key unique (auth_code_hash),
  constraint flow_states_user_id_fk foreign key (user_id) references auth.users (id) on delete cascade,
  constraint flow_states_purpose_ck check (purpose ~ '^[a-z][a-z_]{0,39}$'),
  constraint flow_states_code_challenge_ck check (code_challenge ~ '^[A-Za-z0-9_-]{43}$'),
  constraint flow_states_auth_code_hash_ck check (length(auth_code_hash) = 32),
  constraint flow_states_issued_ck check (
    (auth_code_hash is null) = (user_id is null) and (auth_code_hash is null) = (auth_code_expires_at is null)
    and (auth_code_hash is null) = (authentication_method is null)),
  constraint flow_states_used_ck check (used_at is null or auth_code_hash is not null)
);
create index flow_states_user_id_idx on auth.flow_states (user_id) where user_id is not null;
create index flow_states_expires_at_idx on auth.flow_states (expires_at);
comment on table auth.flow_states is 'One row a sign-in with a code challenge: gets one code, hashed, which is exchanged once, by whoever has the verifier.';
comment on column auth.flow_states.code_challenge is 'base64url of the SHA-256 of the verifier, also for the method plain.';

create table auth.signup_rules (
  id integer generated always as identity,
  kind text not null,
  domain text,
  created_at timestamptz not null default now(),
  created_by text not null default session_user,
  constraint signup_rules_id_pk primary key (id),
  constraint signup_rules_kind_ck check (kind in ('closed', 'invitation_only', 'allow_domain', 'deny_domain')),
  constraint signup_rules_domain_ck check ((kind in ('allow_domain', 'deny_domain')) = (domain is not null)),
  constraint signup_rules_domain_form_ck check (domain ~ '^([*]\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$'),
  constraint signup_rules_kind_domain_key unique nulls not distinct (kind, domain)
);
comment on table auth.signup_rules is 'Who may become a user without an administrator; without a row, everybody.';

---- create above / drop below ----
--{{/*
\quit
--*/}}
drop table auth.signup_rules;
drop table auth.flow_states;
