package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// apart gives the load generator a processor of its own and what it measures the others, as if it asked from another machine:
// for a cheap answer it takes nearly as long as the server, and would be most of what is compared. What start starts sees only
// the processors that it may use. together undoes it. With one processor all stay where they are.
func (b *bench) apart(start func() error) (together func(), err error) {
	var all, own unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return nil, err
	}
	if all.Count() < 2 {
		return func() {}, start()
	}
	measured := all
	for cpu := 0; own.Count() == 0; cpu++ {
		if all.IsSet(cpu) {
			measured.Clear(cpu)
			own.Set(cpu)
		}
	}
	before := runtime.GOMAXPROCS(own.Count())
	together = func() {
		b.each(func(pid int, _ []string) { moveProcess(pid, all) })
		moveProcess(os.Getpid(), all)
		runtime.GOMAXPROCS(before)
	}
	b.each(func(pid int, _ []string) { moveProcess(pid, measured) })
	moveProcess(os.Getpid(), measured)
	if err := start(); err != nil {
		together()
		return nil, err
	}
	moveProcess(os.Getpid(), own)
	return together, nil
}

// moveProcess lets all threads of a process run on these processors and no other. Threads that end meanwhile don't matter.
func moveProcess(pid int, to unix.CPUSet) {
	tasks, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/[0-9]*")
	for _, task := range tasks {
		if tid, err := strconv.Atoi(filepath.Base(task)); err == nil {
			_ = unix.SchedSetaffinity(tid, &to)
		}
	}
}
