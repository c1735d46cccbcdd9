package gateway

import (
	"testing"

	"github.com/google/uuid"
)

// The gate's probes run as the owner of everything. What another role made in a schema of the default search path must not
// take part in them, also not when they put the search path back: an operator that fits better than PostgreSQL's own would.
func TestGateIgnoresTheSearchPath(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	f.exec(t, `
		create table public.ran_as (name text);
		grant insert on public.ran_as to public;
		create function public.spied(text, uuid) returns text language plpgsql volatile as $$
		begin
			begin
				insert into public.ran_as values (current_user);
			exception when others then null; end;
			return $1 operator(pg_catalog.||) $2;
		end $$;
		create operator public.|| (leftarg = text, rightarg = uuid, function = public.spied);
		create function public.spied(oid, int) returns boolean language plpgsql volatile as $$
		begin
			begin
				insert into public.ran_as values (current_user);
			exception when others then null; end;
			return $1 operator(pg_catalog.<>) $2::oid;
		end $$;
		create operator public.<> (leftarg = oid, rightarg = int, function = public.spied);`)
	issuer := Caller{Role: "authenticated", IssuerID: uuid.New(), Claims: []byte(`{"role":"authenticated"}`)}
	f.exec(t, "insert into auth.trusted_issuers (id, name, issuer, allowed_roles) values ('"+issuer.IssuerID.String()+"', 'other', 'https://other', '{authenticated}')")
	key := Caller{Role: "authenticated", UserID: ann, APIKeyID: uuid.New()}
	f.exec(t, "insert into auth.api_keys (id, kind, name, prefix, key_hash, user_id) values ('"+key.APIKeyID.String()+"', 'user', 'k', 'fb_test_', sha256('k'), '"+ann.String()+"')")
	pending := annCaller()
	pending.MayOweFactor = true

	for range 3 { // with the plans of a first call and of later ones
		for _, caller := range []Caller{annCaller(), anonCaller(), issuer, key} {
			f.one(t, caller, write, "select 1")
		}
		for _, caller := range []Caller{annCaller(), pending, key} {
			if _, err := f.Entry(t.Context(), caller, "select '{}'::jsonb", nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := f.value(t, "select array(select distinct name from public.ran_as order by 1)"); got != "{}" {
		t.Errorf("operators in public ran as %s", got)
	}
}
