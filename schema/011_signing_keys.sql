-- Keys that sign access tokens.  One row stands for the secret in the environment of the servers, which signs by default.
create table auth.signing_keys (
  id uuid not null default gen_random_uuid(),
  algorithm text not null,
  overlap interval not null,
  requested_at timestamptz not null default now(),
  requested_by text not null default session_user,
  published_at timestamptz,
  signs_from timestamptz,
  verifies_until timestamptz,
  public_jwk jsonb,
  private_key text,
  constraint signing_keys_id_pk primary key (id),
  constraint signing_keys_algorithm_ck check (algorithm in ('HS256', 'ES256', 'EdDSA')),
  constraint signing_keys_overlap_ck check (overlap >= interval '0'),
  constraint signing_keys_published_ck check ((published_at is null) = (signs_from is null) and (published_at is not null or verifies_until is null)),
  -- A pair has both halves as soon as it is published, the secret of the environment has none here.
  constraint signing_keys_halves_ck check (
    (public_jwk is null) = (private_key is null)
    and (public_jwk is not null) = (published_at is not null and algorithm <> 'HS256')),
  -- The form of package seal: a private key that anybody can read does not get in by mistake.
  constraint signing_keys_private_key_ck check (private_key ~ '^v1\.[0-9a-f]{16}\.[A-Za-z0-9_-]{54,}$'),
  constraint signing_keys_public_jwk_ck check (jsonb_typeof(public_jwk) = 'object' and not public_jwk ? 'd')
);
create unique index signing_keys_secret_key on auth.signing_keys (algorithm) where algorithm = 'HS256';
create unique index signing_keys_request_key on auth.signing_keys ((published_at is null)) where published_at is null;
comment on table auth.signing_keys is 'Keys of access tokens. The private half of a pair is sealed by a server, bound to the id of its row, which is also the kid.';
comment on column auth.signing_keys.overlap is 'How long the keys before still verify after this one has begun to sign.';
comment on column auth.signing_keys.signs_from is 'Of the keys that have not ended, the one that began last signs.';
comment on column auth.signing_keys.verifies_until is 'Tokens of the key are refused from then on; null until a successor is published.';

insert into auth.signing_keys (algorithm, overlap, published_at, signs_from) values ('HS256', '0', now(), now());

---- create above / drop below ----
--{{/*
\quit
--*/}}
drop table auth.signing_keys;
