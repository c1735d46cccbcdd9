-- Organizations.  Tables: auth.organizations, auth.memberships.  Callers: fluxbase_admin in psql, the entry points.

-- Every change of an organization and its members begins with this lock, so that two of them see each other: with two
-- owners who leave at once, one stays.
create or replace function fluxbase.lock_organization(p_org_id uuid)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform from auth.organizations o where o.id = p_org_id for no key update;
  return found;
end $$;
revoke all on function fluxbase.lock_organization(uuid) from public;
comment on function fluxbase.lock_organization(uuid) is 'Locks an organization for a change; false when there is none.';

create or replace function fluxbase.put_organization(p_org_id uuid, p_slug text, p_name text, p_owner_id uuid)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not fluxbase.is_key_name(p_name => p_name) then
    return 'validation_failed';
  end if;
  insert into auth.organizations (id, slug, name) values (p_org_id, p_slug, p_name);
  insert into auth.memberships (org_id, user_id, role) values (p_org_id, p_owner_id, 'owner');
  perform audit.record(p_action => 'organization.created', p_subject_id => p_owner_id,
    p_details => jsonb_build_object('org_id', p_org_id, 'slug', p_slug));
  return 'ok';
exception
  when unique_violation then return 'organization_exists';
  when check_violation or not_null_violation then return 'validation_failed';
end $$;
revoke all on function fluxbase.put_organization(uuid, text, text, uuid) from public;
comment on function fluxbase.put_organization(uuid, text, text, uuid) is 'Makes an organization and its owner; ok, organization_exists or validation_failed.';

create or replace function fluxbase.rename_organization(p_org_id uuid, p_slug text, p_name text)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if p_name is not null and not fluxbase.is_key_name(p_name => p_name) then
    return 'validation_failed';
  end if;
  update auth.organizations o set slug = coalesce(p_slug, o.slug), name = coalesce(p_name, o.name), updated_at = now() where o.id = p_org_id;
  if not found then
    return 'organization_not_found';
  end if;
  perform audit.record(p_action => 'organization.updated', p_details => jsonb_build_object('org_id', p_org_id, 'slug', p_slug, 'name', p_name));
  return 'ok';
exception
  when unique_violation then return 'organization_exists';
  when check_violation then return 'validation_failed';
end $$;
revoke all on function fluxbase.rename_organization(uuid, text, text) from public;
comment on function fluxbase.rename_organization(uuid, text, text) is 'Changes slug and name, null keeps one; ok, organization_not_found, organization_exists or validation_failed.';

-- Memberships, invitations and keys go with the row (on delete cascade); a foreign key of the application decides for its table.
create or replace function fluxbase.drop_organization(p_org_id uuid)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_slug text;
begin
  delete from auth.organizations o where o.id = p_org_id returning o.slug into v_slug;
  if not found then
    return 'organization_not_found';
  end if;
  perform audit.record(p_action => 'organization.deleted', p_details => jsonb_build_object('org_id', p_org_id, 'slug', v_slug));
  return 'ok';
end $$;
revoke all on function fluxbase.drop_organization(uuid) from public;
comment on function fluxbase.drop_organization(uuid) is 'Deletes an organization; ok or organization_not_found.';

create or replace function auth.create_organization(p_slug text, p_name text, p_owner text)
returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := gen_random_uuid();
begin
  perform fluxbase.require_org_status(p_status => fluxbase.put_organization(p_org_id => v_id, p_slug => p_slug, p_name => p_name,
    p_owner_id => auth.user_id_of(p_user => p_owner)));
  return v_id;
end $$;
revoke all on function auth.create_organization(text, text, text) from public;
grant execute on function auth.create_organization(text, text, text) to fluxbase_admin;
comment on function auth.create_organization(text, text, text) is 'Makes an organization whose owner is the user given by id or e-mail address; returns its id.';

create or replace function auth.update_organization(p_org text, p_slug text default null, p_name text default null)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform fluxbase.require_org_status(p_status => fluxbase.rename_organization(p_org_id => auth.org_id_of(p_org => p_org), p_slug => p_slug, p_name => p_name));
end $$;
revoke all on function auth.update_organization(text, text, text) from public;
grant execute on function auth.update_organization(text, text, text) to fluxbase_admin;
comment on function auth.update_organization(text, text, text) is 'Changes slug or name of an organization, given by id or slug.';

create or replace function auth.delete_organization(p_org text)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform fluxbase.require_org_status(p_status => fluxbase.drop_organization(p_org_id => auth.org_id_of(p_org => p_org)));
end $$;
revoke all on function auth.delete_organization(text) from public;
grant execute on function auth.delete_organization(text) to fluxbase_admin;
comment on function auth.delete_organization(text) is 'Deletes an organization with its memberships, invitations and keys.';
