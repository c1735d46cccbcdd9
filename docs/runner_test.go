package docs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// runner executes the blocks of one page.
type runner struct {
	page      page
	installed *installed
	place     func(t *testing.T) *place // where shell blocks run

	clone string // database of SQL blocks, made for the first
	here  *place // set at the first shell block
}

const (
	blockTimeout = time.Minute
	shownAddress = "127.0.0.1:8080"
)

// psql runs a text in a session of its own; role is app when it is empty.
func (r *runner) psql(t *testing.T, role, text string) (out, problem string, code int) {
	t.Helper()
	if r.clone == "" {
		r.clone = r.installed.clone(t)
	}
	url := r.installed.cluster.SuperuserURL(r.clone)
	env := append(os.Environ(), "PGTZ=UTC")
	switch role {
	case "superuser":
	case "":
		url = r.installed.cluster.URL("app", "app", r.clone)
	default:
		env = append(env, "PGOPTIONS=-c role="+role)
	}
	ctx, cancel := context.WithTimeout(t.Context(), blockTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", url)
	cmd.Env = env
	cmd.Stdin = strings.NewReader(text + "\n")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	code, err := exitStatus(cmd.Run())
	if err != nil {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), code
}

// bash runs a text with the variables and in the directory that the one before it left.
func (r *runner) bash(t *testing.T, text string) (out, code string) {
	t.Helper()
	script := r.script(t, text) + "\n"
	ctx, cancel := context.WithTimeout(t.Context(), blockTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", "trap '{ declare -f; export -p; } >"+r.state()+"' EXIT\n"+script)
	cmd.Dir, cmd.Env = r.here.dir, r.here.env
	cmd.WaitDelay = time.Second
	raw, err := cmd.CombinedOutput()
	status, err := exitStatus(err)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(raw), r.here.address, shownAddress), strconv.Itoa(status)
}

// script puts what the block before it left in front of a text. Variables are exported, so that they are left, too.
func (r *runner) script(t *testing.T, text string) string {
	t.Helper()
	if r.here == nil {
		r.here = r.place(t)
	}
	return fmt.Sprintf("[ ! -f %[1]s ] || { . %[1]s; cd \"$PWD\"; }\nset -a\n%[2]s",
		r.state(), strings.ReplaceAll(text, shownAddress, r.here.address))
}

func (r *runner) state() string {
	return filepath.Join(r.here.dir, ".state."+strings.ReplaceAll(r.page.Path, "/", "."))
}

// exitStatus tells an ordinary end of a process from a failure to run it.
func exitStatus(err error) (int, error) {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	return 0, err
}
