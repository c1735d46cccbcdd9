package password

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The case table also runs against auth.password_violations.
func TestPolicyCases(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../testdata/password_policy.json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Common []string
		Cases  []struct {
			Name     string
			Settings Settings
			Password string
			Email    string
			Expect   []Code
		}
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&table); err != nil {
		t.Fatal(err)
	}
	if len(table.Cases) < 40 {
		t.Fatalf("only %d cases", len(table.Cases))
	}
	seen := map[Code]bool{}
	for _, tc := range table.Cases {
		for _, code := range tc.Expect {
			seen[code] = true
		}
		t.Run(tc.Name, func(t *testing.T) {
			t.Parallel()
			got := NewPolicy(tc.Settings, table.Common).Check(tc.Password, tc.Email)
			if !slices.Equal(got, tc.Expect) {
				t.Errorf("%q: got %q, want %q", tc.Password, got, tc.Expect)
			}
		})
	}
	for _, code := range []Code{CodeLength, CodeTooLong, CodeCharacters, CodeEmail, CodeCommon} {
		if !seen[code] {
			t.Errorf("no case expects %s", code)
		}
	}
}

// What the table cannot hold, because PostgreSQL cannot.
func TestPolicyRefusesWhatCannotBeStored(t *testing.T) {
	t.Parallel()
	p := NewPolicy(Settings{MinLength: 12}, nil)
	for _, password := range []string{"kiwi\x00lantern row", "kiwi\xfflantern row", "kiwi\xed\xa0\x80lantern row"} {
		if got := p.Check(password, ""); !reflect.DeepEqual(got, []Code{CodeCharacters}) {
			t.Errorf("%q: got %q", password, got)
		}
	}
}
