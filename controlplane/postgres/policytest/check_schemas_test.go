package policytest

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// careless is what is done to a schema that was in order, and what auth.check() then says: "code object", with a star where the fix is advice.
var careless = map[string][2]string{
	"atlas": {`grant all on atlas.cache to authenticated`, `
		error grant_beyond_rows atlas.cache
		error rls_disabled atlas.cache`},
	"blog": {`grant select, insert, update, delete on all tables in schema blog to anon, authenticated; create table blog.page_views_2026_12 partition of blog.page_views for values from ('2026-12-01') to ('2027-01-01');
		grant select on blog.page_views_2026_12 to authenticated; alter default privileges in schema blog grant select on tables to authenticated; create table blog.drafts (id bigserial primary key, author_id uuid references auth.users, body text);
		create policy own_post on blog.comments for update to authenticated using ((select auth.uid()) = author_id or exists (select 1 from blog.posts p where p.id = post_id and p.author_id = (select auth.uid())))`, `
		error partition_grant blog.page_views_2026_12
		error rls_disabled blog.drafts
		info partition_grant blog.audit_entries_2026
		info partition_grant blog.audit_entries_all
		info partition_grant blog.page_views_2026_10
		info partition_grant blog.page_views_2026_11
		info partition_grant blog.page_views_rest
		warning default_grants default privileges of postgres in schema blog
		warning relation_without_rls blog.popular
		warning relation_without_rls blog.tag_cloud`},
	"shop": {`grant select, insert, update, delete on all tables in schema shop to authenticated; grant select on sequence shop.orders_id_seq to authenticated; create policy "Own orders" on shop.orders for select using (auth.uid() = customer_id);
		create function shop.is_staff(p_merchant integer) returns boolean language sql stable security definer set search_path = '' as $$ select exists (select 1 from shop.staff s where s.merchant_id = p_merchant and s.user_id = (select auth.uid())) $$;
		create policy staff_updates on shop.products for update to authenticated using (shop.is_staff(merchant_id)); create policy sign_up on shop.returns for insert to authenticated with check (true);
		create function shop.count_orders() returns bigint language plpgsql security definer set search_path = shop, pg_temp as $$ begin return (select count(*) from shop.orders); end $$;
		create function shop.country_list() returns setof shop.countries language sql stable security definer set search_path = shop, pg_temp as $$ select * from shop.countries $$`, `
		error definer_search_path function shop.is_staff(p_merchant integer)
		error function_for_public function shop.count_orders()
		error function_for_public function shop.country_list()
		error function_for_public function shop.is_staff(p_merchant integer)
		error policy_identity_per_row policy "Own orders" on shop.orders*
		error policy_true_for_writes policy sign_up on shop.returns*
		error policy_without_roles policy "Own orders" on shop.orders
		info rls_without_policy shop.job_queue*
		warning definer_passes_rls function shop.count_orders()
		warning policy_identity_per_row policy staff_updates on shop.products*
		warning relation_without_rls shop.best_sellers
		warning sequence_grant sequence shop.orders_id_seq`},
}

// Schemas as other programs leave them, closed as the guides tell, are in order; and who pastes every fix that is SQL is left with advice.
func TestCheckOnSchemasOfOthers(t *testing.T) {
	t.Parallel()
	for name, c := range careless {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := pgtest.Database(t).Conn(t, "superuser")
			if one[int](t, conn, `select count(*) from pg_available_extensions where name in ('citext', 'pg_trgm', 'hstore', 'ltree', 'btree_gist')`) < 5 {
				t.Skip("this PostgreSQL has no contrib")
			}
			for _, file := range []string{name, name + "_rules"} {
				text, err := os.ReadFile("../../../testdata/thirdparty/" + file + ".sql")
				if err != nil {
					t.Fatal(err)
				}
				exec(t, conn, string(text))
			}
			if found := lines(t, conn, `select concat_ws(' ', severity, code, object, evidence) from auth.check('info') where code <> 'temporary_for_public'`); len(found) > 0 {
				t.Errorf("closed: %s", strings.Join(found, "\n"))
			}
			exec(t, conn, c[0])
			var want, got, advised, left []string
			for line := range strings.Lines(strings.TrimSpace(c[1])) {
				want = append(want, strings.TrimSpace(line))
			}
			for _, f := range check(t, conn) {
				if f.Code == "temporary_for_public" {
					continue
				}
				line := f.Severity + " " + f.Code + " " + f.Object
				if f.runs() {
					exec(t, conn, f.Fix)
				} else {
					line += "*"
					advised = append(advised, line)
				}
				got = append(got, strings.ReplaceAll(line, conn.Config().User, "postgres"))
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("careless: got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			for _, f := range check(t, conn) {
				if line := f.Severity + " " + f.Code + " " + f.Object; f.Code != "temporary_for_public" && !slices.Contains(advised, line+"*") && f.Code != "rls_without_policy" {
					left = append(left, line)
				}
			}
			if len(left) > 0 {
				t.Errorf("after the fixes: %s", strings.Join(left, "\n"))
			}
		})
	}
}
