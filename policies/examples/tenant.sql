-- Example: rows belong to an organization; members read, the roles owner and admin write.  Not part of the package:
-- copy it, change the names, run it as the owner of your tables, who is a member of fluxbase_author (for the foreign key).
create table public.invoices (
  org_id uuid not null default auth.current_org_id(),
  number integer not null,
  amount numeric(12, 2) not null,
  -- The tenant is part of every key: without it a duplicate would tell what another tenant has.
  constraint invoices_org_id_number_pk primary key (org_id, number),
  constraint invoices_org_id_fk foreign key (org_id) references auth.organizations (id) on delete cascade
);

select auth.enable_rls(p_table => 'public.invoices');
grant select, insert, update, delete on public.invoices to authenticated, service_role;

-- Membership is read from its table at every request: who leaves an organization is out at once.
create policy invoices_members_read on public.invoices for select to authenticated
  using (org_id = any (array(select unnest(auth.org_ids()))));

-- auth.has_org_role takes the row's organization and would run once per row; the active one is asked once per query.
create policy invoices_admins_insert on public.invoices for insert to authenticated
  with check (org_id = (select auth.current_org_id()) and (select auth.current_org_role()) in ('owner', 'admin'));
create policy invoices_admins_update on public.invoices for update to authenticated
  using (org_id = (select auth.current_org_id()) and (select auth.current_org_role()) in ('owner', 'admin'))
  with check (org_id = (select auth.current_org_id()) and (select auth.current_org_role()) in ('owner', 'admin'));
create policy invoices_admins_delete on public.invoices for delete to authenticated
  using (org_id = (select auth.current_org_id()) and (select auth.current_org_role()) in ('owner', 'admin'));
