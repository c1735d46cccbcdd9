package config

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated part of docs/configuration.md")

// The table itself: what each row must be for all that derives from it.
func TestTable(t *testing.T) {
	t.Parallel()
	variables := map[string]string{"FLUXBASE_CONFIG": "the file"}
	form := regexp.MustCompile(`^[a-z]+(_[a-z]+)*(\.[a-z]+(_[a-z]+)*)*$`)
	for i, o := range options() {
		if i == 0 && o.Key != "mode" {
			t.Error("mode is not first: defaults depend on it")
		}
		if !form.MatchString(o.Key) || o.Type == "" || !strings.HasSuffix(strings.TrimRight(o.Description, "`*"), ".") {
			t.Errorf("%s: key, type or description is not in form", o.Key)
		}
		names := []string{o.Variable}
		if o.Secret {
			names = append(names, o.Variable+"_FILE")
		}
		for _, name := range names {
			if other, taken := variables[name]; taken {
				t.Errorf("%s and %s share the variable %s", o.Key, other, name)
			}
			if strings.HasPrefix(name, testPrefix) {
				t.Errorf("%s has a variable of the tests", o.Key)
			}
			variables[name] = o.Key
		}
		if o.Secret && (o.Default != "" || o.DevelopmentDefault != "") {
			t.Errorf("%s: a secret has a default", o.Key)
		}
		for _, text := range []string{o.Default, o.DevelopmentDefault} {
			if text == "" {
				continue
			}
			c := &Config{}
			in, faults := fromText(text, o.shape)
			faults = append(faults, o.assign(c, in)...)
			if len(faults) > 0 {
				t.Errorf("%s: its default is refused: %v", o.Key, faults[0].err)
			} else if got := o.show(c); got != text {
				t.Errorf("%s: default %q is shown as %q", o.Key, text, got)
			}
		}
	}
}

// docs/configuration.md holds the reference between two marks.
func TestReferenceIsCurrent(t *testing.T) {
	const (
		path  = "../../docs/configuration.md"
		begin = "<!-- begin: fluxbase config --markdown -->\n"
		end   = "<!-- end -->\n"
	)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), begin)
	current, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no part between %q and %q", path, begin, end)
	}
	if current == Reference() {
		return
	}
	if !*update {
		t.Fatal("the reference is not current; run: go test ./controlplane/config -update")
	}
	if err := os.WriteFile(path, []byte(before+begin+Reference()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Each YAML block of the guides loads.
func TestGuide(t *testing.T) {
	t.Parallel()
	var blocks [][]string
	for _, page := range []string{"configuration", "oauth"} {
		data, err := os.ReadFile("../../docs/" + page + ".md")
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(data), -1)
		if len(found) == 0 {
			t.Fatalf("the page %s has no example", page)
		}
		blocks = append(blocks, found...)
	}
	for _, block := range blocks {
		path := t.TempDir() + "/fluxbase.yaml"
		if err := os.WriteFile(path, []byte(block[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		const secret = "pZ3vQ8kXw1LrT6nYb0JmHs5dGfCa9eUi2oVx7tRq"
		secretFile := t.TempDir() + "/jwt"
		if err := os.WriteFile(secretFile, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
		keyFile := t.TempDir() + "/key"
		if err := os.WriteFile(keyFile, []byte("k"+secret), 0o600); err != nil {
			t.Fatal(err)
		}
		environ := []string{"DATABASE_URL=postgres://db/app", "JWT_SECRET_FILE=" + secretFile,
			"KEY_FILE=" + keyFile, "GITHUB_SECRET_FILE=" + keyFile}
		if !strings.Contains(block[1], "database:") {
			environ = append(environ, "FLUXBASE_DATABASE_URL=postgres://db/app", "FLUXBASE_AUTH_JWT_SECRET_FILE="+secretFile)
		}
		if _, err := Load(path, environ); err != nil {
			t.Errorf("%s\n%v", block[1], err)
		}
	}
}
