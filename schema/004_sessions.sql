-- Sessions and their tokens. The session row says everything the gate must know of a token.
create table auth.sessions (
  id uuid not null default gen_random_uuid(),
  user_id uuid not null,
  aal text not null default 'aal1',
  amr jsonb not null default '[]',
  org_id uuid,
  generation bigint not null default 1,
  created_at timestamptz not null default now(),
  refreshed_at timestamptz not null default now(),
  expires_at timestamptz not null,
  revoked_at timestamptz,
  revoked_reason text,
  blocked_until timestamptz,
  has_denied_tokens boolean not null default false,
  ip inet,
  user_agent text,
  constraint sessions_id_pk primary key (id),
  constraint sessions_user_id_fk foreign key (user_id) references auth.users (id) on delete cascade,
  constraint sessions_org_id_fk foreign key (org_id) references auth.organizations (id) on delete set null,
  constraint sessions_aal_ck check (aal in ('aal1', 'aal2', 'aal3')),
  constraint sessions_generation_ck check (generation >= 1),
  constraint sessions_revoked_ck check ((revoked_at is null) = (revoked_reason is null))
) with (fillfactor = 70);
-- No index on what a refresh writes (expires_at, generation): its update then touches the heap page only.
create index sessions_user_id_idx on auth.sessions (user_id);
create index sessions_org_id_idx on auth.sessions (org_id) where org_id is not null;
comment on table auth.sessions is 'One row a login. Alive: not revoked, not expired, not blocked.';
comment on column auth.sessions.generation is 'Number of the refresh token that is current.';
comment on column auth.sessions.blocked_until is 'Copy of auth.users.banned_until, kept by trigger, so that the gate reads one row.';
comment on column auth.sessions.has_denied_tokens is 'True when auth.token_blacklist names a token of this session; only then does the gate read that table.';

create table auth.refresh_tokens (
  session_id uuid not null,
  generation bigint not null,
  token_hash bytea not null,
  jti uuid not null,
  issued_at timestamptz not null default now(),
  used_at timestamptz,
  constraint refresh_tokens_session_id_generation_pk primary key (session_id, generation),
  constraint refresh_tokens_session_id_fk foreign key (session_id) references auth.sessions (id) on delete cascade,
  constraint refresh_tokens_token_hash_ck check (length(token_hash) = 32)
) with (fillfactor = 90);
comment on table auth.refresh_tokens is 'One row a refresh token, hashed; jti is the access token given out with it.';

create table auth.token_blacklist (
  jti uuid not null,
  session_id uuid,
  user_id uuid,
  expires_at timestamptz not null,
  reason text not null default 'revoked',
  created_at timestamptz not null default now(),
  constraint token_blacklist_jti_pk primary key (jti)
);
create index token_blacklist_expires_at_idx on auth.token_blacklist (expires_at);
comment on table auth.token_blacklist is 'Access tokens refused before they expire, by their jti.';

---- create above / drop below ----
--{{/*
\quit
--*/}}
drop table auth.token_blacklist;
drop table auth.refresh_tokens;
drop table auth.sessions;
