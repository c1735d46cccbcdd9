package sqltest

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// The same table that controlplane/password runs. Settings beyond their bounds are written past auth.set_setting.
func TestPasswordPolicyCases(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../testdata/password_policy.json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Common []string
		Cases  []struct {
			Name     string
			Settings map[string]any
			Password string
			Email    string
			Expect   []string
		}
	}
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Cases) < 40 {
		t.Fatalf("only %d cases", len(table.Cases))
	}
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	exec(t, super, `delete from auth.common_passwords`)
	exec(t, super, `insert into auth.common_passwords select lower(p collate "C") from unnest($1::text[]) p`, table.Common)
	for _, c := range table.Cases {
		settings, err := json.Marshal(c.Settings)
		if err != nil {
			t.Fatal(err)
		}
		exec(t, super, `update auth.settings s set value = j.value from jsonb_each_text($1) j where j.key = s.key`, string(settings))
		if got := one[[]string](t, admin, `select auth.password_violations($1, $2)`, c.Password, c.Email); !slices.Equal(got, c.Expect) {
			t.Errorf("%s: %q: got %q, want %q", c.Name, c.Password, got, c.Expect)
		}
	}
}

func TestCommonPasswordsOfTheServer(t *testing.T) {
	t.Parallel()
	var list []string
	server := pgtest.Database(t).Conn(t, "fluxbase_server")
	if err := json.Unmarshal(one[json.RawMessage](t, server, `select fluxbase.common_passwords()`), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) < 150 || !slices.Contains(list, "password1234") {
		t.Errorf("%d passwords", len(list))
	}
}
