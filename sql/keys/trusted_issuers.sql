-- Trusted issuers in psql.  Tables: auth.trusted_issuers.  Caller: fluxbase_admin.
-- The configuration says who they are; an administrator can stop one at once, and it stays stopped after a restart.

create or replace function auth.disable_issuer(p_name text, p_reason text)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if p_reason is null or btrim(p_reason) = '' then
    raise exception using errcode = '22023', message = 'disabling an issuer needs a reason';
  end if;
  update auth.trusted_issuers i set disabled_at = now(), disabled_reason = p_reason, updated_at = now()
  where i.name = p_name and i.disabled_at is null;
  if not found then
    if not exists (select from auth.trusted_issuers i where i.name = p_name) then
      raise exception using errcode = 'P0002', message = format('issuer %s does not exist', quote_nullable(p_name)),
        hint = 'auth.admin_trusted_issuers lists them';
    end if;
    return false;
  end if;
  perform audit.record(p_action => 'issuer.disabled', p_details => jsonb_build_object('name', p_name, 'reason', p_reason));
  return true;
end $$;
revoke all on function auth.disable_issuer(text, text) from public;
grant execute on function auth.disable_issuer(text, text) to fluxbase_admin;
comment on function auth.disable_issuer(text, text) is 'Refuses the tokens of an issuer from the next request on; false when they were refused before.';

create or replace function auth.enable_issuer(p_name text)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update auth.trusted_issuers i set disabled_at = null, disabled_reason = null, updated_at = now()
  where i.name = p_name and i.disabled_at is not null;
  if not found then
    if not exists (select from auth.trusted_issuers i where i.name = p_name) then
      raise exception using errcode = 'P0002', message = format('issuer %s does not exist', quote_nullable(p_name)),
        hint = 'auth.admin_trusted_issuers lists them; the configuration names them';
    end if;
    return false;
  end if;
  perform audit.record(p_action => 'issuer.enabled', p_details => jsonb_build_object('name', p_name));
  return true;
end $$;
revoke all on function auth.enable_issuer(text) from public;
grant execute on function auth.enable_issuer(text) to fluxbase_admin;
comment on function auth.enable_issuer(text) is 'Ends auth.disable_issuer(); false when the issuer was not disabled.';

create or replace function auth.trusted_issuer_rows()
returns setof jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query select to_jsonb(i) from auth.trusted_issuers i order by i.name;
end $$;
revoke all on function auth.trusted_issuer_rows() from public;
grant execute on function auth.trusted_issuer_rows() to fluxbase_admin;
comment on function auth.trusted_issuer_rows() is 'Trusted issuers as JSON; read them through auth.admin_trusted_issuers.';

create or replace view auth.admin_trusted_issuers with (security_invoker = true) as
  select j ->> 'name' as name, j ->> 'issuer' as issuer, array(select jsonb_array_elements_text(j -> 'allowed_roles')) as allowed_roles,
         (j ->> 'subject_is_user')::boolean as subject_is_user, (j ->> 'updated_at')::timestamptz as updated_at,
         (j ->> 'disabled_at')::timestamptz as disabled_at, j ->> 'disabled_reason' as disabled_reason, (j ->> 'id')::uuid as id
  from auth.trusted_issuer_rows() j;
revoke all on auth.admin_trusted_issuers from public;
grant select on auth.admin_trusted_issuers to fluxbase_admin;
comment on view auth.admin_trusted_issuers is 'Whose tokens the data API accepts besides ours.';
