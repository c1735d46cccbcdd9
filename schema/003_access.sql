-- Organizations, roles, permissions and API keys.
create table auth.organizations (
  id uuid not null default gen_random_uuid(),
  slug text not null,
  name text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint organizations_id_pk primary key (id),
  constraint organizations_slug_key unique (slug),
  constraint organizations_slug_ck check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  constraint organizations_name_ck check (length(name) between 1 and 200)
);
comment on table auth.organizations is 'Tenants: groups of users that own data together.';

create table auth.roles (
  name text not null,
  scope text not null,
  description text not null default '',
  constraint roles_name_pk primary key (name),
  constraint roles_scope_ck check (scope in ('system', 'organization')),
  constraint roles_name_scope_key unique (name, scope)
);
comment on table auth.roles is 'Names for sets of permissions, held system-wide (auth.user_roles) or within an organization (auth.memberships).';

create table auth.permissions (
  name text not null,
  description text not null default '',
  constraint permissions_name_pk primary key (name),
  constraint permissions_name_ck check (name ~ '^[a-z][a-z0-9_.-]{0,99}$')
);
comment on table auth.permissions is 'What a role may allow; auth.has_permission(name) asks for it.';

create table auth.role_permissions (
  role text not null,
  permission text not null,
  constraint role_permissions_role_permission_pk primary key (role, permission),
  constraint role_permissions_role_fk foreign key (role) references auth.roles (name) on delete cascade,
  constraint role_permissions_permission_fk foreign key (permission) references auth.permissions (name) on delete cascade
);
comment on table auth.role_permissions is 'Which role allows what.';

create table auth.user_roles (
  user_id uuid not null,
  role text not null,
  scope text not null default 'system',
  granted_at timestamptz not null default now(),
  constraint user_roles_user_id_role_pk primary key (user_id, role),
  constraint user_roles_user_id_fk foreign key (user_id) references auth.users (id) on delete cascade,
  constraint user_roles_role_fk foreign key (role, scope) references auth.roles (name, scope),
  constraint user_roles_scope_ck check (scope = 'system')
);
comment on table auth.user_roles is 'System-wide roles of a user.';

create table auth.memberships (
  org_id uuid not null,
  user_id uuid not null,
  role text not null,
  scope text not null default 'organization',
  created_at timestamptz not null default now(),
  constraint memberships_org_id_user_id_pk primary key (org_id, user_id),
  constraint memberships_org_id_fk foreign key (org_id) references auth.organizations (id) on delete cascade,
  constraint memberships_user_id_fk foreign key (user_id) references auth.users (id) on delete cascade,
  constraint memberships_role_fk foreign key (role, scope) references auth.roles (name, scope),
  constraint memberships_scope_ck check (scope = 'organization')
);
create index memberships_user_id_idx on auth.memberships (user_id);
comment on table auth.memberships is 'Who belongs to which organization, in which role; read per request, so a change acts at once.';

insert into auth.permissions (name, description) values ('system.admin', 'everything that administers the system');
insert into auth.roles (name, scope, description) values
  ('system_admin', 'system', 'administers the system'),
  ('owner', 'organization', 'owns the organization'),
  ('admin', 'organization', 'manages members and settings'),
  ('member', 'organization', 'takes part');
insert into auth.role_permissions (role, permission) values ('system_admin', 'system.admin');

create table auth.api_keys (
  id uuid not null default gen_random_uuid(),
  kind text not null,
  name text not null,
  prefix text not null,
  key_hash bytea not null,
  user_id uuid,
  org_id uuid,
  scopes text[] not null default '{}',
  created_at timestamptz not null default now(),
  created_by text not null default session_user,
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz,
  constraint api_keys_id_pk primary key (id),
  constraint api_keys_key_hash_key unique (key_hash),
  constraint api_keys_key_hash_ck check (length(key_hash) = 32),
  constraint api_keys_kind_ck check (kind in ('anon', 'service', 'user', 'organization')),
  constraint api_keys_owner_ck check (
    (kind = 'user') = (user_id is not null) and (kind = 'organization') = (org_id is not null)),
  constraint api_keys_user_id_fk foreign key (user_id) references auth.users (id) on delete cascade,
  constraint api_keys_org_id_fk foreign key (org_id) references auth.organizations (id) on delete cascade
);
create index api_keys_user_id_idx on auth.api_keys (user_id) where user_id is not null;
create index api_keys_org_id_idx on auth.api_keys (org_id) where org_id is not null;
comment on table auth.api_keys is 'Keys of programs, hashed; the text is shown once, when the key is made.';

---- create above / drop below ----
--{{/*
\quit
--*/}}
drop table auth.api_keys;
drop table auth.memberships;
drop table auth.user_roles;
drop table auth.role_permissions;
drop table auth.permissions;
drop table auth.roles;
drop table auth.organizations;
