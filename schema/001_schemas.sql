-- The schemas, what the installation knows of itself, settings, and the key of the request context.
-- Runs as fluxbase_owner: schema/roles.sql made the role, schema fluxbase and the version table.
do $$
begin
  if current_user <> 'fluxbase_owner' then
    raise exception using errcode = '42501', message = 'run this as fluxbase_owner',
      detail = 'add role=fluxbase_owner to the connection string';
  end if;
  if getdatabaseencoding() <> 'UTF8' then
    raise exception using errcode = '0A000', message = 'the database must use the encoding UTF8',
      detail = format('%I uses %s; create a database with encoding UTF8 and install there', current_database(), getdatabaseencoding());
  end if;
end $$;

create schema auth;
create schema audit;
create schema ratelimit;
comment on schema auth is 'Fluxbase: identity, sessions, access and privacy.';
comment on schema audit is 'Fluxbase: what happened.';
comment on schema ratelimit is 'Fluxbase: how often.';
comment on schema fluxbase is 'Fluxbase: version, request context and the entry points of its server.';

-- gen_salt and crypt for passwords set in psql; wherever the extension lives, it is found through pg_extension.
create extension if not exists pgcrypto with schema fluxbase;

create table fluxbase.packages (
  name text not null,
  checksum text not null,
  installed_at timestamptz not null default now(),
  installed_by text not null default session_user,
  constraint packages_name_pk primary key (name),
  constraint packages_name_ck check (name in ('sql', 'policies')),
  constraint packages_checksum_ck check (checksum ~ '^[0-9a-f]{64}$')
);
comment on table fluxbase.packages is 'Checksum of each code package that is installed; the server compares them at start.';

-- HMAC (RFC 2104) needs the key padded to a block and XORed; both forms are stored so that a check is two sha256 calls.
create table fluxbase.context_keys (
  id boolean not null default true,
  key bytea not null,
  inner_pad bytea not null,
  outer_pad bytea not null,
  created_at timestamptz not null default now(),
  constraint context_keys_id_pk primary key (id),
  constraint context_keys_id_ck check (id),
  constraint context_keys_length_ck check (length(key) = 32 and length(inner_pad) = 64 and length(outer_pad) = 64)
);
comment on table fluxbase.context_keys is 'The one key that signs request contexts, made by this database; readable by its owner only.';

do $$
declare
  v_key bytea := sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
  v_inner bytea := decode(repeat('36', 64), 'hex');
  v_outer bytea := decode(repeat('5c', 64), 'hex');
begin
  for i in 0..31 loop
    v_inner := set_byte(v_inner, i, get_byte(v_key, i) # 54);
    v_outer := set_byte(v_outer, i, get_byte(v_key, i) # 92);
  end loop;
  insert into fluxbase.context_keys (key, inner_pad, outer_pad) values (v_key, v_inner, v_outer);
end $$;

create table auth.settings (
  key text not null,
  value text,
  default_value text not null,
  kind text not null,
  minimum numeric,
  maximum numeric,
  description text not null,
  source text not null default 'default',
  updated_at timestamptz not null default now(),
  updated_by text not null default session_user,
  constraint settings_key_pk primary key (key),
  constraint settings_kind_ck check (kind in ('boolean', 'integer', 'interval', 'text', 'list')),
  constraint settings_source_ck check (source in ('default', 'config', 'psql'))
);
comment on table auth.settings is 'Everything that can be set while the server runs; value null means the default holds.';

---- create above / drop below ----
--{{/*
\quit
--*/}}
drop table auth.settings;
drop table fluxbase.context_keys;
drop table fluxbase.packages;
do $$
begin
  if exists (select from pg_extension e where e.extname = 'pgcrypto' and e.extnamespace = 'fluxbase'::regnamespace) then
    drop extension pgcrypto;
  end if;
end $$;
drop schema ratelimit;
drop schema audit;
drop schema auth;
