-- A new password costs a comparison's time, and whoever is signed in could keep all workers busy that others need to log in.
insert into ratelimit.rules (name, scope, method, path, max_requests, window_seconds, burst, durable, source) values
  ('user update', 'user', 'PUT', '/api/v1/auth/user', 30, 60, 5, true, 'default')
on conflict (name) do nothing;

---- create above / drop below ----
--{{/*
\quit
--*/}}
delete from ratelimit.rules where source = 'default' and name = 'user update';
