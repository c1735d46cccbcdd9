-- Addresses that are kept out, and those that never are.  Tables: auth.address_rules.
-- Callers: fluxbase_admin; the owner's functions; fluxbase_server, which keeps requests of any kind away.

create or replace function fluxbase.set_address_rule(p_address cidr, p_kind text, p_until timestamptz, p_reason text)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if p_address is null or masklen(p_address) = 0 then
    raise exception using errcode = '22023', message = 'no address is given, or all of them',
      detail = format('address %s', coalesce(p_address::text, 'null')), hint = 'one address, or a network such as 203.0.113.0/24';
  elsif p_address <<= '::ffff:0:0/96' then -- no client has such an address: it is IPv4 by then
    raise exception using errcode = '22023', message = 'the address is one of IPv4, written as one of IPv6', detail = format('address %s', p_address),
      hint = format('write %s/%s', host('0.0.0.0'::inet + (network(p_address)::inet - '::ffff:0:0'::inet)), masklen(p_address) - 96);
  elsif p_until is null or p_until <= now() then
    raise exception using errcode = '22023', message = 'a rule for an address ends in the future',
      detail = format('p_until is %s', coalesce(p_until::text, 'null')), hint = 'auth.forget_address() ends one now';
  end if;
  delete from auth.address_rules a where a.until < now();
  insert into auth.address_rules as a (address, kind, until, reason) values (p_address, p_kind, p_until, p_reason)
  on conflict (address) do update set kind = excluded.kind, until = excluded.until, reason = excluded.reason, created_at = now();
  perform audit.record(p_action => 'address.' || p_kind,
    p_details => jsonb_build_object('address', p_address, 'until', p_until, 'reason', p_reason));
  perform pg_notify('fluxbase_settings', 'addresses');
end $$;
revoke all on function fluxbase.set_address_rule(cidr, text, timestamptz, text) from public;
comment on function fluxbase.set_address_rule(cidr, text, timestamptz, text) is 'Makes or replaces the rule for an address or a network.';

create or replace function auth.block_address(p_address cidr, p_until timestamptz default 'infinity', p_reason text default null)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform fluxbase.set_address_rule(p_address => p_address, p_kind => 'block', p_until => p_until, p_reason => p_reason);
end $$;
revoke all on function auth.block_address(cidr, timestamptz, text) from public;
grant execute on function auth.block_address(cidr, timestamptz, text) to fluxbase_admin;
comment on function auth.block_address(cidr, timestamptz, text) is
  'Refuses every request from an address or a network until a time, by default for good. Servers follow within seconds.';

create or replace function auth.allow_address(p_address cidr, p_until timestamptz default 'infinity', p_reason text default null)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform fluxbase.set_address_rule(p_address => p_address, p_kind => 'allow', p_until => p_until, p_reason => p_reason);
end $$;
revoke all on function auth.allow_address(cidr, timestamptz, text) from public;
grant execute on function auth.allow_address(cidr, timestamptz, text) to fluxbase_admin;
comment on function auth.allow_address(cidr, timestamptz, text) is
  'Exempts an address or a network from the block of a wider one, and from the delay that failed logins of an address cause.';

create or replace function auth.forget_address(p_address cidr)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  delete from auth.address_rules a where a.address = p_address;
  if not found then
    return false;
  end if;
  perform audit.record(p_action => 'address.forgotten', p_details => jsonb_build_object('address', p_address));
  perform pg_notify('fluxbase_settings', 'addresses');
  return true;
end $$;
revoke all on function auth.forget_address(cidr) from public;
grant execute on function auth.forget_address(cidr) to fluxbase_admin;
comment on function auth.forget_address(cidr) is 'Removes the rule for an address or a network; true when there was one.';

create or replace function auth.address_list()
returns table (address cidr, kind text, until timestamptz, reason text, created_at timestamptz)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query select a.address, a.kind, a.until, a.reason, a.created_at from auth.address_rules a where a.until > now() order by a.address;
end $$;
revoke all on function auth.address_list() from public;
grant execute on function auth.address_list() to fluxbase_admin;
comment on function auth.address_list() is 'The addresses and networks that are blocked or allowed.';

create or replace function fluxbase.address_rule(p_address inet)
returns text language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return (select a.kind from auth.address_rules a
          where p_address <<= a.address and a.until > now() order by masklen(a.address) desc limit 1);
end $$;
revoke all on function fluxbase.address_rule(inet) from public;
comment on function fluxbase.address_rule(inet) is 'What is said of an address, block or allow; null is nothing.';

create or replace function fluxbase.address_rules()
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return (select coalesce(jsonb_agg(jsonb_build_object('address', a.address, 'kind', a.kind,
            'until', case when isfinite(a.until) then extract(epoch from a.until)::bigint end)), '[]')
          from auth.address_rules a where a.until > now());
end $$;
revoke all on function fluxbase.address_rules() from public;
grant execute on function fluxbase.address_rules() to fluxbase_server;
comment on function fluxbase.address_rules() is 'The addresses and networks that are blocked or allowed, for servers; until is in Unix seconds, null for never.';
