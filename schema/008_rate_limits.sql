-- How often.  Rules are rows; the counters of the sensitive ones survive a crash, those of the others need not.
create table ratelimit.rules (
  id integer generated always as identity,
  name text not null,
  scope text not null,
  method text,
  path text,
  max_requests integer not null,
  window_seconds integer not null,
  mode text not null default 'enforce',
  durable boolean not null default false,
  source text not null default 'psql',
  created_at timestamptz not null default now(),
  constraint rules_id_pk primary key (id),
  constraint rules_name_key unique (name),
  constraint rules_name_ck check (name <> '' and length(name) <= 300),
  constraint rules_scope_ck check (scope in ('ip', 'user', 'api_key', 'org', 'client', 'global')),
  constraint rules_method_ck check (method ~ '^[A-Z]+$'),
  constraint rules_path_ck check (path ~ '^/[^?#[:space:]]*$'),
  constraint rules_max_requests_ck check (max_requests between 1 and 1000000000),
  constraint rules_window_seconds_ck check (window_seconds between 1 and 2678400),
  constraint rules_mode_ck check (mode in ('enforce', 'report')),
  constraint rules_source_ck check (source in ('default', 'config', 'psql'))
);
comment on table ratelimit.rules is 'How many requests of one subject may come in one window. Servers follow within seconds.';
comment on column ratelimit.rules.scope is 'Who is counted: ip (IPv6 by /64), user, api_key, org, client (key, else user, else address) or global (all together).';
comment on column ratelimit.rules.path is 'Path below /api/v1 after routing; * stands for one segment, ** at the end for any. Null is every path.';
comment on column ratelimit.rules.durable is 'Every request is counted on its own, in a table that survives a crash; else servers take requests in small lots.';

create table ratelimit.counters (
  rule_id integer not null,
  subject text not null,
  window_start timestamptz not null,
  hits integer not null,
  taken integer not null,
  constraint counters_rule_id_subject_pk primary key (rule_id, subject)
) with (fillfactor = 70);
comment on table ratelimit.counters is 'One row a rule and subject: the current window of the durable rules.';
comment on column ratelimit.counters.taken is 'What the last call took.';

create unlogged table ratelimit.volume_counters (
  rule_id integer not null,
  subject text not null,
  window_start timestamptz not null,
  hits integer not null,
  taken integer not null,
  constraint volume_counters_rule_id_subject_pk primary key (rule_id, subject)
) with (fillfactor = 70);
comment on table ratelimit.volume_counters is 'As ratelimit.counters, of the other rules; empty after a crash.';

insert into ratelimit.rules (name, scope, method, path, max_requests, window_seconds, durable, source) values
  ('login', 'ip', null, '/api/v1/auth/login', 5, 60, true, 'default'),
  ('signup', 'ip', null, '/api/v1/auth/signup', 10, 3600, true, 'default'),
  ('refresh', 'ip', null, '/api/v1/auth/refresh', 150, 300, true, 'default'),
  ('recover', 'ip', null, '/api/v1/auth/recover', 5, 3600, true, 'default'),
  ('magic link', 'ip', null, '/api/v1/auth/magiclink', 5, 3600, true, 'default'),
  ('one-time password', 'ip', null, '/api/v1/auth/otp', 5, 3600, true, 'default'),
  ('resend', 'ip', null, '/api/v1/auth/resend', 5, 3600, true, 'default'),
  ('verify', 'ip', null, '/api/v1/auth/verify', 30, 300, true, 'default'),
  ('second factor', 'ip', 'POST', '/api/v1/auth/factors/*/verify', 15, 60, true, 'default');

---- create above / drop below ----
--{{/*
\quit
--*/}}
drop table ratelimit.volume_counters;
drop table ratelimit.counters;
drop table ratelimit.rules;
