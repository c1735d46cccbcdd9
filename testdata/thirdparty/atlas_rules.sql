-- The rules that a DBA wrote for atlas.sql.
grant usage on schema atlas to anon, authenticated, service_role;
grant usage on schema extensions to anon, authenticated;
alter table atlas.team_members add foreign key (user_id) references auth.users (id) on delete cascade;
alter table atlas.bookings add foreign key (user_id) references auth.users (id) on delete cascade;
alter table atlas.photos add foreign key (user_id) references auth.users (id) on delete cascade;
select auth.protect('atlas.team_members', 'owner');
revoke insert, update, delete on atlas.team_members from authenticated;
select auth.protect('atlas.places', 'team', p_members => 'atlas.team_members');
select auth.protect('atlas.bookings', 'owner');
select auth.protect('atlas.photos', 'public_read');
select auth.enable_rls('atlas.teams');
grant select on atlas.teams to authenticated;
create policy members on atlas.teams for select to authenticated using (id = any (array(select m.team_id from atlas.team_members m where m.user_id = (select auth.current_user_id()))));
revoke execute on all functions in schema atlas from public;
grant execute on function atlas.near(text), atlas.plain(text) to authenticated, service_role;
