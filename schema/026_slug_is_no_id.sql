-- Administrators name an organization by its id or its slug: a slug that is the id of another would make them delete, lock or open that one.
update auth.organizations set slug = 'org-' || slug where slug ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$';
alter table auth.organizations
  add constraint organizations_slug_not_id_ck check (slug !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$');

---- create above / drop below ----
--{{/*
\quit
--*/}}
alter table auth.organizations drop constraint organizations_slug_not_id_ck;
