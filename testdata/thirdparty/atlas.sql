-- Places with the extensions that such applications bring, in public and in a schema of their own.  An extension that the machine has not is left out.
create schema atlas;
create schema extensions;
do $$
declare
  v_name text;
begin
  foreach v_name in array array['citext', 'pg_trgm', 'hstore', 'unaccent', 'uuid-ossp', 'btree_gist', 'intarray', 'ltree', 'tablefunc', 'pg_stat_statements', 'postgis', 'file_fdw', 'dblink'] loop
    if exists (select from pg_available_extensions a where a.name = v_name) and not exists (select from pg_extension e where e.extname = v_name) then
      execute format('create extension %I with schema %s', v_name, case when v_name in ('hstore', 'ltree', 'unaccent') then 'extensions' else 'public' end);
    end if;
  end loop;
end $$;
create domain atlas.name as text check (length(value) <= 200);
create table atlas.teams (id uuid primary key default gen_random_uuid(), title atlas.name not null);
create table atlas.team_members (team_id uuid references atlas.teams on delete cascade, user_id uuid, is_lead boolean not null default false, primary key (user_id, team_id));
create table atlas.places (
  id uuid primary key default gen_random_uuid(), team_id uuid not null references atlas.teams, handle public.citext not null, title atlas.name not null, path extensions.ltree, extra extensions.hstore,
  lon double precision, lat double precision, visible_from date, visible_to date, unique (team_id, handle));
create index on atlas.places using gin (title public.gin_trgm_ops);
create table atlas.bookings (
  id bigint generated always as identity primary key, place_id uuid not null references atlas.places, user_id uuid not null, during tstzrange not null, exclude using gist (place_id with =, during with &&));
create index on atlas.bookings (user_id);
create table atlas.photos (id bigint generated always as identity primary key, place_id uuid not null references atlas.places on delete cascade, user_id uuid not null, file bytea);
create index on atlas.photos (place_id);
create index on atlas.photos (user_id);
do $$ begin
  if to_regtype('public.geometry') is not null then
    alter table atlas.places add shape public.geometry(polygon, 4326);
    create index on atlas.places using gist (shape);
  end if;
end $$;
create function atlas.near(p_title text) returns setof atlas.places language sql stable set search_path = public, pg_temp as 'select * from atlas.places where title % p_title';
create function atlas.plain(p_text text) returns text language sql immutable strict return lower(p_text);
create index on atlas.places (atlas.plain(title));
create table atlas.imports (id bigserial primary key, raw jsonb) ;
create unlogged table atlas.cache (key text primary key, value jsonb);
