package resttest

import (
	"flag"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Exposed are the schemas that schema.sql is for.
var Exposed = []string{"public", "other"}

// goldenPath is the path of a file of the golden directory, whatever package is tested.
func goldenPath(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "testdata", "golden", "rest", name)
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above " + dir)
		}
		dir = filepath.Dir(dir)
	}
}

// Read returns a file of the golden directory.
func Read(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(goldenPath(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Compare compares text with a golden file, or rewrites it with -update.
func Compare(t testing.TB, name string, text []byte) {
	t.Helper()
	path := goldenPath(t, name)
	if *update {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run with -update)", err)
	}
	if string(want) != string(text) {
		got, wanted := strings.Split(string(text), "\n"), strings.Split(string(want), "\n")
		for i := range min(len(got), len(wanted)) {
			if got[i] != wanted[i] {
				t.Fatalf("%s line %d:\n got %s\nwant %s", name, i+1, got[i], wanted[i])
			}
		}
		t.Fatalf("%s has %d lines, want %d", name, len(got), len(wanted))
	}
}

// Catalog is the catalog of schema.sql as TestCatalogDocument keeps it, for tests without a database.
func Catalog(t testing.TB) *catalog.Catalog {
	t.Helper()
	c, err := catalog.New(catalog.Schemas{Exposed: Exposed}, Read(t, "catalog.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ReadMedia(Read(t, "media.json")); err != nil {
		t.Fatal(err)
	}
	return c
}

// Requests reads a file of requests.
func Requests(t testing.TB, name string) (lines []string, inputs []dialect.Input) {
	t.Helper()
	for line := range strings.Lines(string(Read(t, name))) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		lines = append(lines, line)
		inputs = append(inputs, Line(t, line))
	}
	return lines, inputs
}

// Line reads "[+][{Name: value|Name: value} ]METHOD path [body]".
func Line(t testing.TB, line string) dialect.Input {
	t.Helper()
	in := dialect.Input{Header: http.Header{}}
	if rest, ok := strings.CutPrefix(line, "+"); ok {
		line = rest
		in.Header.Set("Prefer", "return=representation")
	}
	if rest, ok := strings.CutPrefix(line, "{"); ok {
		var headers string
		headers, line, _ = strings.Cut(rest, "} ")
		for _, header := range strings.Split(headers, "|") {
			name, value, _ := strings.Cut(header, ": ")
			in.Header.Add(name, value)
		}
	}
	method, line, _ := strings.Cut(line, " ")
	path, body, _ := strings.Cut(line, " ")
	path, in.RawQuery, _ = strings.Cut(path, "?")
	name, err := url.PathUnescape(path)
	if err != nil {
		t.Fatal(err)
	}
	in.Method, in.Body = method, []byte(body)
	if rpc, ok := strings.CutPrefix(name, "/rpc/"); ok {
		in.Target, in.Name = dialect.Function, rpc
	} else {
		in.Name = strings.TrimPrefix(name, "/")
	}
	return in
}
