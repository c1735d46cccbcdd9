-- Keys of an organization are a client of their own for limits: whoever makes organizations without end would have clients without end.
insert into ratelimit.rules (name, scope, method, path, max_requests, window_seconds, durable, source) values
  ('new organization', 'user', 'POST', '/api/v1/auth/organizations', 20, 3600, true, 'default')
on conflict (name) do nothing;

---- create above / drop below ----
--{{/*
\quit
--*/}}
delete from ratelimit.rules where source = 'default' and name = 'new organization';
