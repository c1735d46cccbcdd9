package policytest

// defect is what one lint must find: SQL that makes it, and findings "object: evidence" that contain these texts.
type defect struct {
	seed  string
	finds []string
	// sound is the nearest thing that is right; with it the lint is silent.
	sound string
}

const tableSQL = `create table public.t (id bigint generated always as identity primary key, user_id uuid references auth.users, org_id uuid, a text);
	create index on public.t (user_id); create index on public.t (org_id); `
const closedSQL = tableSQL + `select auth.enable_rls('public.t'); grant select, insert, update, delete on public.t to authenticated; `

const tenantSQL = `insert into auth.organizations (id, slug, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'acme', 'x'); create schema acme;
	insert into auth.tenant_schemas (schema_name, org_id, template) values ('acme', 'aaaaaaaa-0000-4000-8000-000000000001', 'template');
	create table acme.made (id bigint primary key); select auth.enable_rls('acme.made'); grant usage on schema acme to authenticated; grant select on acme.made to authenticated; `

var defects = map[string]defect{
	"rls_disabled": {tableSQL + `grant select on t to anon`, []string{`public.t: anon may use it`}, tableSQL},
	"rls_not_forced": {tableSQL + `grant insert (a) on t to authenticated; alter table t enable row level security`,
		[]string{`public.t: row security is on but not forced`}, closedSQL},
	"policies_without_rls": {tableSQL + `create policy p on t to authenticated using (a = 'x')`, []string{`public.t: 1 policy, and`}, closedSQL + `create policy p on t to authenticated using (a = 'x')`},
	"rls_without_policy":   {closedSQL, []string{`public.t: authenticated may use it`}, closedSQL + `create policy p on t for select to authenticated using (true)`},
	"policy_without_roles": {closedSQL + `create policy p on t using (a = 'x')`, []string{`policy p on public.t`}, closedSQL + `create policy p on t to authenticated using (a = 'x')`},
	"policy_true_for_writes": {closedSQL + `create policy p on t for delete to authenticated using (true); create policy q on t for update to anon using (a = 'x') with check (true); create policy r on t using (true)`,
		[]string{`policy p on public.t: the rule for old rows is true for delete`, `policy q on public.t: the rule for new rows is true for update`, `policy r on public.t: the rule for new rows is true for all commands`},
		closedSQL + `create policy p on t for select to authenticated using (true); create policy q on t as restrictive for all to authenticated using (true)`},
	"policy_true_for_writes/spellings": {closedSQL + `create policy a on t for update to authenticated using ((select true)); create policy b on t for delete to authenticated using (1 = 1); create policy c on t for delete to authenticated using (not false or 'x' = 'y');
		create policy d on t for delete to authenticated using (id is not null); create policy e on t for delete to authenticated using (id = id); create policy f on t for insert to authenticated with check ((select auth.uid()) is not null);
		create policy g on t to authenticated using (user_id = (select auth.uid())) with check (auth.role() = 'authenticated'); create role editors; grant editors to authenticated; create policy h on t for delete to editors using (true)`,
		[]string{`policy a on public.t: the rule for new rows is true for update`, `policy b on public.t: the rule for old rows is true for delete`, `policy c on public.t: the rule for old rows`, `policy d on public.t: the rule for old rows`, `policy e on public.t: the rule for old rows`,
			`policy f on public.t: the rule for new rows is true for everybody who is signed in for insert`, `policy g on public.t: the rule for new rows is true for everybody who is signed in for all commands`, `policy h on public.t: the rule for old rows`},
		closedSQL + `create policy a on t for delete to authenticated using (1 = 0); create policy b on t for delete to authenticated using ((select auth.has_permission('t.delete'))); create policy c on t for delete to authenticated using (user_id is not null);
		create policy d on t for delete to authenticated using (1 / 0 = 1); create policy e on t for delete to authenticated using (null); create policy f on t for delete to authenticated using ((select auth.uid()) is null)`},
	"policy_identity_per_row/hidden": {closedSQL + `create function public.me() returns uuid language plpgsql stable as 'begin return auth.uid(); end'; create function public.me_too() returns uuid language sql stable return public.me();
		create function public.mine(u uuid) returns boolean language plpgsql stable as 'begin return u = auth.uid(); end';
		create policy a on t to authenticated using (user_id = public.me()); create policy b on t to authenticated using (user_id = public.me_too()); create policy c on t to authenticated using (public.mine(user_id));
		create policy d on t to authenticated using ((select user_id = auth.uid())); create policy e on t to authenticated using (exists (select from auth.memberships m where m.org_id = t.org_id and m.user_id = auth.uid()));
		create policy f on t to authenticated using (user_id = any (array[auth.uid()])); create policy g on t to authenticated using (a = nullif(current_setting('app.a', true), ''))`,
		[]string{`policy a on public.t: public.me(), which asks who is calling, is called`, `policy b on public.t: public.me_too()`, `policy c on public.t: public.mine()`, `policy d on public.t: auth.uid()`, `policy e on public.t: auth.uid()`, `policy f on public.t: auth.uid()`, `policy g on public.t: current_setting()`},
		closedSQL + `create function public.me() returns uuid language plpgsql stable as 'begin return auth.uid(); end'; create function public.even(n bigint) returns boolean language sql immutable return n % 2 = 0;
		create function public.frame(n bigint) returns bigint language sql immutable return n; create function public.framed(n bigint) returns boolean language plpgsql immutable as 'begin return n = public.frame(n); end';
		create policy a on t to authenticated using (user_id = (select public.me()) and public.even(id) and public.framed(id)); create policy b on t to authenticated using (org_id in (select * from unnest(auth.org_ids())));
		create policy c on t to authenticated using (org_id in (select unnest(auth.org_ids()))); create policy d on t to authenticated using (exists (select from auth.memberships m where m.org_id = t.org_id and m.user_id = (select auth.uid())))`},
	"policy_identity_per_row": {closedSQL + `create policy p on t to authenticated using (user_id = auth.uid()); create policy q on t to authenticated using (org_id in (select m.org_id from public.t m where m.user_id = auth.current_user_id()));
		create policy r on t to authenticated using (a = auth.jwt() ->> 'x' and auth.has_permission('a.b'))`,
		[]string{`policy p on public.t: auth.uid()`, `policy q on public.t: auth.current_user_id()`, `policy r on public.t: auth.has_permission(), auth.jwt()`},
		closedSQL + `create policy p on t to authenticated using (user_id = (select auth.uid()) and a = 'auth.uid()' and a = ((select auth.jwt()) ->> 'x') and (select auth.has_permission('y (z')) and auth.has_org_role(org_id, 'owner'))`},
	"policy_check_without_column": {closedSQL + `create policy p on t to authenticated using (user_id = (select auth.uid())) with check (a <> 'user_id'); create policy q on t for update to authenticated using (org_id = any ((select auth.org_ids())::uuid[])) with check (org_id is null or user_id is null);
		create policy r on t for update to authenticated using (org_id = any ((select auth.org_ids())::uuid[]) and user_id = (select auth.uid())) with check (user_id = (select auth.uid()))`,
		[]string{`policy p on public.t: the rule for old rows compares user_id, the rule for new rows does not`, `policy r on public.t: the rule for old rows compares org_id, the rule for new rows does not`},
		closedSQL + `create policy p on t to authenticated using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()) and a <> 'x'); create policy q on t to authenticated using (user_id = (select auth.uid()));
		create policy r on t for delete to authenticated using (user_id = (select auth.uid())); create table u (id bigint, user_id uuid, a text); select auth.enable_rls('u'); grant select, insert (id, a), update (a) on u to authenticated;
		create policy p on u to authenticated using (user_id = (select auth.uid())) with check (a <> 'x')`},
	"policy_constant_or": {closedSQL + `create policy p on t to authenticated using (user_id = (select auth.uid()) or (select auth.is_admin())); create policy q on t to authenticated using (a = 'x' and (user_id is null or auth.role() = 'x'));
		create policy r on t to authenticated using (user_id = (select auth.uid()) or (select auth.jwt() -> 'app_metadata' ->> 'admin') = 'yes')`,
		[]string{`policy p on public.t: OR`, `policy q on public.t: OR`, `policy r on public.t: OR`},
		closedSQL + `create policy p on t to authenticated using (user_id = (select auth.uid()) or a = 'x or y' or org_id is null); create policy q on t as restrictive to authenticated using (a = 'x' or (select auth.is_admin()))`},
	"policy_constant_or/spellings": {closedSQL + `create function public.is_boss() returns boolean language sql stable return true;
		create policy a on t to authenticated using (user_id = (select auth.uid()) or 1 = 1); create policy b on t to authenticated using (user_id = (select auth.uid()) or public.is_boss()); create policy c on t to authenticated using (user_id = (select auth.uid()) or current_user = 'boss');
		create policy d on t to authenticated using (user_id = (select auth.uid()) or exists (select from auth.user_roles r where r.user_id = (select auth.uid()))); create policy e on t to authenticated using (case when (select auth.is_admin()) then true else user_id = (select auth.uid()) end);
		create policy f on t to authenticated using (user_id = (select auth.uid()) or now() > '2020-01-01'); create policy g on t to authenticated using (not (user_id is null and (select auth.is_admin())))`,
		[]string{`policy a on public.t: OR with an arm that does not depend on the row: a constant`, `policy b on public.t: OR with an arm that does not depend on the row: public.is_boss()`, `policy c on public.t: OR`, `policy d on public.t: OR`,
			`policy e on public.t: OR with an arm that does not depend on the row: auth.is_admin()`, `policy f on public.t: OR`, `policy g on public.t: OR`},
		closedSQL + `create policy a on t to authenticated using (user_id = (select auth.uid()) and (select auth.is_admin() or auth.has_permission('x'))); create policy b on t to authenticated using (user_id = (select auth.uid()) or auth.has_org_role(org_id, 'owner'));
		create policy c on t to authenticated using (not (user_id is null or (select auth.is_admin()))); create policy d on t to authenticated using (user_id = (select auth.uid()) or exists (select from auth.memberships m where m.org_id = t.org_id));
		create policy e on t to authenticated using (case when a = 'x' then user_id = (select auth.uid()) else false end)`},
	"policy_column_not_indexed": {closedSQL + `alter table t add "Team Id" uuid; create policy p on t to authenticated using ("Team Id" = any (array(select unnest(auth.org_ids()))))`,
		[]string{`public.t: policy p on public.t compares "Team Id"`}, closedSQL + `create policy p on t to authenticated using (org_id = any ((select auth.org_ids())::uuid[]) or id = any (array(select 1::bigint)))`},
	"policy_column_not_indexed/reversed": {closedSQL + `alter table t add firm uuid; create policy p on t for select to authenticated using ((select (auth.jwt() ->> 'firm')::uuid) = firm and (select auth.uid()) is not null)`, []string{`public.t: policy p on public.t compares firm`},
		closedSQL + `alter table t add firm uuid; create policy p on t for insert to authenticated with check (firm = (select auth.uid())); create policy q on t for select to authenticated using ((select auth.uid()) = user_id)`},
	"policy_in_subselect": {closedSQL + `create policy p on t for select to authenticated using (a = 'x' and org_id in (select m.org_id from auth.memberships m where m.user_id = (select auth.uid()))); create policy q on t for select to authenticated using (org_id = any (select unnest(auth.org_ids())))`,
		[]string{`policy p on public.t: it compares`, `policy q on public.t: it compares`},
		closedSQL + `create policy p on t for select to authenticated using (org_id = any (array(select m.org_id from auth.memberships m where m.user_id in (select auth.uid())))); create policy q on t for select to authenticated using (org_id not in (select unnest(auth.org_ids())));
		create policy r on t for insert to authenticated with check (org_id in (select unnest(auth.org_ids()))); create policy s on t for select to authenticated using (org_id in (select m.org_id from auth.memberships m where m.user_id = t.user_id)); create policy u on t for select to authenticated using (a in ('x', 'y'))`},
	"policy_recursive": {closedSQL + `create table public.u (id bigint, t_id bigint); select auth.enable_rls('public.u');
		create policy p on t for select to authenticated using (id in (select u.t_id from u)); create policy q on u for select to authenticated using (t_id in (select t.id from t)); create policy s on t for insert to authenticated with check (exists (select from t t2 where t2.id = t.id))`,
		[]string{`policy p on public.t: it reads public.u`, `policy q on public.u: it reads public.t`, `policy s on public.t: it reads public.t`},
		closedSQL + `create table public.u (id bigint, t_id bigint); select auth.enable_rls('public.u');
		create policy p on t for select to authenticated using (id in (select u.t_id from u)); create policy q on u for select to authenticated using (t_id > 0); create policy r on u for select to service_role using (t_id in (select t.id from t))`},
	"policy_recursive/hidden": {closedSQL + `create table public.u (id bigint, t_id bigint); select auth.enable_rls('public.u'); create view uv with (security_invoker = true) as select * from u; create view tv with (security_invoker = true) as select * from t;
		create policy p on t for select to authenticated using (id in (select uv.t_id from uv)); create policy q on u for select to authenticated using (t_id in (select tv.id from tv));
		create table public.w (id bigint); select auth.enable_rls('public.w'); create function public.seen(p bigint) returns boolean language plpgsql stable as 'begin return exists (select from only w where w.id = p); end';
		create policy r on w for select to authenticated using (public.seen(id)); create table public.x (id bigint); select auth.enable_rls('public.x');
		create function public.ids() returns setof bigint language sql stable begin atomic select id from public.x; end; create policy s on x for select to authenticated using (id in (select public.ids()))`,
		[]string{`policy p on public.t: it reads public.uv, which comes back to public.t: as authenticated every query ends with 42P17`, `policy q on public.u: it reads public.tv`,
			`policy r on public.w: it calls public.seen(p bigint), which comes back to public.w: as authenticated every query ends with 54001`, `policy s on public.x: it calls public.ids()`},
		closedSQL + `create view tv as select * from t; create policy p on t for select to authenticated using (id in (select tv.id from tv)); create table public.w (id bigint); select auth.enable_rls('public.w');
		create function public.seen(p bigint) returns boolean language plpgsql stable security definer set search_path = pg_catalog, pg_temp as 'begin return exists (select from public.w where id = p); end'; create policy r on w for select to authenticated using (public.seen(id));
		create table public.x (id bigint, ok boolean); select auth.enable_rls('public.x'); create function public.known(p bigint) returns boolean language sql stable as 'select exists (select from x where x.id = p) -- from y';
		create policy s on x for select to authenticated using (ok); create policy s2 on x for insert to authenticated with check (not public.known(id))`},
	"policy_recursive/calls": {closedSQL + `create function public.g() returns setof bigint language plpgsql stable as 'begin return query select id from public.t; end'; create function public.f() returns setof bigint language sql stable as 'select g() -- g(';
		create policy p on t for select to authenticated using (id in (select public.f())); create table public.u (id bigint); select auth.enable_rls('public.u');
		create function public.bound_g() returns setof bigint language sql stable begin atomic select id from public.u; end; create function public.bound_f() returns boolean language sql stable begin atomic select exists (select from public.bound_g()); end;
		create policy q on u for select to authenticated using (public.bound_f() and id > 0); create role keeper; create table public.w (id bigint); select auth.enable_rls('public.w'); grant select on w to keeper;
		create function public.kept() returns boolean language plpgsql stable security definer set search_path = pg_catalog, pg_temp as 'begin return exists (select from public.w); end'; alter function public.kept() owner to keeper;
		create function public.asks_kept(n bigint) returns boolean language plpgsql stable as 'begin return n > 0 and public."kept" (); end'; create policy r on w for select to authenticated, keeper using (public.asks_kept(id));
		create table public.x (id bigint); select auth.enable_rls('public.x'); create function public.from_x() returns bigint language plpgsql stable as 'begin return (select max(id) from public.x); end';
		create view xv as select public.from_x() as id; grant select on xv to authenticated; create policy s on x for select to authenticated using (id <= (select xv.id from xv));
		create function public.c(n bigint) returns boolean language plpgsql stable as 'begin return public.d(n); end'; create function public.d(n bigint) returns boolean language plpgsql stable as 'begin perform public.e(n); return true; end';
		create function public.e(n bigint) returns boolean language plpgsql stable as 'begin /* a */ return exists (select from public.y); /* b */ end'; create table public.y (id bigint); select auth.enable_rls('public.y'); create policy v on y to authenticated using (public.c(id))`,
		[]string{`policy p on public.t: it calls public.f(), which comes back to public.t: as authenticated every query ends with 54001`, `policy q on public.u: it calls public.bound_f(), which comes back to public.u: as authenticated every query ends with 54001`,
			`policy r on public.w: it calls public.asks_kept(n bigint), which comes back to public.w: as authenticated every query ends with 54001`, `policy s on public.x: it reads public.xv, which comes back to public.x: as authenticated every query ends with 54001`,
			`policy v on public.y: it calls public.c(n bigint), which comes back to public.y: as authenticated every query ends with 54001`},
		// The owner of the last function is bound by no policy, or by none that asks again; or the text tells of something else.
		closedSQL + `create function public.g() returns setof bigint language plpgsql stable security definer set search_path = pg_catalog, pg_temp as 'begin return query select id from public.t; end'; create function public.f() returns setof bigint language sql stable as 'select g()';
		create policy p on t for select to authenticated using (id in (select public.f())); create role passes bypassrls; create role holder; create role keeper; create table public.u (id bigint); select auth.enable_rls('public.u'); grant select on u to passes;
		create function public.ug() returns boolean language plpgsql stable security definer set search_path = pg_catalog, pg_temp as 'begin return exists (select from public.u); end'; alter function public.ug() owner to passes;
		create function public.uf() returns boolean language plpgsql stable as 'begin return public.ug(); end'; create policy q on u for select using (public.uf() and id > 0);
		create table public.w (id bigint); alter table w enable row level security; create function public.wg() returns boolean language sql stable security definer begin atomic select exists (select from public.w); end;
		create function public.wf() returns boolean language sql stable begin atomic select public.wg(); end; alter table w owner to holder; alter function public.wg() owner to holder; create policy r on w for select using (public.wf() and id > 0);
		create table public.x (id bigint); select auth.enable_rls('public.x'); grant select on x to keeper; create function public.xg() returns boolean language plpgsql stable security definer set search_path = pg_catalog, pg_temp as 'begin return exists (select from public.x); end';
		alter function public.xg() owner to keeper; create function public.xf() returns boolean language plpgsql stable as 'begin return public.xg(); end'; create policy s on x for select to authenticated using (public.xf() and id > 0);
		create table public.y (id bigint); select auth.enable_rls('public.y'); create function public.yg(n bigint) returns boolean language plpgsql stable as 'begin return n > 0; end'; create function public.yg(n text) returns boolean language plpgsql stable as 'begin return exists (select from public.y); end';
		create function public.yf(n bigint) returns boolean language plpgsql stable as 'begin return public.yg(n); end'; create policy u on y for select to authenticated using (public.yf(id));
		create table public.z (id bigint); select auth.enable_rls('public.z'); create function public.zg() returns boolean language plpgsql stable as 'begin return exists (select from public.z); end';
		create table public.zg (id bigint); create function public.zf(n bigint) returns boolean language plpgsql stable as 'declare zg bigint := 1; begin if n is distinct from zg then raise notice ''not from z, and not by zg()''; end if; if n < 0 then insert into public.zg (id) values (n); end if; /* zg() */ return n > 0; -- from z
		end'; create policy v on z for select to authenticated using (public.zf(id))`},
	"definer_passes_rls": {closedSQL + `create function public.all_rows() returns setof t language plpgsql stable security definer set search_path = pg_catalog, pg_temp as 'begin return query select * from public.t; end'; grant execute on function all_rows() to anon;
		create function public.bound() returns bigint language sql security definer begin atomic select count(*) from public.t; end; create function public.mine() returns setof t language sql security definer set search_path = pg_catalog, pg_temp as 'select * from public.t where user_id = auth.uid()'`,
		[]string{`function public.all_rows(): anon, authenticated may execute it, and it returns rows of public.t as `, `function public.bound(): anon, authenticated may execute it, and it reads public.t as `, `function public.mine(): anon, authenticated may execute it, and it returns rows of public.t as `},
		closedSQL + `create function public.hidden() returns setof t language sql security definer as 'select * from t'; revoke all on function hidden() from public; create function public.as_caller() returns setof t language sql as 'select * from t';
		create function public.keys() returns setof bigint language sql security definer as 'select id from t where user_id = auth.uid()'; create role keeper; create function public.by_keeper() returns setof t language sql security definer as 'select * from t'; alter function by_keeper() owner to keeper; create table c (code text); select auth.enable_rls('c');
		create policy p on c for select to anon, authenticated using (true); create function public.codes() returns setof c language sql security definer as 'select * from c'`},
	"view_not_invoker": {closedSQL + `create view v as select * from t; grant select on v to anon`, []string{`public.v: anon may use it`},
		closedSQL + `create view v with (security_invoker = on) as select * from t; grant select on v to anon; create view w as select 1 as one`},
	"relation_without_rls": {closedSQL + `create materialized view m as select * from t; grant select on m to authenticated`, []string{`public.m: authenticated may use this materialized view`}, closedSQL + `create materialized view m as select * from t`},
	"grant_beyond_rows": {closedSQL + `grant truncate, trigger on t to authenticated; grant references on t to public; create role reporters; grant reporters to authenticated;
		create table u (a int, b int); select auth.enable_rls('u'); grant references (a) on u to reporters; grant insert (b) on u to anon with grant option;
		create view v with (security_invoker = true) as select 1 as one; grant all on v to anon`,
		[]string{`public.t: REFERENCES to public, TRIGGER to authenticated, TRUNCATE to authenticated`, `public.u: INSERT (b) with grant option to anon, REFERENCES (a) to reporters`, `public.v: TRIGGER to anon`},
		closedSQL + `grant all on t to service_role; create materialized view m as select 1 as one; create role reporters; grant truncate on t to reporters`},
	"partition_grant": {`create table public.t (id int) partition by list (id); create table public.t1 partition of public.t default; grant select on t1 to anon`, []string{`public.t1: anon`},
		`create table public.t (id int) partition by list (id); create table public.t1 partition of public.t default; grant select on t to anon`},
	"role_bypasses_rls": {`alter role fluxbase_api bypassrls; alter role anon superuser; grant service_role to authenticated; alter role authenticated createrole; grant anon to fluxbase_server;
		create role backup login bypassrls; create role reporters; grant reporters to fluxbase_server; create table public.mine (); alter table public.mine owner to fluxbase_server; grant anon to service_role`,
		[]string{`role fluxbase_api: it is a superuser`, `role fluxbase_api: it may become anon`, `role anon: it is a superuser`, `role authenticated: it may become `, `role fluxbase_server: it owns public.mine`,
			`role authenticated: it has CREATEROLE`, `role fluxbase_server: it may become anon, reporters`, `role backup: it may log in and has BYPASSRLS`, `role fluxbase_service: it may become anon`},
		tableSQL + `create role reporters; grant reporters to authenticated; create role app login`},
	"role_bypasses_rls/predefined": {`grant pg_read_all_data to anon; grant fluxbase_owner to authenticated`,
		[]string{`role anon: it may become pg_read_all_data`, `role authenticated: it may become fluxbase_owner`, `role fluxbase_api: it may become fluxbase_owner, pg_read_all_data`}, `create role reporters; grant reporters to service_role`},
	"definer_search_path": {`create function public.f() returns int language sql security definer return 1;
		create function public.g() returns int language sql security definer as 'select 1';
		create function public.h() returns int language sql security definer set search_path = '' as 'select 1';
		create function public.i() returns int language sql security definer set search_path = pg_temp, pg_catalog as 'select 1';
		create schema open; grant create on schema open to anon; grant usage on schema open to anon;
		create function public.j(a int, b text) returns int language sql security definer set search_path = open, pg_temp as 'select 1'`,
		[]string{`function public.g(): it takes the search_path of its caller`, `function public.h(): pg_temp is not last`, `function public.i(): pg_temp is not last`, `function public.j(a integer, b text): anon may create objects in schema open`},
		`create function public.g() returns int language sql as 'select 1'; create function public.h() returns int language sql security definer set search_path = pg_catalog, public, pg_temp as 'select 1'`},
	"definer_search_path/list": {`create function public.f() returns int language sql security definer set search_path = 'pg_catalog, pg_temp' as 'select 1';
		create function public.g() returns int language sql security definer set search_path = pg_temp, public, pg_temp as 'select 1';
		do $$ begin execute format('create schema %I; grant create on schema %1$I to anon', session_user); execute format('grant create on database %I to authenticated', current_database()); end $$;
		create function public.h() returns int language sql security definer set search_path = "$user", pg_temp as 'select 1';
		create procedure public.p() language sql security definer set search_path = missing, pg_temp as 'select 1'`,
		[]string{`function public.f(): pg_temp is not last`, `function public.g(): pg_temp is not last`, `function public.h(): anon may create objects in schema`, `procedure public.p(): authenticated may create the schema missing`},
		`create function public.h() returns int language sql security definer set search_path = "$user", "pg_catalog", pg_temp as 'select 1'; create procedure public.p() language sql security definer set search_path = missing, pg_temp as 'select 1'`},
	"function_for_public": {`create function public.f() returns int language sql return 1; create function public.g() returns int language sql security definer return 1; create procedure public.p(a int) language plpgsql as 'begin end'`,
		[]string{`function public.f(): everybody may execute it`, `function public.g(): everybody may execute it, and it runs with the rights of`, `procedure public.p(IN a integer): everybody may execute it`},
		`create function public.e() returns event_trigger language plpgsql as 'begin end'; create function public.f() returns int language sql return 1; revoke all on function public.f() from public; create schema closed; create function closed.f() returns int language sql return 1`},
	"default_grants": {`alter default privileges in schema public grant select, insert on tables to anon`, []string{`in schema public: every new table grants insert, select to anon`}, `alter default privileges grant select on tables to service_role`},
	"default_grants/kinds": {`alter default privileges grant all on sequences to anon; alter default privileges grant execute on functions to anon; alter default privileges in schema public grant execute on functions to public; alter default privileges grant usage on schemas to public`,
		[]string{`every new sequence grants select, update to anon`, `every new function grants execute to anon`, `in schema public: every new function grants execute to public`, `every new schema grants usage to public`},
		`alter default privileges grant usage on sequences to anon; alter default privileges grant execute on functions to service_role`},
	"schema_create": {`grant create on schema public to authenticated`, []string{`schema public: authenticated may create`}, `grant create on schema public to service_role`},
	"schema_create/database": {`do $$ begin execute format('grant create on database %I to anon', current_database()); end $$; grant create on schema auth to authenticated`,
		[]string{`: anon may create schemas in it`, `schema auth: authenticated may create objects in it`}, `do $$ begin execute format('grant create on database %I to service_role', current_database()); end $$`},
	"sequence_grant": {closedSQL + `grant all on sequence t_id_seq to anon; create sequence s; grant select on s to public`, []string{`sequence public.t_id_seq: SELECT to anon, UPDATE to anon`, `sequence public.s: SELECT to public`},
		closedSQL + `create sequence s; grant usage on s to anon; grant all on s to service_role; create schema closed; create sequence closed.s; grant select on closed.s to anon`},
	"own_schema_grant": {`grant select (email) on auth.users to authenticated; grant insert on audit.log to fluxbase_api; grant usage on schema fluxbase to anon; create view auth.mine as select 1 as one; create function auth.mine() returns int language sql return 1`,
		[]string{`auth.users: SELECT (email) to authenticated`, `audit.log: INSERT to fluxbase_api`, `schema fluxbase: USAGE to anon`, `auth.mine: it is in a schema of Fluxbase`, `function auth.mine(): it is in a schema of Fluxbase`},
		`create role clerk; grant select on auth.users to clerk; grant usage on schema audit to clerk`},
	"login_settings": {`alter role fluxbase_api set statement_timeout = 0; alter role fluxbase_service set lock_timeout = '1min'; alter role fluxbase_server reset lock_timeout; alter role fluxbase_server set statement_timeout = '1s';
		do $$ begin execute format('alter role fluxbase_api in database %I set lock_timeout = 0', current_database()); end $$;
		alter role fluxbase_api set search_path = public; alter role fluxbase_service set work_mem = '1GB'; create role other login; alter role other set lock_timeout = '5s';
		do $$ begin if current_setting('server_version_num')::integer >= 170000 then alter role other set transaction_timeout = '60s'; end if; end $$; select set_config('role', 'fluxbase_owner', true);
		grant execute on function fluxbase.begin_request(text, uuid, uuid, uuid, text, text, text, boolean, integer) to other; reset role`,
		[]string{`role fluxbase_api: its statement_timeout is off`, `role fluxbase_service: its lock_timeout is 1min, and the installation's is 5s`, `role fluxbase_server: it has no lock_timeout`, `role fluxbase_server: its statement_timeout is 1s`,
			`role fluxbase_api: its lock_timeout is off`, `role fluxbase_api: it sets search_path to public`, `role fluxbase_service: it sets work_mem to 1GB`, `role other: it has no statement_timeout`, `role other: it has no idle_in_transaction_session_timeout`},
		`alter role fluxbase_api set statement_timeout = '15000'; alter role fluxbase_service set idle_in_transaction_session_timeout = '0.5min'; alter role anon set statement_timeout = 0; alter database postgres set statement_timeout = 0`},
	"setting_without_nullif": {closedSQL + `create policy p on t to authenticated using (user_id = (select current_setting('app.user', true)::uuid)); create policy q on t to authenticated using (a = current_setting('app.a'));
		create policy r on t to authenticated using (a = nullif(current_setting('app.a'), '')); create policy s on t to authenticated using (a = current_setting('app.' || 'a', true));
		create function public.asked() returns uuid language sql stable as 'select current_setting(''app.user'', true)::uuid -- not nullif('; create policy u on t to authenticated using (user_id = (select public.asked()))`,
		[]string{`policy p on public.t: it reads current_setting('app.user'::text, true)`, `policy q on public.t: it reads current_setting('app.a'::text) without nullif(..., '') and missing_ok`, `policy r on public.t: it reads current_setting('app.a'::text) without missing_ok`,
			`policy s on public.t: it reads current_setting(`, `function public.asked(): it reads current_setting('app.user', true) without nullif(..., '')`},
		closedSQL + `create policy p on t to authenticated using (user_id = (select nullif(current_setting('app.user', true), '')::uuid)); create policy q on t to authenticated using (a = nullif(btrim(current_setting('app.a', true)), '') or id = 1 and current_setting('app.on', true) = 'yes');
		create function public.asked() returns uuid language sql stable as 'select nullif(current_setting(''app.user'', true), '''')::uuid'; create policy u on t to authenticated using (user_id = (select public.asked())); create policy v on t to authenticated using (a = current_setting('TimeZone'))`},
	"policy_user_metadata": {closedSQL + `create policy p on t to authenticated using ((select auth.jwt() -> 'user_metadata' ->> 'role') = a)`, []string{`policy p on public.t`}, closedSQL + `create policy p on t to authenticated using ((select auth.jwt() -> 'app_metadata' ->> 'role') = a)`},
	"unique_without_tenant": {closedSQL + `alter table t add constraint t_a_key unique (a); create policy p on t to authenticated using (org_id = any ((select auth.org_ids())::uuid[]))`, []string{`index t_a_key on public.t: it is unique on (a)`},
		closedSQL + `alter table t add unique (org_id, a), add unique (a, org_id), add code uuid default gen_random_uuid() unique; create policy p on t to authenticated using (org_id = any ((select auth.org_ids())::uuid[]))`},
	"unique_without_tenant/kinds": {closedSQL + `create unique index t_low on t (lower(a)); create unique index t_part on t (a) where id > 5; create unique index t_inc on t (a) include (org_id); alter table t add constraint t_ex exclude using btree (a with =);
		create policy p on t to authenticated using (org_id = any ((select auth.org_ids())::uuid[]))`,
		[]string{`index t_low on public.t: it is unique on (lower(a))`, `index t_part on public.t: it is unique on (a)`, `index t_inc on public.t: it is unique on (a)`, `index t_ex on public.t: it is unique on (a)`},
		closedSQL + `create unique index t_low on t ((org_id::text || lower(a))); create policy p on t to authenticated using (org_id = any ((select auth.org_ids())::uuid[]))`},
	"unique_without_tenant/by_hand": {closedSQL + `alter table t add tenant_id bigint, add firm uuid references auth.organizations; create index on t (tenant_id); create unique index t_low on t (a); create policy p on t to authenticated using (tenant_id = (select (auth.jwt() -> 'app_metadata' ->> 'tenant')::bigint));
		create table u (id bigint generated always as identity primary key, firm uuid references auth.organizations, code text unique); create index on u (firm); select auth.enable_rls('u'); create policy p on u to authenticated using (firm = (select (auth.jwt() ->> 'firm')::uuid))`,
		[]string{`index t_low on public.t: it is unique on (a)`, `index u_code_key on public.u: it is unique on (code)`},
		closedSQL + `alter table t add kind bigint; create index on t (kind); create unique index t_low on t (a); create policy p on t to authenticated using (kind = (select (auth.jwt() ->> 'kind')::bigint))`},
	"foreign_key_without_tenant": {closedSQL + `alter table t add parent bigint constraint t_parent_fk references t (id); create policy p on t to authenticated using (org_id = (select auth.current_org_id()))`, []string{`constraint t_parent_fk on public.t: it refers to public.t without org_id`},
		closedSQL + `alter table t add unique (org_id, id), add parent bigint, add foreign key (org_id, parent) references t (org_id, id); create policy p on t to authenticated using (org_id = (select auth.current_org_id()))`},
	"user_reference_without_key/reversed": {closedSQL + `alter table t add author uuid; create policy p on t to authenticated using ((select auth.uid()) = author)`, []string{`public.t: author is compared`}, `select`},
	"user_reference_without_key":          {closedSQL + `alter table t add author uuid; create policy p on t to authenticated using (author = (select auth.uid()))`, []string{`public.t: author is compared`}, closedSQL + `create policy p on t to authenticated using (user_id = (select auth.uid()))`},
	"tenant_table_open": {tenantSQL + `create policy p on acme.made to authenticated using (true); create table acme.other (id bigint primary key); select auth.enable_rls('acme.other');
		grant select on acme.other to authenticated; create policy tenant_schema on acme.other as restrictive to authenticated using ((select auth.require_tenant(gen_random_uuid())))`,
		[]string{`acme.made: it is in the schema of a tenant`, `acme.other: it is in the schema of a tenant`},
		tenantSQL + `create policy p on acme.made to authenticated using (true); select auth.lock_tenant_schema('acme', 'aaaaaaaa-0000-4000-8000-000000000001')`},
	"default_grants/quoted": {`create role "Old Owner"; alter default privileges for role "Old Owner" grant all on sequences to anon`, []string{`default privileges of "Old Owner": every new sequence grants select, update to anon`}, `select`},
	"definer_passes_rls/open": {closedSQL + `create table c (code text); select auth.enable_rls('c'); create policy p on c for select to authenticated using (true); create function public.codes() returns setof c language sql security definer as 'select * from public.c'`,
		[]string{`function public.codes(): anon, authenticated may execute it, and it returns rows of public.c`}, `select`},
	"definer_passes_rls/policy": {closedSQL + `create function public.is_mine(n bigint, u uuid) returns boolean language sql stable security definer set search_path = pg_catalog, pg_temp as 'select exists (select from public.t where id = n and user_id = u)';
		create policy p on t to authenticated using (public.is_mine(id, (select auth.uid())))`, []string{`function public.is_mine(n bigint, u uuid): anon, authenticated may execute it, and it reads public.t`}, `select`},
	"definer_search_path/body": {closedSQL + `create function public.g() returns bigint language sql security definer as 'select count(*) from t'; create schema open; grant create on schema open to anon; create schema "Mine"; create function "Mine".h() returns bigint language sql security definer set search_path = pg_temp, open, "Mine", public as 'select count(*) from t';
		grant usage on schema "Mine" to authenticated; create procedure "Mine".p(inout n int) language plpgsql security definer as 'begin n := 1; end'`,
		[]string{`function public.g(): it takes the search_path of its caller`, `function "Mine".h(): pg_temp is not last`, `procedure "Mine".p(INOUT n integer): it takes`}, `select`},
	"function_for_public/callers": {closedSQL + `create function public.even(n bigint) returns boolean language sql immutable return n % 2 = 0; create function public.stamp() returns text language plpgsql stable as 'begin return ''x''; end'; alter table t alter a set default public.stamp();
		create function public.agreed(x text) returns boolean language plpgsql immutable as 'begin return x <> ''''; end'; alter table t add constraint t_a_ck check (public.agreed(a)); create function public.shown(x text) returns text language plpgsql immutable as 'begin return x; end';
		create view v with (security_invoker = true) as select public.shown(a) as a from t; grant select on v to authenticated; create policy p on t to authenticated using (public.even(id) or true);
		create aggregate public."Last" (text) (sfunc = textcat, stype = text); create aggregate public.middle(float8 order by anyelement) (sfunc = ordered_set_transition, stype = internal, finalfunc = percentile_disc_final, finalfunc_extra)`,
		[]string{`function public.even(n bigint): everybody`, `function public.stamp(): everybody`, `function public.agreed(x text): everybody`, `function public.shown(x text): everybody`, `function public."Last"(text): everybody`, `function public.middle(double precision, anyelement): everybody`}, `select`},
	"grant_beyond_rows/given": {closedSQL + `create role reporters; alter table t add "Team Id" uuid; grant references ("Team Id") on t to anon; grant select on t to anon with grant option; set local role anon; grant select on t to reporters; reset role;
		create role lender; grant truncate, update (a) on t to lender with grant option; set local role lender; grant truncate on t to authenticated; grant update (a) on t to anon with grant option; reset role`,
		[]string{`public.t: REFERENCES ("Team Id") to anon, SELECT with grant option to anon, TRUNCATE to authenticated, UPDATE (a) with grant option to anon`}, `select`},
	"own_schema_grant/given": {`create role lender; grant select on auth.users to lender with grant option; grant usage on schema audit to lender with grant option; grant usage on schema auth to lender; set local role lender; grant select on auth.users to anon; grant usage on schema audit to service_role; reset role;
		grant usage on sequence audit.log_id_seq to public`, []string{`auth.users: SELECT to anon`, `schema audit: USAGE to service_role`, `audit.log_id_seq: USAGE to public`}, `select`},
	"partition_grant/later": {`create role reporters; grant reporters to authenticated; create role lender; create table public.t (id int, "Day" date, user_id uuid) partition by range ("Day"); create index on t (user_id); select auth.enable_rls('public.t'); grant select on t to authenticated;
		create policy p on t to authenticated using (user_id = (select auth.uid())); create table public.later (id int, "Day" date, user_id uuid) partition by list (id); create table public.leaf partition of later default;
		grant select ("Day"), insert on later to authenticated; grant update on leaf to reporters; grant select on leaf to lender with grant option; set local role lender; grant select on leaf to anon; reset role; alter table t attach partition later for values from ('2026-01-01') to ('2027-01-01');
		alter default privileges in schema public grant select on tables to anon; create table public.t_old partition of t for values from ('2025-01-01') to ('2026-01-01'); alter table t_old enable row level security; alter table t_old force row level security;
		create table public.parent (id int); revoke all on parent from anon; select auth.enable_rls('public.parent'); create table public.child (id int); revoke all on child from anon; grant select on child to public; alter table child inherit parent;
		create table public.ruled () inherits (parent); revoke all on ruled from anon; grant select on ruled to authenticated; select auth.enable_rls('public.ruled'); create policy p on ruled for select to authenticated using (id > 0)`,
		[]string{`public.later: authenticated may use this partition of public.t directly, and row security is off`, `public.leaf: anon, reporters may use this partition of public.later directly, and row security is off`,
			`public.t_old: anon may use this partition of public.t directly, where no policy lets them see a row`, `public.child: anon, authenticated, reporters may use this child of public.parent directly, and row security is off`,
			`public.ruled: authenticated may use this child of public.parent directly, where its own policies hold and those above it do not`}, `select`},
	"policies_without_rls/partition": {`create table public.t (id int) partition by list (id); create table public.t1 partition of public.t default; create policy p on t1 to authenticated using (id > 0); create policy q on t1 to anon using (id > 0)`, []string{`public.t1: 2 policies, and`}, `select`},
	"policy_without_roles/callers":   {closedSQL + `insert into t (a) values ('x'); grant select on t to anon; create policy "Shown" on t for select using (a = 'x')`, []string{`policy "Shown" on public.t: it names no role`}, `select`},
	"policy_without_roles/service":   {tableSQL + `insert into t (a) values ('x'); alter table t enable row level security; alter table t force row level security; grant select on t to authenticated, service_role; create policy p on t for select using (a = 'x')`, []string{`policy p on public.t: it names no role`}, `select`},
	"relation_without_rls/foreign":   {`create foreign data wrapper none; create server s foreign data wrapper none; create foreign table public.f (a int) server s; grant all on f to public; create materialized view public.m as select 1 as "One"; grant select ("One") on m to anon`, []string{`public.f: anon, authenticated may use this foreign table`, `public.m: anon may use this materialized view`}, `select`},
	"relation_without_rls/member":    {`create materialized view public.m as select 1 as one; alter role anon inherit; grant pg_read_all_data to anon`, []string{`public.m: anon may use this materialized view`}, `select`},
	"role_bypasses_rls/ways": {`create role staff; create role helpers; create table public.mine (); alter table public.mine owner to staff; grant pg_read_all_data to staff; grant staff to helpers; grant helpers to authenticated;
		create role boss createrole; create role lender; grant boss to lender with admin option; set local role lender; grant boss to anon; reset role`,
		[]string{`role authenticated: it may become pg_read_all_data, staff`, `role helpers: it may become pg_read_all_data, staff`, `role fluxbase_api: it may become boss, pg_read_all_data, staff`, `role anon: it may become boss`}, `select`},
	"schema_create/owner": {`create role staff; grant staff to authenticated; create schema theirs authorization staff; create schema open; create role lender; grant create on schema open to lender with grant option; set local role lender; grant create on schema open to public; reset role`,
		[]string{`schema theirs: staff may create objects`, `schema open: anon, authenticated, staff may create objects`}, `select`},
	"sequence_grant/given":   {`create sequence public."Mine"; create role lender; grant update on sequence "Mine" to lender with grant option; set local role lender; grant update on sequence "Mine" to anon; reset role; grant all on sequence "Mine" to authenticated`, []string{`sequence public."Mine": SELECT to authenticated, UPDATE to anon, UPDATE to authenticated`}, `select`},
	"tenant_table_open/gone": {tenantSQL + `create policy p on acme.made to authenticated using (true); delete from auth.organizations`, []string{`acme.made: it is in the schema of a tenant`}, `select`},
	"user_reference_without_key/kinds": {`create table public.p (id int, user_id uuid) partition by list (id); create index on p (user_id); select auth.enable_rls('public.p'); grant select on p to authenticated; create policy p on p for select to authenticated using (user_id = (select auth.uid()));
		create table public.u ("User" text); create index on u ("User"); select auth.enable_rls('public.u'); grant select on u to authenticated; create policy p on u for select to authenticated using ("User" = (select auth.uid()::text))`, []string{`public.p: user_id is compared`, `public.u: "User" is compared`}, `select`},
	"context_not_verified": {`@sql/context/plain.sql`, []string{`function auth.verified_context_text()`}, `select`},
	// PostgreSQL itself grants it, so here the sound database is the changed one.
	"temporary_for_public": {`select`, []string{`database `}, `do $$ begin execute format('revoke temporary on database %I from public', current_database()); end $$`},
}

// keeps is what requests may do before the fixes of a defect have run and must be able to do afterwards.
var keeps = map[string]string{
	"definer_search_path/body":     `set local role authenticated; select public.g(), "Mine".h()`,
	"function_for_public/callers":  `set local role authenticated; insert into public.t default values; select a from public.v`,
	"partition_grant/later":        `set local role authenticated; select from public.t`,
	"policy_without_roles/callers": `set local role anon; select 1 / count(*) from public.t`,
	"policy_without_roles/service": `set local role service_role; select 1 / count(*) from public.t`,
}

// advice are the lints, some or all of whose fixes are no statement but a choice, and why.  Their pages show one way, and that the finding goes.
var advice = map[string]string{
	"context_not_verified":        "a command of the shell",
	"database_locale":             "the database is made anew",
	"definer_passes_rls":          "one that a policy calls asks who is calling; another runs as its caller",
	"foreign_key_without_tenant":  "the key that is referred to changes, too",
	"own_schema_grant":            "objects of others go where they belong; grants are revoked",
	"policy_check_without_column": "which rows may become what",
	"policy_constant_or":          "who has the other policy",
	"policy_identity_per_row":     "the expression is rewritten",
	"policy_in_subselect":         "the expression is rewritten",
	"policy_recursive":            "what breaks the circle",
	"policy_true_for_writes":      "which rows",
	"policy_user_metadata":        "where it comes from instead",
	"relation_without_rls":        "no grant gives the right, a membership does; grants are revoked",
	"rls_without_policy":          "which rows, or no grant",
	"role_bypasses_rls":           "who owns the tables instead; attributes and memberships are taken away",
	"schema_create":               "who owns the schema instead; grants are revoked",
	"setting_without_nullif":      "the expression is rewritten",
	"user_reference_without_key":  "a column of another type; one of uuid gets the key",
	"unique_without_tenant":       "upserts and foreign keys may name the key",
}
