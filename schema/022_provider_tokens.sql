-- What a provider let its user do there, on its way to the program that began the sign-in.
alter table auth.flow_states
  add column provider_tokens text,
  -- The form of package seal: a secret that anybody can read does not get in by mistake.
  add constraint flow_states_provider_tokens_ck check (provider_tokens ~ '^v1\.[0-9a-f]{16}\.[A-Za-z0-9_-]{54,}$');
create index flow_states_provider_tokens_idx on auth.flow_states (auth_code_expires_at) where provider_tokens is not null;
comment on column auth.flow_states.provider_tokens is
  'Tokens of the provider, encrypted by the server; gone as soon as the code is exchanged or has expired.';

---- create above / drop below ----
--{{/*
\quit
--*/}}
alter table auth.flow_states drop column provider_tokens;
