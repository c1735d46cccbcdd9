-- Volume limits count the share of the window before that a window ending now would still hold.
alter table ratelimit.volume_counters add column previous integer not null default 0;
comment on table ratelimit.volume_counters is 'As ratelimit.counters, of the other rules, which slide; empty after a crash.';
comment on column ratelimit.volume_counters.previous is 'What the window before had counted.';

---- create above / drop below ----
--{{/*
\quit
--*/}}
alter table ratelimit.volume_counters drop column previous;
comment on table ratelimit.volume_counters is 'As ratelimit.counters, of the other rules; empty after a crash.';
