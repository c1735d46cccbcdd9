-- Example: every row belongs to one user, who alone sees and changes it.  Not part of the package: copy it, change the
-- names, run it as the owner of your tables, who is a member of fluxbase_author (for the foreign key).
create table public.documents (
  id bigint generated always as identity,
  user_id uuid not null default auth.current_user_id(),
  title text not null,
  constraint documents_id_pk primary key (id),
  constraint documents_user_id_fk foreign key (user_id) references auth.users (id) on delete cascade
);
-- The policy compares user_id: with this index it reads the user's rows and no others.
create index documents_user_id_idx on public.documents (user_id);

-- Closed to everybody but service_role until a policy opens it.
select auth.enable_rls(p_table => 'public.documents');

-- A policy filters rows, a grant allows the command: both are needed.
grant select, insert, update, delete on public.documents to authenticated, service_role;

-- (select ...) asks once per query; a bare call would ask once per row.
create policy documents_owner on public.documents for all to authenticated
  using (user_id = (select auth.current_user_id()))
  with check (user_id = (select auth.current_user_id()));
