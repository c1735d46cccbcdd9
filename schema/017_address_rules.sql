-- Addresses that are kept out, and those that never are.
create table auth.address_rules (
  address cidr not null,
  kind text not null,
  until timestamptz not null,
  reason text,
  created_at timestamptz not null default now(),
  constraint address_rules_address_pk primary key (address),
  constraint address_rules_address_ck check (masklen(address) > 0),
  constraint address_rules_kind_ck check (kind in ('block', 'allow'))
);
comment on table auth.address_rules is 'Addresses and networks that are blocked or allowed; the smallest network that holds an address decides. Servers follow within seconds.';
comment on column auth.address_rules.until is 'When it ends; infinity is never.';

---- create above / drop below ----
--{{/*
\quit
--*/}}
drop table auth.address_rules;
