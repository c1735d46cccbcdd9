package password

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// niceThreads counts the threads of this process with nice 19 (field 19 of stat, proc(5)).
func niceThreads(t testing.TB) (n int) {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/stat")
	if err != nil || len(tasks) == 0 {
		t.Fatal("no threads found", err)
	}
	for _, path := range tasks {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+2:])
		if nice, err := strconv.Atoi(string(fields[16])); err == nil && nice == 19 {
			n++
		}
	}
	return n
}

// Not parallel: it looks at all threads and goroutines of the process. Exactly
// the workers are of low priority, and after Close nothing is left of them.
func TestThreads(t *testing.T) {
	threads, goroutines := niceThreads(t), runtime.NumGoroutine()
	if threads != 0 {
		t.Fatalf("%d threads of low priority before the test", threads)
	}
	procs := runtime.GOMAXPROCS(0)
	for _, workers := range []int{1, 3} {
		h, err := New(Options{Cost: 4, Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		if h.started != workers || !h.nice || h.RecommendedMaxProcs() != procs+workers {
			t.Errorf("started %d, nice %t, recommends %d", h.started, h.nice, h.RecommendedMaxProcs())
		}
		var wg sync.WaitGroup
		for range 20 { // threads started meanwhile must not inherit the priority
			wg.Go(func() {
				runtime.LockOSThread()
				if _, err := h.Hash(context.Background(), "x"); err != nil {
					t.Error(err)
				}
			})
		}
		var worker int
		if err := h.do(t.Context(), func() { worker, err = unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid()) }); err != nil {
			t.Error(err)
		}
		if nice := 20 - worker; nice != 19 { // the system call returns 20 - nice
			t.Errorf("a worker runs at nice %d", nice)
		}
		wg.Wait()
		if n := niceThreads(t); n != workers {
			t.Errorf("%d threads of low priority, want %d", n, workers)
		}
		h.Close()
		eventually(t, "threads ended", func() bool { return niceThreads(t) == 0 })
	}
	eventually(t, "goroutines ended", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// Not parallel, and measured in processor time of the thread, so that what else
// runs on the machine does not count. Medians differ by less than 5 % in two of
// three runs.
func TestEqualTime(t *testing.T) {
	const cost = 8
	known := mustHash(t, "right", cost)
	cases := []struct {
		name, hash, password string
	}{
		{"wrong password", known, "wrong"},
		{"right password", known, "right"},
		{"unknown user", "", "wrong"},
		{"malformed hash", "!", "wrong"},
		{"hash of cost 4", mustHash(t, "right", 4), "wrong"},
		{"hash of cost 8", mustHash(t, "right", 8), "right"},
		{"hash of cost 17", string(dummy(17)), "wrong"},
		{"73 bytes", known, string(bytes.Repeat([]byte("x"), 73))},
		{"1 MB, unknown user", "", string(bytes.Repeat([]byte("x"), 1<<20))},
		{"NUL", known, "wrong\x00"},
		{"empty password", known, ""},
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	good := make([]int, len(cases))
	var report []string
	for range 3 {
		times := make([][]time.Duration, len(cases))
		for range 7 {
			for i, tc := range cases {
				start := threadTime(t)
				compare(tc.hash, tc.password, cost)
				times[i] = append(times[i], threadTime(t)-start)
			}
		}
		var reference time.Duration
		for i, tc := range cases {
			slices.Sort(times[i])
			median := times[i][len(times[i])/2]
			if i == 0 {
				reference = median
			}
			if ratio := float64(median) / float64(reference); ratio > 0.95 && ratio < 1.05 {
				good[i]++
			} else {
				report = append(report, fmt.Sprintf("%s: %.3f of a wrong password", tc.name, ratio))
			}
		}
	}
	for i, tc := range cases {
		if good[i] < 2 {
			t.Errorf("%s takes another time: %q", tc.name, report)
		}
	}
}

func threadTime(t testing.TB) time.Duration {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}
