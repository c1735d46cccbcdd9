-- Invitations into organizations, and the permissions that decide who manages one.
create table auth.organization_invitations (
  id uuid not null default gen_random_uuid(),
  org_id uuid not null,
  email text not null,
  email_normalized text not null generated always as (lower(email)) stored,
  role text not null,
  scope text not null default 'organization',
  token_hash bytea not null,
  invited_by uuid,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  accepted_at timestamptz,
  accepted_by uuid,
  revoked_at timestamptz,
  constraint organization_invitations_id_pk primary key (id),
  constraint organization_invitations_token_hash_key unique (token_hash),
  constraint organization_invitations_token_hash_ck check (length(token_hash) = 32),
  constraint organization_invitations_org_id_fk foreign key (org_id) references auth.organizations (id) on delete cascade,
  constraint organization_invitations_role_fk foreign key (role, scope) references auth.roles (name, scope),
  constraint organization_invitations_scope_ck check (scope = 'organization'),
  constraint organization_invitations_invited_by_fk foreign key (invited_by) references auth.users (id) on delete set null,
  constraint organization_invitations_accepted_by_fk foreign key (accepted_by) references auth.users (id) on delete set null,
  constraint organization_invitations_email_ck check (
    email ~ '^[!#-''*+\-./0-9=?A-Z^_`a-z{|}~]{1,64}@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$'
    and length(email) <= 254),
  constraint organization_invitations_ended_ck check (accepted_at is null or revoked_at is null)
);
create unique index organization_invitations_org_id_email_key on auth.organization_invitations (org_id, email_normalized)
  where accepted_at is null and revoked_at is null;
create index organization_invitations_email_idx on auth.organization_invitations (email_normalized)
  where accepted_at is null and revoked_at is null;
create index organization_invitations_invited_by_idx on auth.organization_invitations (invited_by) where invited_by is not null;
create index organization_invitations_accepted_by_idx on auth.organization_invitations (accepted_by) where accepted_by is not null;
comment on table auth.organization_invitations is
  'Invitations: one open at a time for an address in an organization, the token hashed, one use; the next supersedes the one before.';

-- Whoever has defined roles of the same name keeps them.
insert into auth.permissions (name, description) values
  ('org.members.read', 'sees the members of the organization'),
  ('org.members.manage', 'invites, changes and removes members'),
  ('org.keys.manage', 'makes, rotates and revokes keys of the organization'),
  ('org.update', 'changes name and slug of the organization'),
  ('org.delete', 'deletes the organization')
on conflict (name) do nothing;
insert into auth.role_permissions (role, permission)
select r.name, p.permission
from (values
  ('owner', 'org.members.read'), ('owner', 'org.members.manage'), ('owner', 'org.keys.manage'), ('owner', 'org.update'), ('owner', 'org.delete'),
  ('admin', 'org.members.read'), ('admin', 'org.members.manage'), ('admin', 'org.keys.manage'), ('admin', 'org.update'),
  ('member', 'org.members.read')) p (role, permission)
join auth.roles r on r.name = p.role and r.scope = 'organization'
on conflict (role, permission) do nothing;

---- create above / drop below ----
--{{/*
\quit
--*/}}
drop table auth.organization_invitations;
delete from auth.permissions where name in ('org.members.read', 'org.members.manage', 'org.keys.manage', 'org.update', 'org.delete');
