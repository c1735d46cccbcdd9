-- Which organization is meant, and what a refused change says in psql.  Tables: auth.organizations.
-- Caller: the owner's functions.

create or replace function auth.org_id_of(p_org text)
returns uuid language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
begin
  if p_org ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then
    select o.id into v_id from auth.organizations o where o.id = p_org::uuid;
  else
    select o.id into v_id from auth.organizations o where o.slug = p_org;
  end if;
  if v_id is null then
    raise exception using errcode = 'P0002', message = format('organization %s does not exist', quote_nullable(p_org)),
      hint = 'give the id or the slug; auth.admin_organizations lists them all';
  end if;
  return v_id;
end $$;
revoke all on function auth.org_id_of(text) from public;
comment on function auth.org_id_of(text) is 'Id of an organization given by id or slug; P0002 when there is none.';

-- The functions that change organizations return a status, for HTTP; psql gets an error for all but ok.
create or replace function fluxbase.require_org_status(p_status text)
returns void language plpgsql immutable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  case p_status
    when 'ok' then
      null;
    when 'organization_not_found' then
      raise exception using errcode = 'P0002', message = 'the organization does not exist', hint = 'auth.admin_organizations lists them all';
    when 'organization_exists' then
      raise exception using errcode = '23505', message = 'another organization has this slug';
    when 'member_not_found' then
      raise exception using errcode = 'P0002', message = 'the user is no member of the organization', hint = 'auth.admin_members lists them';
    when 'already_member' then
      raise exception using errcode = '23505', message = 'the user is a member already', hint = 'auth.set_member_role() changes the role';
    when 'role_not_found' then
      raise exception using errcode = '22023', message = 'there is no such role for organizations',
        hint = 'auth.create_role(''name'', ''organization'') makes one';
    when 'last_owner' then
      raise exception using errcode = '55000', message = 'the organization would be left without an owner',
        hint = 'make another member owner first, or delete the organization';
    else
      raise exception using errcode = '22023', message = 'a value is not valid',
        detail = 'a slug has up to 63 characters a-z, 0-9 and hyphens and is no id, a name 1 to 200 characters on one line, an address one at sign';
  end case;
end $$;
revoke all on function fluxbase.require_org_status(text) from public;
comment on function fluxbase.require_org_status(text) is 'Raises the error that stands for a status of the functions for organizations; ok passes.';
