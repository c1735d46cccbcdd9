-- Sign-ins that are away at an identity provider.
create table auth.oauth_flows (
  id uuid not null default gen_random_uuid(),
  provider text not null,
  redirect_to text not null,
  flow_state_id uuid,
  user_id uuid,
  session_id uuid,
  ticket_hash bytea,
  state_hash bytea,
  browser_hash bytea,
  sealed text,
  identity jsonb,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at timestamptz,
  finished_at timestamptz,
  constraint oauth_flows_id_pk primary key (id),
  constraint oauth_flows_state_hash_key unique (state_hash),
  constraint oauth_flows_ticket_hash_key unique (ticket_hash),
  constraint oauth_flows_flow_state_id_key unique (flow_state_id),
  constraint oauth_flows_flow_state_id_fk foreign key (flow_state_id) references auth.flow_states (id) on delete cascade,
  constraint oauth_flows_session_id_fk foreign key (session_id) references auth.sessions (id) on delete cascade,
  constraint oauth_flows_user_id_fk foreign key (user_id) references auth.users (id) on delete cascade,
  constraint oauth_flows_hashes_ck check (length(ticket_hash) = 32 and length(state_hash) = 32 and length(browser_hash) = 32),
  -- The form of package seal: a secret that anybody can read does not get in by mistake.
  constraint oauth_flows_sealed_ck check (sealed ~ '^v1\.[0-9a-f]{16}\.[A-Za-z0-9_-]{54,}$'),
  -- Who has a state has a browser; whoever links has a session and a code challenge, and comes with a ticket first.
  constraint oauth_flows_browser_ck check ((state_hash is null) = (browser_hash is null) and (state_hash is null) = (ticket_hash is not null)),
  constraint oauth_flows_link_ck check ((user_id is null) = (session_id is null) and (user_id is null or flow_state_id is not null)),
  constraint oauth_flows_used_ck check (used_at is null or state_hash is not null),
  constraint oauth_flows_finished_ck check (finished_at is null or used_at is not null)
);
create index oauth_flows_expires_at_idx on auth.oauth_flows (expires_at);
create index oauth_flows_session_id_idx on auth.oauth_flows (session_id) where session_id is not null;
create index oauth_flows_user_id_idx on auth.oauth_flows (user_id) where user_id is not null;
comment on table auth.oauth_flows is 'One row a browser that was sent to an identity provider: comes back once, in time, and is the same browser.';
comment on column auth.oauth_flows.sealed is 'Verifier and nonce of the request to the provider, encrypted by the server.';
comment on column auth.oauth_flows.user_id is 'Who links an identity to the account; null for a sign-in.';
comment on column auth.oauth_flows.identity is 'What is linked as soon as the code of the flow is exchanged.';
comment on column auth.oauth_flows.used_at is 'When the browser came back.';
comment on column auth.oauth_flows.finished_at is 'When the provider had said who it is, or had not.';

insert into ratelimit.rules (name, scope, method, path, max_requests, window_seconds, durable, source) values
  ('provider', 'ip', 'GET', '/api/v1/auth/authorize', 60, 300, true, 'default'),
  ('provider answer', 'ip', null, '/api/v1/auth/callback', 60, 300, true, 'default'),
  ('ID token', 'ip', null, '/api/v1/auth/id-token', 30, 300, true, 'default')
on conflict (name) do nothing;

---- create above / drop below ----
--{{/*
\quit
--*/}}
delete from ratelimit.rules where source = 'default' and name in ('provider', 'provider answer', 'ID token');
drop table auth.oauth_flows;
