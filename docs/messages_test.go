package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fromPostgres are the messages in the guide that are PostgreSQL's own.
var fromPostgres = []string{
	"canceling statement due to lock timeout",
	"permission denied",
	`password authentication failed for user "fluxbase_api"`,
	"permission denied for function ...",
	"query would be affected by row-level security policy",
	"42501",
}

var code = regexp.MustCompile("`([^`]+)`")

// What the guide calls an error is in the program: each text between its dots stands in a source file.
func TestMessages(t *testing.T) {
	t.Parallel()
	sources := sources(t)
	messages := 0
	for _, l := range read(t, "docs/troubleshooting.md").Prose {
		cells := strings.Split(l.Text, "|")
		if !strings.HasPrefix(l.Text, "| ") || len(cells) < 3 {
			continue
		}
		for _, m := range code.FindAllStringSubmatch(cells[1], -1) {
			messages++
			if slices.Contains(fromPostgres, m[1]) {
				continue
			}
			for _, part := range strings.Split(m[1], "...") {
				part = strings.TrimRight(part, " ,")
				if part != "" && !strings.Contains(sources, part) {
					t.Errorf("docs/troubleshooting.md:%d: no source says %q", l.Number, part)
				}
			}
		}
	}
	if messages < 30 {
		t.Errorf("only %d messages", messages)
	}
}

// sources is the text of everything that may end in a message.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, tree := range []string{"cmd", "controlplane", "schema", "sql", "policies"} {
		err := filepath.WalkDir(filepath.Join(root, tree), func(name string, d os.DirEntry, err error) error {
			if err != nil || strings.HasSuffix(name, "_test.go") || !slices.Contains([]string{".go", ".sql"}, filepath.Ext(name)) {
				return err
			}
			text, err := os.ReadFile(name)
			all.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}
