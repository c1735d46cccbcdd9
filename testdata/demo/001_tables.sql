-- The demo application: notes of users; projects and tasks of organizations.
-- Written as an application's own migration would be: tables, then auth.enable_rls, then policies.

create table public.notes (
  id bigint generated always as identity,
  user_id uuid not null default auth.current_user_id(),
  body text not null,
  created_at timestamptz not null default now(),
  constraint notes_id_pk primary key (id),
  constraint notes_user_id_fk foreign key (user_id) references auth.users (id) on delete cascade,
  constraint notes_body_ck check (length(body) between 1 and 10000)
);
create index notes_user_id_idx on public.notes (user_id);

create table public.projects (
  id bigint generated always as identity,
  org_id uuid not null default auth.current_org_id(),
  name text not null,
  created_at timestamptz not null default now(),
  constraint projects_id_pk primary key (id),
  constraint projects_org_id_id_key unique (org_id, id),
  constraint projects_org_id_fk foreign key (org_id) references auth.organizations (id) on delete cascade
);

-- The tenant is part of the foreign key: without it the key would tell whether another tenant's project exists.
create table public.tasks (
  id bigint generated always as identity,
  org_id uuid not null default auth.current_org_id(),
  project_id bigint not null,
  assignee_id uuid,
  title text not null,
  done boolean not null default false,
  created_at timestamptz not null default now(),
  constraint tasks_id_pk primary key (id),
  constraint tasks_org_id_project_id_fk foreign key (org_id, project_id)
    references public.projects (org_id, id) on delete cascade,
  constraint tasks_assignee_id_fk foreign key (assignee_id) references auth.users (id) on delete set null
);
create index tasks_org_id_project_id_idx on public.tasks (org_id, project_id);

select auth.enable_rls(p_table => 'public.notes');
select auth.enable_rls(p_table => 'public.projects');
select auth.enable_rls(p_table => 'public.tasks');

grant select, insert, update, delete on public.notes, public.projects, public.tasks to authenticated, service_role;

create policy notes_owner on public.notes to authenticated
  using (user_id = (select auth.current_user_id()))
  with check (user_id = (select auth.current_user_id()));

create policy projects_members on public.projects to authenticated
  using (org_id = any (array(select unnest(auth.org_ids()))))
  with check (org_id = any (array(select unnest(auth.org_ids()))));

create policy tasks_members on public.tasks to authenticated
  using (org_id = any (array(select unnest(auth.org_ids()))))
  with check (org_id = any (array(select unnest(auth.org_ids()))));

-- Runs as its caller, so the policies above hold inside it.
create function public.open_tasks(p_project_id bigint)
returns setof public.tasks language sql stable security invoker
begin atomic
  select t.* from public.tasks t where t.project_id = p_project_id and not t.done order by t.id;
end;
revoke all on function public.open_tasks(bigint) from public;
grant execute on function public.open_tasks(bigint) to authenticated, service_role;
