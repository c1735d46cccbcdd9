package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ownCPU is what this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpu is what the processes that we started have used, their children included.
func (b *bench) cpu() (sum time.Duration) {
	const tick = time.Second / 100 // USER_HZ
	b.each(func(_ int, stat []string) {
		for _, field := range stat[11:15] { // utime, stime, cutime, cstime
			n, _ := strconv.ParseInt(field, 10, 64)
			sum += time.Duration(n) * tick
		}
	})
	return sum
}

// each calls do with the processes that we started and their children, and what /proc says of each behind its name (proc(5)).
func (b *bench) each(do func(pid int, stat []string)) {
	ours := map[string]bool{}
	for _, cmd := range b.procs {
		ours[strconv.Itoa(cmd.Process.Pid)] = true
	}
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	stats := map[string][]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ") // after the name, which may hold anything
		if fields := strings.Fields(rest); len(fields) >= 15 {
			stats[filepath.Base(filepath.Dir(path))] = fields
		}
	}
	for name, stat := range stats {
		for up := name; stats[up] != nil; up = stats[up][1] {
			if ours[up] {
				pid, _ := strconv.Atoi(name)
				do(pid, stat)
				break
			}
		}
	}
}
