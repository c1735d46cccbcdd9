-- Which schema belongs to which organization, for applications that give each tenant a schema of its own.
create table auth.tenant_schemas (
  schema_name text not null,
  org_id uuid,
  template text not null,
  created_at timestamptz not null default now(),
  created_by text not null default session_user,
  constraint tenant_schemas_schema_name_pk primary key (schema_name),
  constraint tenant_schemas_org_id_template_key unique (org_id, template),
  constraint tenant_schemas_org_id_fk foreign key (org_id) references auth.organizations (id) on delete set null
);
comment on table auth.tenant_schemas is 'Schemas that auth.create_tenant_schema() made.';
comment on column auth.tenant_schemas.org_id is 'Null when the organization is gone: the schema stays, closed to everybody, until auth.drop_tenant_schema().';

---- create above / drop below ----
--{{/*
\quit
--*/}}
drop table auth.tenant_schemas;
