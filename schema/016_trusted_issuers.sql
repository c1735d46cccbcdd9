-- Issuers of tokens other than ours, whom the configuration trusts for the data API.  How their signatures are checked is
-- with the servers; what their tokens may do is here, where every request looks.
create table auth.trusted_issuers (
  id uuid not null default gen_random_uuid(),
  name text not null,
  issuer text,
  allowed_roles text[] not null default '{}',
  subject_is_user boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  disabled_at timestamptz,
  disabled_reason text,
  constraint trusted_issuers_id_pk primary key (id),
  constraint trusted_issuers_name_key unique (name),
  constraint trusted_issuers_name_ck check (name ~ '^[a-z][a-z0-9_-]{0,62}$'),
  constraint trusted_issuers_allowed_roles_ck check (array_position(allowed_roles, null) is null and not 'service_role' = any (allowed_roles)),
  constraint trusted_issuers_disabled_ck check ((disabled_at is null) = (disabled_reason is null))
);
create unique index trusted_issuers_issuer_key on auth.trusted_issuers (coalesce(issuer, ''));
comment on table auth.trusted_issuers is 'Whose tokens the data API accepts besides ours, as the configuration names them.';
comment on column auth.trusted_issuers.issuer is 'Claim iss of its tokens; null for tokens without one.';
comment on column auth.trusted_issuers.allowed_roles is 'Roles that its tokens may ask for; empty for all that requests may run as.';
comment on column auth.trusted_issuers.subject_is_user is 'Whether the claim sub, when it is a uuid, is the id of a user here.';

---- create above / drop below ----
--{{/*
\quit
--*/}}
drop table auth.trusted_issuers;
