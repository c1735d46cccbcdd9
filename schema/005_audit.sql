-- What happened. Monthly partitions (UTC), append-only; sealing and erasure find every column they need.
create sequence audit.log_id_seq as bigint;

create table audit.log (
  id bigint not null default nextval('audit.log_id_seq'),
  occurred_at timestamptz not null default now(),
  xid xid8 not null default pg_current_xact_id(),
  action text not null,
  outcome text not null default 'ok',
  user_id uuid,
  session_id uuid,
  org_id uuid,
  actor_id uuid,
  api_key_id uuid,
  subject_id uuid,
  role text not null,
  db_user text not null default session_user,
  ip inet,
  request_id text,
  relation oid,
  relation_name text,
  record_key jsonb,
  old_row jsonb,
  new_row jsonb,
  details jsonb,
  salt uuid default gen_random_uuid(),
  payload_digest bytea,
  erased_at timestamptz,
  constraint log_outcome_ck check (outcome in ('ok', 'denied', 'error'))
) partition by range (occurred_at);
alter sequence audit.log_id_seq owned by audit.log.id;
create index log_xid_id_idx on audit.log (xid, id);
create index log_occurred_at_idx on audit.log using brin (occurred_at);
create index log_subject_id_idx on audit.log (subject_id) where subject_id is not null;
create index log_user_id_idx on audit.log (user_id, id) where user_id is not null;
comment on table audit.log is 'Append-only: who did what, when, from where. Only its owner can insert, nobody can change a row.';
comment on column audit.log.actor_id is 'The real person when somebody acts as another.';
comment on column audit.log.subject_id is 'The person whom the row is about; erasure finds rows by it.';

-- The first year; audit.ensure_partitions() keeps twelve months ahead from then on.
do $$
declare
  v_month timestamptz := date_trunc('month', now() at time zone 'UTC') at time zone 'UTC';
begin
  for i in 0..12 loop
    execute format('create table audit.%I partition of audit.log for values from (%L) to (%L)',
      'log_' || to_char(v_month at time zone 'UTC', 'YYYY_MM'), v_month,
      (v_month at time zone 'UTC' + interval '1 month') at time zone 'UTC');
    v_month := (v_month at time zone 'UTC' + interval '1 month') at time zone 'UTC';
  end loop;
end $$;

---- create above / drop below ----
--{{/*
\quit
--*/}}
drop table audit.log;
