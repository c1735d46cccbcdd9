package docs

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// step is one command of a transcript with what it prints.
type step struct {
	Command string
	Output  []string
}

// parseTranscript splits a console block: commands follow "$ ", their further lines "> ".
func parseTranscript(text string) (steps []step) {
	continues := false
	for _, l := range strings.Split(text, "\n") {
		command, begins := strings.CutPrefix(l, "$ ")
		further, more := strings.CutPrefix(l, "> ")
		if l == ">" {
			further, more = "", true
		}
		switch {
		case begins:
			steps = append(steps, step{Command: command})
		case len(steps) == 0:
			return nil
		case more && continues:
			steps[len(steps)-1].Command += "\n" + further
		default:
			steps[len(steps)-1].Output = append(steps[len(steps)-1].Output, l)
		}
		continues = begins || more && continues
	}
	return steps
}

// masks are applied in order to what is printed and to what a page says is printed.
var masks = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`), "<jwt>"},
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "<uuid>"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?`), "<time>"},
	{regexp.MustCompile(`\b1[6-9]\d{8}\b`), "<seconds>"},
	{regexp.MustCompile(`\bfb_[a-z]+_[\w-]+`), "<key>"},
	{regexp.MustCompile(`"[\w-]{40,}"`), `"<token>"`},
	{regexp.MustCompile(`\bversion +\d+( of \d+| would become \d+)?\b`), "version <number>"}, // of the schema; each migration changes it
	{regexp.MustCompile(`"id":\d{4,}`), `"id":<number>`},                                     // pages share a database, and some insert many rows
	{regexp.MustCompile(`-{3,}`), "---"},
	{regexp.MustCompile(`[ \t]+`), " "},
}

// mask makes two runs comparable; the width of columns goes, too.
func mask(l string) string {
	for _, m := range masks {
		l = m.pattern.ReplaceAllString(l, m.name)
	}
	return strings.TrimSpace(l)
}

func maskAll(lines []string) (masked []string) {
	for _, l := range lines {
		if l = mask(l); l != "" {
			masked = append(masked, l)
		}
	}
	return masked
}

// sameOutput compares what was printed with what a page says, where a line "..." stands for any lines.
func sameOutput(got string, want []string) bool {
	return matchLines(maskAll(strings.Split(got, "\n")), maskAll(want))
}

func matchLines(got, want []string) bool {
	gap := slices.Index(want, "...")
	if gap < 0 {
		return slices.Equal(got, want)
	}
	if len(got) < gap || !slices.Equal(got[:gap], want[:gap]) {
		return false
	}
	for from := gap; from <= len(got); from++ {
		if matchLines(got[from:], want[gap+1:]) {
			return true
		}
	}
	return false
}

func TestTranscript(t *testing.T) {
	t.Parallel()
	steps := parseTranscript("$ cat <<E\n> one\n>\n> E\none\n\n$ date\ntoday\n> not a command")
	want := []step{{"cat <<E\none\n\nE", []string{"one", ""}}, {"date", []string{"today", "> not a command"}}}
	if !slices.EqualFunc(steps, want, func(a, b step) bool { return a.Command == b.Command && slices.Equal(a.Output, b.Output) }) {
		t.Errorf("got %q", steps)
	}
	if parseTranscript("output first\n$ date") != nil {
		t.Error("output before the first command was taken")
	}
	for _, c := range []struct {
		got, want string
		same      bool
	}{
		{"a\nb", "a\nb", true},
		{"a\nb", "a\nc", false},
		{"a", "a\nb", false},
		{"a\nx\ny\nb", "a\n...\nb", true},
		{"a\nb", "a\n...\nb", true},
		{"a\nx\nc", "a\n...\nb", false},
		{"a\nx", "a\n...", true},
		{"x\na", "a\n...", false},
		{` id | email
-----+------
 2b1f0d0e-0000-4000-8000-000000000001 | ann`, ` id   | email
------+-------
 2b1f0d0e-1111-4000-8000-000000000002 | ann`, true},
		{"at 2026-01-01 10:00:00.5+00, 1760000000", "at 2025-11-25T18:00:00Z, 1750000000", true},
		{`{"token":"-b3BhcXVlX29wYXF1ZV9vcGFxdWVfb3BhcXVlX29w-"}`, `{"token":"b3BhcXVlX29wYXF1ZV9vcGFxdWVfb3BhcXVlX29wYXF1ZQ"}`, true},
		{"version   12 of 12\nversion 9 would become 12; undone", "version   13 of 13\nversion 13 would become 13; undone", true},
		{"count 12", "count 13", false},
	} {
		if sameOutput(c.got, strings.Split(c.want, "\n")) != c.same {
			t.Errorf("%q and %q: want same = %v", c.got, c.want, c.same)
		}
	}
}
