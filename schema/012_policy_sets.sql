-- What fluxbase policy apply made, so that it can take away what the files no longer contain, and nothing else.
create table auth.policy_sets (
  name text not null,
  objects text[] not null,
  applied_at timestamptz not null default now(),
  applied_by text not null default session_user,
  constraint policy_sets_name_pk primary key (name),
  constraint policy_sets_name_ck check (name ~ '^[A-Za-z0-9_.-]{1,63}$')
);
comment on table auth.policy_sets is 'One row a directory of policy files that was applied.';
comment on column auth.policy_sets.objects is 'Keys of auth.policy_objects() that came with its files.';

---- create above / drop below ----
--{{/*
\quit
--*/}}
drop table auth.policy_sets;
