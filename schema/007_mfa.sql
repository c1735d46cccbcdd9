-- Second factors: what a user has enrolled, what is being asked, and the codes for the day the phone is lost.
create table auth.mfa_factors (
  id uuid not null,
  user_id uuid not null,
  friendly_name text,
  factor_type text not null,
  status text not null default 'unverified',
  secret text,
  last_step bigint not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  last_challenged_at timestamptz,
  constraint mfa_factors_id_pk primary key (id),
  constraint mfa_factors_user_id_fk foreign key (user_id) references auth.users (id) on delete cascade,
  constraint mfa_factors_friendly_name_ck check (length(friendly_name) between 1 and 100),
  constraint mfa_factors_factor_type_ck check (factor_type in ('totp', 'webauthn')),
  constraint mfa_factors_status_ck check (status in ('unverified', 'verified')),
  -- The form of package seal: a secret that anybody can read does not get in by mistake.
  constraint mfa_factors_secret_ck check (secret ~ '^v1\.[0-9a-f]{16}\.[A-Za-z0-9_-]{54,}$'),
  constraint mfa_factors_totp_secret_ck check (factor_type <> 'totp' or secret is not null)
);
create unique index mfa_factors_user_id_friendly_name_key on auth.mfa_factors (user_id, friendly_name);
comment on table auth.mfa_factors is 'Second factors of users. The secret is sealed by the server, bound to the id of its row.';
comment on column auth.mfa_factors.last_step is 'Time step of the last code that was accepted; a code of this or an earlier step is refused.';

create table auth.mfa_challenges (
  id uuid not null default gen_random_uuid(),
  factor_id uuid not null,
  session_id uuid not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  verified_at timestamptz,
  ip inet,
  constraint mfa_challenges_id_pk primary key (id),
  constraint mfa_challenges_factor_id_fk foreign key (factor_id) references auth.mfa_factors (id) on delete cascade,
  constraint mfa_challenges_session_id_fk foreign key (session_id) references auth.sessions (id) on delete cascade
);
create index mfa_challenges_factor_id_idx on auth.mfa_challenges (factor_id, created_at);
create index mfa_challenges_session_id_idx on auth.mfa_challenges (session_id);
create index mfa_challenges_expires_at_idx on auth.mfa_challenges (expires_at);
comment on table auth.mfa_challenges is 'Questions for a code: answered once, before they expire, by the session that asked.';

create table auth.recovery_codes (
  user_id uuid not null,
  code_hash bytea not null,
  created_at timestamptz not null default now(),
  used_at timestamptz,
  constraint recovery_codes_user_id_code_hash_pk primary key (user_id, code_hash),
  constraint recovery_codes_user_id_fk foreign key (user_id) references auth.users (id) on delete cascade,
  constraint recovery_codes_code_hash_ck check (length(code_hash) = 32)
);
comment on table auth.recovery_codes is 'Codes that stand in for a lost factor, hashed; each works once.';

alter table auth.sessions
  add column mfa_pending boolean not null default false,
  add column mfa_factor_id uuid;
comment on column auth.sessions.mfa_pending is 'True while a second factor is required and not shown: the session may enrol or verify one, see its user and log out.';
comment on column auth.sessions.mfa_factor_id is 'The factor that raised the session to aal2; removing it lowers the session.';

-- The counters of second factors are the same table with a scope of their own.
alter table auth.login_attempts drop constraint login_attempts_scope_ck;
alter table auth.login_attempts add constraint login_attempts_scope_ck check (scope ~ '^[a-z][a-z_]{0,39}$');
comment on table auth.login_attempts is 'Failed logins by account, by address and by pair, known accounts or not, and failed second factors by user; survives a crash.';

---- create above / drop below ----
--{{/*
\quit
--*/}}
delete from auth.login_attempts where scope not in ('account', 'address', 'pair');
alter table auth.login_attempts drop constraint login_attempts_scope_ck;
alter table auth.login_attempts add constraint login_attempts_scope_ck check (scope in ('account', 'address', 'pair'));
comment on table auth.login_attempts is 'Failed logins by account, by address and by pair, known accounts or not; survives a crash.';
alter table auth.sessions drop column mfa_factor_id, drop column mfa_pending;
drop table auth.recovery_codes;
drop table auth.mfa_challenges;
drop table auth.mfa_factors;
