package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is the user that PostgreSQL runs as; nil stands for our own. PostgreSQL refuses to run as root.
type account struct{ uid, gid uint32 }

// unprivileged returns the user postgres, else nobody, when we are root, and nil otherwise.
func unprivileged() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		return &account{uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and this machine has neither a user postgres nor a user nobody")
}

// command prepares a program that runs as the account in a process group of its own, so that a Ctrl-C at the
// terminal reaches only us. Settings of the caller's PG* variables do not reach it.
func (a *account) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "/"
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PG") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if a != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return cmd
}

// own makes the account the owner of a path and of everything below it.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, int(a.uid), int(a.gid))
	})
}

// mkdir makes a directory that only the account can use.
func (a *account) mkdir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return err
	}
	if a == nil {
		return nil
	}
	return os.Lchown(path, int(a.uid), int(a.gid))
}

// Place returns the directory to use for a cluster that is wanted in dir: dir itself, or, for root when the
// unprivileged account cannot reach dir (below a home directory of mode 0700, for example), one in /var/lib/fluxbase
// whose name is derived from dir, so that the next start finds it again.
func Place(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	a, err := unprivileged()
	if err != nil {
		return "", err
	}
	if a == nil || a.reaches(dir) {
		return dir, nil
	}
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join("/var/lib/fluxbase", hex.EncodeToString(sum[:6])), nil
}

// reaches says whether the account may pass through all existing directories above path and path itself.
func (a *account) reaches(path string) bool {
	for ; ; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		if err == nil {
			st := info.Sys().(*syscall.Stat_t)
			mode := info.Mode().Perm()
			switch {
			case st.Uid == a.uid && mode&0o100 != 0:
			case st.Gid == a.gid && mode&0o010 != 0:
			case mode&0o001 != 0:
			default:
				return false
			}
		}
		if path == filepath.Dir(path) {
			return true
		}
	}
}

// checkReach explains a directory that the account cannot use before PostgreSQL fails with less to say.
func (a *account) checkReach(dir string) error {
	if a == nil || a.reaches(dir) {
		return nil
	}
	return fmt.Errorf("PostgreSQL runs as user %d when we are root, and that user cannot reach %s", a.uid, dir)
}
