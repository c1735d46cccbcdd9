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

// The server's login may read the key of contexts. What a statement of it does not qualify is PostgreSQL's all the same: of
// jsonb_object_agg("any", "any") and one in public for the types at hand, the latter fits better.
func TestEntryIgnoresTheSearchPath(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	f.exec(t, `
		create function public.spied(jsonb, text, bigint) returns jsonb language plpgsql volatile as $$
		begin
			return jsonb_build_object('ran as', current_user);
		end $$;
		create aggregate public.jsonb_object_agg(text, bigint) (sfunc = public.spied, stype = jsonb)`)
	pending := annCaller()
	pending.MayOweFactor = true
	for _, caller := range []Caller{anonCaller(), annCaller(), pending} {
		got, err := f.Entry(t.Context(), caller, "select jsonb_object_agg('task'::text, 1::bigint)", nil)
		if err != nil || string(got) != `{"task": 1}` {
			t.Errorf("%s %v", got, err)
		}
	}
}
