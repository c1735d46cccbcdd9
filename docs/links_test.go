package docs

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// Links within the repository lead to files and headings that exist.
func TestLinks(t *testing.T) {
	t.Parallel()
	pages := append(guides(t), read(t, "CONTRIBUTING.md"), read(t, "SECURITY.md"), read(t, "CHANGELOG.md"))
	for _, p := range pages {
		for _, l := range p.Prose {
			for _, m := range link.FindAllStringSubmatch(l.Text, -1) {
				if problem := followLink(t, p, m[1]); problem != "" {
					t.Errorf("%s:%d: %s: %s", p.Path, l.Number, m[1], problem)
				}
			}
		}
	}
}

func followLink(t *testing.T, from page, target string) string {
	if strings.HasPrefix(target, "https://") || strings.HasPrefix(target, "mailto:") {
		return ""
	}
	file, fragment, _ := strings.Cut(target, "#")
	to := from
	if file != "" {
		name := path.Join(path.Dir(from.Path), file)
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			return "no such file"
		}
		if fragment == "" {
			return ""
		}
		to = read(t, name)
	}
	if !slices.Contains(to.Headings, fragment) {
		return "no such heading"
	}
	return ""
}
