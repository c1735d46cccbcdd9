package docs

import (
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const overview = "docs/security/overview.md"

// namedLink is a link whose text is the name of a file or a test.
var namedLink = regexp.MustCompile(`\[([^\]]+)\]\(([^)]+)\)`)

// What the security overview calls done names code and tests, and both are there. TestLinks looks at the files.
func TestClaims(t *testing.T) {
	t.Parallel()
	claims := 0
	for _, l := range read(t, overview).Prose {
		cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(l.Text, "|"), "|"), "|")
		if len(cells) != 5 || strings.TrimSpace(cells[0]) == "claim" || strings.HasPrefix(cells[0], "---") {
			continue
		}
		claims++
		state, where, proof := strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3])
		switch state {
		case "done":
			if where == "" || proof == "" {
				t.Errorf("%s:%d: done, and where or which test is missing", overview, l.Number)
			}
		case "not yet", "not ours", "guide", "differs":
			if proof != "" {
				t.Errorf("%s:%d: %s, and a test of it", overview, l.Number, state)
			}
		case "partly":
			if strings.TrimSpace(cells[4]) == "" {
				t.Errorf("%s:%d: partly, and which part is missing", overview, l.Number)
			}
		default:
			t.Errorf("%s:%d: no state %q", overview, l.Number, state)
		}
		tests := namedLink.FindAllStringSubmatch(proof, -1)
		if len(tests) == 0 && proof != "" {
			t.Errorf("%s:%d: the proof is no link to a test", overview, l.Number)
		}
		for _, m := range tests {
			file := path.Join(path.Dir(overview), m[2])
			text, err := os.ReadFile(filepath.Join(root, file))
			if err != nil || !regexp.MustCompile(`(?m)^func `+regexp.QuoteMeta(m[1])+`\(`).Match(text) {
				t.Errorf("%s:%d: no test %s in %s", overview, l.Number, m[1], file)
			}
		}
	}
	if claims < 90 {
		t.Errorf("%d claims; the specification has more", claims)
	}
}

// What serves requests starts no programs: only what runs a development cluster, or psql for a person, may.
func TestNoPrograms(t *testing.T) {
	t.Parallel()
	files := 0
	for _, tree := range []string{"controlplane", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, tree), func(name string, d os.DirEntry, err error) error {
			if err != nil || filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
				return err
			}
			relative := strings.TrimPrefix(filepath.ToSlash(name), root+"/")
			switch path.Dir(relative) {
			case "controlplane/postgres/cluster", "controlplane/postgres/pgtest", "controlplane/postgres/psql", "controlplane/bench":
				return nil
			}
			files++
			parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			for _, i := range parsed.Imports {
				if i.Path.Value == `"os/exec"` || i.Path.Value == `"plugin"` {
					t.Errorf("%s imports %s", relative, i.Path.Value)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 50 {
		t.Errorf("only %d files looked at", files)
	}
}
