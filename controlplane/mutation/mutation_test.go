package mutation

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// mutation is one section of a file in testdata/mutations.
type mutation struct {
	name     string // rule and sentence
	file     string
	pkg      string
	tests    string // pattern of go test -run, whole names
	from, to string
}

var section = regexp.MustCompile("(?s)^(.+?)\n\n- file: (\\S+)\n- test: (\\./\\S+) (\\S+)\n\n```from\n(.*?)\n```\n\n```to\n(.*?)\n?```\n*$")

// mutations reads all files.
func mutations(t *testing.T) []mutation {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "testdata/mutations/*.md"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no mutations: %v", err)
	}
	var list []mutation
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rule := strings.TrimSuffix(filepath.Base(file), ".md")
		for i, part := range strings.Split(string(text), "\n## ")[1:] {
			m := section.FindStringSubmatch(part)
			if m == nil {
				t.Fatalf("%s: section %d cannot be read", file, i+1)
			}
			list = append(list, mutation{name: fmt.Sprintf("%s: %s", rule, m[1]), file: m[2], pkg: m[3], tests: m[4], from: m[5], to: m[6]})
		}
	}
	return list
}

// apply returns the text with the change made.
func (m mutation) apply(text []byte) ([]byte, error) {
	if n := bytes.Count(text, []byte(m.from)); n != 1 {
		return nil, fmt.Errorf("what it changes is %d times in %s, not once", n, m.file)
	}
	return bytes.Replace(text, []byte(m.from), []byte(m.to), 1), nil
}

// The list keeps up with the source: each change can be made, and each test is there.
func TestMutationsApply(t *testing.T) {
	t.Parallel()
	for _, m := range mutations(t) {
		text, err := os.ReadFile(filepath.Join(root, m.file))
		if err == nil {
			_, err = m.apply(text)
		}
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		for name := range strings.SplitSeq(m.tests, "|") {
			if !hasTest(t, m.pkg, name) {
				t.Errorf("%s: %s has no %s", m.name, m.pkg, name)
			}
		}
	}
}

func hasTest(t *testing.T, pkg, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		return err == nil && bytes.Contains(text, []byte("\nfunc "+name+"("))
	})
}

// TestMutations applies each change to a copy of the tree and expects its tests to fail, after they have passed
// without it. It takes long, so it wants FLUXBASE_TEST_MUTATIONS; -run picks some. With TEST_DATABASE_URL, a cluster that
// is there, it takes half as long.
func TestMutations(t *testing.T) {
	if os.Getenv("FLUXBASE_TEST_MUTATIONS") == "" {
		t.Skip("FLUXBASE_TEST_MUTATIONS is not set")
	}
	tree := copyTree(t)
	passed := map[string]bool{}
	for _, m := range mutations(t) {
		t.Run(m.name, func(t *testing.T) {
			if key := m.pkg + m.tests; !passed[key] {
				if out, err := m.run(tree); err != nil {
					t.Fatalf("the tests fail without it: %v\n%s", err, out)
				}
				passed[key] = true
			}
			path := filepath.Join(tree, m.file)
			original, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			changed, err := m.apply(original)
			if err != nil {
				t.Fatal(err)
			}
			defer m.put(t, tree, original)
			m.put(t, tree, changed)
			out, err := m.run(tree)
			switch {
			case err == nil:
				t.Errorf("%s %s is green without it", m.pkg, m.tests)
			case !bytes.Contains(out, []byte("--- FAIL: ")):
				t.Errorf("it breaks the build or the installation, not a test:\n%s", out)
			default:
				t.Log("red")
			}
		})
	}
}

// put writes the file of a mutation in a tree, and the checksum of the tree's SQL.
func (m mutation) put(t *testing.T, tree string, text []byte) {
	t.Helper()
	write(t, filepath.Join(tree, m.file), text)
	if !strings.HasSuffix(m.file, ".sql") {
		return
	}
	generate := exec.Command("go", "generate", "./controlplane/postgres/install")
	generate.Dir = tree
	if out, err := generate.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// run runs the tests of a mutation in a tree.
func (m mutation) run(tree string) ([]byte, error) {
	cmd := exec.Command("go", "test", "-vet=off", m.pkg, "-count=1", "-run", "^("+m.tests+")$")
	cmd.Dir = tree
	return cmd.CombinedOutput()
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o644); err != nil { //nolint:gosec // PostgreSQL's account may have to read it
		t.Fatal(err)
	}
}

// copyTree copies the sources.
func copyTree(t *testing.T) string {
	t.Helper()
	tree, err := os.MkdirTemp("", "fluxbase-mutations-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(tree) })
	if err := os.Chmod(tree, 0o755); err != nil { //nolint:gosec // as above
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		target := filepath.Join(tree, relative)
		switch {
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "node_modules"):
			return fs.SkipDir
		case entry.IsDir():
			return os.MkdirAll(target, 0o755)
		case !entry.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
