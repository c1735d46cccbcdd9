-- How many of a window's requests may come at once.
alter table ratelimit.rules
  add column burst integer,
  add constraint rules_burst_ck check (burst between 1 and max_requests);
comment on column ratelimit.rules.burst is 'Most requests of one subject in one second; null is no such limit. Counted as a rule with the negative id.';

---- create above / drop below ----
--{{/*
\quit
--*/}}
alter table ratelimit.rules drop column burst;
