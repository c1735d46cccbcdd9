package policy

import (
	"bytes"
	"encoding/xml"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestParseTAP(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, output, problem string
		tests                 []Test
	}{
		{"good", "ok 1 - a\nok 2 - b\n1..2\n", "", []Test{{Name: "a", OK: true}, {Name: "b", OK: true}}},
		{"bad", "1..1\nnot ok 1 - a\n# one\n#  two\nnoise\n", "", []Test{{Name: "a", Diagnosis: "one\n two"}}},
		{"skipped", "ok 1 - a # SKIP why\nnot ok 2 - b # todo later\n1..2\n", "", []Test{{Name: "a", OK: true, Skipped: true}, {Name: "b", Skipped: true}}},
		{"bare", "ok\r\nnot ok 2\n1..2\n", "", []Test{{OK: true}, {}}},
		{"no word of ours", "okay\nnot okay\n1..0\n", "no tests", nil},
		{"no plan", "ok 1 - a\n", "no plan", []Test{{Name: "a", OK: true}}},
		{"too few", "ok 1 - a\n1..2\n", "planned 2 tests, ran 1", []Test{{Name: "a", OK: true}}},
		{"two plans", "1..1\nok 1 - a\n1..1\n", "two plans", []Test{{Name: "a", OK: true}}},
		{"abort", "ok 1 - a\nBail out! lost\nok 2\n1..2\n", "bail out: lost", []Test{{Name: "a", OK: true}}},
		{"nothing", "", "no plan", nil},
	} {
		tests, problem := parseTAP(c.output)
		if !reflect.DeepEqual(tests, c.tests) || !strings.HasPrefix(problem, c.problem) || (c.problem == "") != (problem == "") {
			t.Errorf("%s: %+v, %q", c.name, tests, problem)
		}
	}
}

func TestRunTests(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.exec(t, `select auth.create_user('ann@example.com', 'a long enough passphrase')`)
	b.apply(t, notes)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.sql":      "begin;\nselect auth.test_sees_nothing(null, 'select * from public.notes');\nselect auth.test_sees('ann@example.com', 'select * from public.notes', 0);\nselect auth.test_finish();\nrollback;\n",
		"b.sql":      "begin;\n\\set user ann@example.com\nselect auth.test_sees(:'user', 'select * from public.notes', 7, 'sees <7> \x01');\nselect auth.test_finish();\nrollback;\n",
		"sub/c.sql":  "begin;\nselect nothing;\n",
		"sub/d.sql":  "select 'x';\n",
		".#a.sql":    "what an editor left;\n",
		".git/h.sql": "select 'x';\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var reports []Report
	var out bytes.Buffer
	if err := RunTests(t.Context(), b.db.URL("installer"), dir, 3, func(r Report) {
		reports = append(reports, r)
		if err := WriteReport(&out, r); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{0, 1, 1, 1} {
		if got := reports[i].Failed(); got != want {
			t.Errorf("%s: %d failed, want %d: %+v", reports[i].File, got, want, reports[i])
		}
	}
	for _, text := range []string{"ok     " + dir + "/a.sql (2 tests, ", "FAILED " + dir + "/b.sql (1 tests, ", "  not ok: sees <7> ", `column "nothing" does not exist`, "no plan: "} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("no %q in\n%s", text, out.String())
		}
	}
	out.Reset()
	if err := WriteJUnit(&out, reports); err != nil {
		t.Fatal(err)
	}
	var suites junitSuites
	if err := xml.Unmarshal(out.Bytes(), &suites); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if suites.Tests != 5 || suites.Failures != 3 || len(suites.Suites) != 4 || suites.Suites[1].Cases[0].Failure == nil || suites.Suites[0].Cases[0].Failure != nil {
		t.Errorf("%+v", suites)
	}
	if err := RunTests(t.Context(), "", t.TempDir(), 1, func(Report) {}); err == nil {
		t.Error("a directory without tests passes")
	}
}
