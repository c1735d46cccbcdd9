package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pidFile is what PostgreSQL's postmaster.pid says.
type pidFile struct {
	pid   int
	ready bool
}

func readPidFile(data string) (pidFile, error) {
	raw, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return pidFile{}, err
	}
	lines := strings.Split(string(raw), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil {
		return pidFile{}, fmt.Errorf("postmaster.pid: %w", err)
	}
	p := pidFile{pid: pid}
	// Line 8 is the state: starting, ready, standby, stopping.
	if len(lines) >= 8 {
		p.ready = strings.TrimSpace(lines[7]) == "ready"
	}
	return p, nil
}

// stopOrphan stops a postmaster that an earlier owner left running, and removes a postmaster.pid whose number
// belongs to another program by now, which PostgreSQL takes for a live postmaster. The caller holds the lock, so
// whatever still runs here has no owner.
func stopOrphan(ctx context.Context, data string) error {
	p, err := readPidFile(data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		// An empty or torn file: PostgreSQL was killed while writing it, nothing runs.
		return os.Remove(filepath.Join(data, "postmaster.pid"))
	}
	if !alive(p.pid) {
		return nil // PostgreSQL itself sees that it is stale, and that no backend is left
	}
	if !isPostmaster(ctx, p.pid, data) {
		return os.Remove(filepath.Join(data, "postmaster.pid"))
	}
	for _, step := range []struct {
		signal   syscall.Signal
		patience time.Duration
	}{{syscall.SIGINT, 30 * time.Second}, {syscall.SIGQUIT, 10 * time.Second}, {syscall.SIGKILL, 10 * time.Second}} {
		if err := syscall.Kill(p.pid, step.signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop the PostgreSQL that was left running (process %d): %w", p.pid, err)
		}
		for end := time.Now().Add(step.patience); time.Now().Before(end); {
			// A zombie still takes signals, but it has lost its working directory.
			if !alive(p.pid) || !isPostmaster(ctx, p.pid, data) {
				return nil
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return fmt.Errorf("the PostgreSQL that was left running (process %d) does not stop", p.pid)
}

func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// isPostmaster says whether a process is the postmaster of a data directory, which is its working directory.
func isPostmaster(ctx context.Context, pid int, data string) bool {
	if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err == nil {
		real, err := filepath.EvalSymlinks(data)
		return err == nil && cwd == real
	}
	out, err := exec.CommandContext(ctx, "ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(string(out), "postgres") && strings.Contains(string(out), data)
}
