-- Sessions in which somebody else acts as the user.
alter table auth.sessions
  add column actor_id uuid,
  add column read_only boolean not null default false,
  add constraint sessions_actor_id_fk foreign key (actor_id) references auth.users (id) on delete cascade,
  add constraint sessions_actor_id_ck check (actor_id <> user_id);
create index sessions_actor_id_idx on auth.sessions (actor_id) where actor_id is not null;
comment on column auth.sessions.actor_id is 'The administrator who acts as the user in this session; null in the user''s own.';
comment on column auth.sessions.read_only is 'Data requests of the session run in read-only transactions.';

---- create above / drop below ----
--{{/*
\quit
--*/}}
delete from auth.sessions where actor_id is not null;
alter table auth.sessions drop column read_only, drop column actor_id;
