package policy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/postgres/psql"
)

// Report is the outcome of one file of tests.
type Report struct {
	File    string
	Tests   []Test
	Problem string // why the file failed as a whole; empty when it did not
	Took    time.Duration
}

// Failed counts tests that are not ok, and the file itself when it failed as a whole.
func (r Report) Failed() int {
	n := 0
	for _, t := range r.Tests {
		if !t.OK && !t.Skipped {
			n++
		}
	}
	if r.Problem != "" {
		n++
	}
	return n
}

// testFiles returns the .sql files below a directory, without hidden ones: editors leave such.
func testFiles(dir string) (names []string, err error) {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		dir = filepath.Clean(dir) + string(filepath.Separator) // which follows a link
	}
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch hidden := name != dir && strings.HasPrefix(d.Name(), "."); {
		case err != nil:
			return err
		case hidden && d.IsDir():
			return fs.SkipDir
		case !hidden && !d.IsDir() && isSQL(name):
			names = append(names, name)
		}
		return nil
	})
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("there is no .sql file in %s", dir)
	}
	return names, err
}

// RunTests runs the .sql files below a directory in psql, so many at a time, and calls done for each in the order of
// their names.
func RunTests(ctx context.Context, dsn, dir string, parallel int, done func(Report)) error {
	names, err := testFiles(dir)
	if err != nil {
		return err
	}
	reports := make([]chan Report, len(names))
	for i := range reports {
		reports[i] = make(chan Report, 1)
	}
	var workers sync.WaitGroup
	defer workers.Wait()
	slots := make(chan struct{}, max(parallel, 1))
	workers.Go(func() {
		for i, name := range names {
			slots <- struct{}{}
			workers.Go(func() {
				defer func() { <-slots }()
				reports[i] <- runTest(ctx, dsn, name)
			})
		}
	})
	for _, report := range reports {
		done(<-report)
	}
	return ctx.Err()
}

func runTest(ctx context.Context, dsn, name string) Report {
	report := Report{File: name}
	started := time.Now()
	cmd, err := psql.Command(ctx, dsn, "-XAtq", "-v", "ON_ERROR_STOP=1", "-P", "pager=off", "-f", name)
	if err != nil {
		report.Problem = err.Error()
		return report
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	report.Tests, report.Problem = parseTAP(stdout.String())
	if err != nil {
		report.Problem = fmt.Sprintf("psql: %v\n%s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	report.Took = time.Since(started)
	return report
}

// WriteReport prints what a person wants to know of one file.
func WriteReport(w io.Writer, r Report) error {
	var out bytes.Buffer
	word := "ok    "
	if r.Failed() > 0 {
		word = "FAILED"
	}
	fmt.Fprintf(&out, "%s %s (%d tests, %.1f s)\n", word, r.File, len(r.Tests), r.Took.Seconds())
	for _, t := range r.Tests {
		if !t.OK && !t.Skipped {
			fmt.Fprintf(&out, "  not ok: %s\n", t.Name)
			indent(&out, t.Diagnosis)
		}
	}
	if r.Problem != "" {
		indent(&out, r.Problem)
	}
	_, err := w.Write(out.Bytes())
	return err
}

func indent(out *bytes.Buffer, text string) {
	for line := range bytes.Lines([]byte(text)) {
		fmt.Fprintf(out, "    %s\n", bytes.TrimRight(line, "\n"))
	}
}
