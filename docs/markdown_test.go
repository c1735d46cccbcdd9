package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the root of the repository, seen from here.
const root = ".."

// page is one Markdown file.
type page struct {
	Path        string // from the root of the repository
	Environment string
	Blocks      []block
	Headings    []string // as anchors
	Prose       []line   // what is not in a block
}

type line struct {
	Number int
	Text   string
}

// block is one fenced block with the comments before it.
type block struct {
	Line   int // of the fence
	Lang   string
	Text   string
	Run    string
	Fails  string
	NotRun string
	Output bool
}

// reasonsNotToRun is everything that excuses a block from being executed.
var reasonsNotToRun = []string{
	"needs a container engine",
	"needs systemd",
	"needs a server elsewhere",
	"the test has started it",
	"runs the tests themselves",
}

var (
	fence     = regexp.MustCompile("^ {0,3}(`{3,})([a-z]*)$")
	directive = regexp.MustCompile(`^<!-- ([a-z ]+?)(?:: (.+))? -->$`)
	heading   = regexp.MustCompile(`^#{1,6} +(.+?) *$`)
)

// guides are the pages whose blocks are executed.
func guides(t *testing.T) []page {
	t.Helper()
	paths := []string{"README.md"}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".md" {
			rel, relErr := filepath.Rel(root, path)
			paths = append(paths, filepath.ToSlash(rel))
			return relErr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pages := make([]page, len(paths))
	for i, path := range paths {
		pages[i] = read(t, path)
	}
	return pages
}

// read parses a page of the repository.
func read(t *testing.T, path string) page {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	p, err := parsePage(path, string(text))
	if err != nil {
		t.Fatalf("%s:%v", path, err)
	}
	return p
}

// parsePage knows as much of Markdown as our pages use.
func parsePage(path, text string) (page, error) {
	p := page{Path: path, Environment: "demo"}
	var pending block // collects the comments before a fence
	commented := false
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		number := i + 1
		current := lines[i]
		if m := fence.FindStringSubmatch(current); m != nil {
			b := pending
			b.Line, b.Lang = number, m[2]
			pending, commented = block{}, false
			end := slices.Index(lines[i+1:], m[1])
			if end < 0 {
				return p, fmt.Errorf("%d: the block does not end", number)
			}
			b.Text = strings.Join(lines[i+1:i+1+end], "\n")
			i += 1 + end
			p.Blocks = append(p.Blocks, b)
			continue
		}
		if strings.HasPrefix(strings.TrimSpace(current), "```") {
			return p, fmt.Errorf("%d: a fence with more than a language: %s", number, current)
		}
		if m := directive.FindStringSubmatch(current); m != nil {
			known, err := pending.obey(m[1], m[2])
			if err != nil {
				return p, fmt.Errorf("%d: %w", number, err)
			}
			if m[1] == "environment" {
				p.Environment, known = m[2], false
			}
			commented = commented || known
			continue
		}
		if strings.TrimSpace(current) != "" {
			if commented {
				return p, fmt.Errorf("%d: a comment for a block, and no block after it", number)
			}
			if m := heading.FindStringSubmatch(current); m != nil {
				p.Headings = append(p.Headings, anchor(m[1]))
			}
			p.Prose = append(p.Prose, line{number, current})
		}
	}
	if commented {
		return p, fmt.Errorf("%d: a comment for a block, and no block after it", len(lines))
	}
	return p, nil
}

// obey takes one comment; known says that it belongs to a block.
func (b *block) obey(name, value string) (known bool, err error) {
	switch name {
	case "run":
		b.Run = value
	case "fails":
		b.Fails = value
	case "output":
		b.Output = true
	case "not run":
		if !slices.Contains(reasonsNotToRun, value) {
			return true, fmt.Errorf("%q is no reason not to run a block", value)
		}
		b.NotRun = value
	default:
		return false, nil
	}
	return true, nil
}

var notInAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// anchor is the fragment that GitHub gives a heading.
func anchor(text string) string {
	return strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(text), ""), " ", "-")
}

func TestParsePage(t *testing.T) {
	t.Parallel()
	p, err := parsePage("x.md", "# A `b`, c\n<!-- environment: application -->\n<!-- run: superuser -->\n<!-- fails: 42501 -->\n\n```sql\nselect 1\n```\n"+
		"text\n<!-- not run: needs systemd -->\n```sh\nsystemctl\n```\n<!-- a remark -->\n````text\n```\n````\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []block{
		{Line: 6, Lang: "sql", Text: "select 1", Run: "superuser", Fails: "42501"},
		{Line: 11, Lang: "sh", Text: "systemctl", NotRun: "needs systemd"},
		{Line: 15, Lang: "text", Text: "```"},
	}
	if !slices.Equal(p.Blocks, want) || p.Environment != "application" || !slices.Equal(p.Headings, []string{"a-b-c"}) {
		t.Errorf("got %+v", p)
	}
	for name, text := range map[string]string{
		"unknown reason":  "<!-- not run: too slow -->\n```sh\nls\n```\n",
		"comment astray":  "<!-- run: superuser -->\ntext\n",
		"comment at end":  "<!-- run: superuser -->\n",
		"endless block":   "```sh\nls\n",
		"fence with more": "```sh title\nls\n```\n",
	} {
		if _, err := parsePage("x.md", text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
