package docs

import (
	"slices"
	"strings"
	"testing"
)

// Languages whose blocks are executed, and those of blocks that show something.
var (
	executed = []string{"sql", "sh", "console"}
	shown    = []string{"yaml", "json", "js", "go", "text", "http", "conf"}
)

// TestGuides executes the README and the guides.
func TestGuides(t *testing.T) {
	t.Parallel()
	i := newInstalled(t)
	path := buildPrograms(t) + ":" + i.cluster.Bin() // pg_dump must not be older than the server
	demo := newPlace(t, path)
	demo.startDemo(t)
	places := map[string]func(*testing.T) *place{
		"demo": func(*testing.T) *place { return demo },
		"application": func(t *testing.T) *place {
			p := newPlace(t, path)
			p.makeApplication(t)
			return p
		},
	}
	for _, p := range guides(t) {
		t.Run(p.Path, func(t *testing.T) {
			r := &runner{page: p, installed: i, place: places[p.Environment]}
			if r.place == nil {
				t.Fatalf("%s: no environment %q", p.Path, p.Environment)
			}
			for i, b := range p.Blocks {
				switch {
				case b.Output && (i == 0 || p.Blocks[i-1].Lang != "sql"):
					t.Errorf("%s:%d: the output of no SQL", p.Path, b.Line)
				case slices.Contains(shown, b.Lang):
				case !slices.Contains(executed, b.Lang):
					t.Errorf("%s:%d: a block of the language %q", p.Path, b.Line, b.Lang)
				case b.NotRun != "":
				case b.Lang == "sql":
					var output *block
					if i+1 < len(p.Blocks) && p.Blocks[i+1].Output {
						output = &p.Blocks[i+1]
					}
					r.sql(t, b, output)
				case b.Run == "server":
					r.server(t, b)
				case b.Lang == "sh":
					r.shell(t, b)
				default:
					r.transcript(t, b)
				}
				if t.Failed() {
					return // what follows would fail for want of this block
				}
			}
		})
	}
}

func (r *runner) sql(t *testing.T, b block, output *block) {
	t.Helper()
	out, problem, code := r.psql(t, b.Run, b.Text)
	switch {
	case b.Fails == "" && code != 0:
		t.Errorf("%s:%d: psql: exit status %d\n%s%s", r.page.Path, b.Line, code, out, problem)
	case b.Fails != "" && !strings.Contains(problem, "ERROR:  "+b.Fails+":"):
		t.Errorf("%s:%d: psql did not fail with %s\n%s%s", r.page.Path, b.Line, b.Fails, out, problem)
	case output != nil && !sameOutput(out, strings.Split(output.Text, "\n")):
		t.Errorf("%s:%d: psql prints\n%s\nand the page says\n%s", r.page.Path, output.Line, out, output.Text)
	}
}

func (r *runner) shell(t *testing.T, b block) {
	t.Helper()
	want := "0"
	if b.Fails != "" {
		want = b.Fails
	}
	if out, code := r.bash(t, "set -e\n"+b.Text); code != want {
		t.Errorf("%s:%d: exit status %s instead of %s\n%s", r.page.Path, b.Line, code, want, out)
	}
}

func (r *runner) server(t *testing.T, b block) {
	t.Helper()
	script := r.script(t, b.Text)
	r.here.background(t, script)
}

func (r *runner) transcript(t *testing.T, b block) {
	t.Helper()
	steps := parseTranscript(b.Text)
	if len(steps) == 0 {
		t.Errorf("%s:%d: no command", r.page.Path, b.Line)
	}
	for _, s := range steps {
		if out, _ := r.bash(t, s.Command); !sameOutput(out, s.Output) {
			t.Errorf("%s:%d: %s prints\n%s\nand the page says\n%s", r.page.Path, b.Line, s.Command, out, strings.Join(s.Output, "\n"))
			return
		}
	}
}
