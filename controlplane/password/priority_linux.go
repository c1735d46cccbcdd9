package password

import "golang.org/x/sys/unix"

// lowerPriority gives the calling thread, not the process, the lowest priority.
// Everybody may lower it; nobody without privilege can raise it again.
func lowerPriority() error {
	return unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 19)
}

func onMainThread() bool { return unix.Gettid() == unix.Getpid() }
