package config

import (
	"regexp"
	"strconv"
	"testing"

	"github.com/wayli-app/fluxbase"
)

// What the configuration accepts for a setting of the database is what the database accepts.
func TestSettingsAgreeWithTheDatabase(t *testing.T) {
	t.Parallel()
	definitions, err := fluxbase.Files.ReadFile("sql/admin/setting_definitions.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range options() {
		if o.setting == "" {
			continue
		}
		row := regexp.MustCompile(`\('` + o.setting + `', '([^']*)', '(\w+)', (\w+), (\w+),`).FindStringSubmatch(string(definitions))
		if row == nil {
			t.Errorf("%s: the database has no setting %s", o.Key, o.setting)
			continue
		}
		unit := ""
		switch kind := row[2]; kind {
		case "interval":
			unit = "s"
		case "integer", "boolean":
			if row[1] != o.Default {
				t.Errorf("%s: default %s, in the database %s", o.Key, o.Default, row[1])
			}
		case "text":
			if !o.always || row[1] != "" {
				t.Errorf("%s: the database has a source of its own", o.Key)
			}
		default:
			t.Errorf("%s: unexpected kind %s", o.Key, kind)
		}
		for _, limit := range []struct {
			text    string
			outward int
		}{{row[3], -1}, {row[4], 1}} {
			if limit.text == "null" {
				continue
			}
			number, err := strconv.Atoi(limit.text)
			if err != nil {
				t.Fatal(err)
			}
			accepts := func(n int) bool { return len(o.assign(&Config{}, input{text: strconv.Itoa(n) + unit})) == 0 }
			if !accepts(number) || accepts(number+limit.outward) {
				t.Errorf("%s: %d is not its limit, as it is in the database", o.Key, number)
			}
		}
	}
}
