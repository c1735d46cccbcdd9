package rest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestBulkMemory sends a large body over the network and watches the memory of the process, which is server and client
// at once: 24 MB, or with FLUXBASE_TEST_LONG=1 a body of 200 MB with 100,000 rows. It runs beside no other test.
func TestBulkMemory(t *testing.T) {
	if _, err := os.Stat("/proc/self/clear_refs"); err != nil {
		t.Skip("the peak of the memory can be measured on Linux alone")
	}
	rows, size := 12_000, 1980
	if os.Getenv("FLUXBASE_TEST_LONG") == "1" {
		rows = 100_000
	}
	f := bulkSetup(t, false)
	f.Limits.Bulk = 256 << 20
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.ServeTable(w, r, strings.TrimPrefix(r.URL.Path, "/"))
	}))
	defer server.Close()
	for _, prefer := range []string{"return=minimal", "return=representation"} {
		f.exec(t, "delete from public.projects where id >= 1000")
		debug.FreeOSMemory()
		before := memory(t, "VmRSS")
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
			t.Skip(err)
		}
		body := &counter{in: &generator{count: rows, size: size}}
		request, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/projects", body)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Prefer", prefer)
		start := time.Now()
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		peak := memory(t, "VmHWM")
		t.Logf("%s: %d MB in %d rows, %v: answer of %d MB; %d MB before, peak %d MB", prefer, body.n>>20, rows,
			time.Since(start).Round(time.Millisecond), n>>20, before>>10, peak>>10)
		if err != nil || response.StatusCode != 201 || f.value(t, "select count(*) from public.projects where id >= 1000") != strconv.Itoa(rows) {
			t.Errorf("%s: %d, %v", prefer, response.StatusCode, err)
		}
		if peak > 150<<10 || peak-before > 60<<10 {
			t.Errorf("%s: the process grew from %d to %d MB", prefer, before>>10, peak>>10)
		}
	}
}

// memory reads a figure of /proc/self/status, in kB.
func memory(t *testing.T, name string) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	match := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+) kB$`).FindSubmatch(status)
	if match == nil {
		t.Skipf("no %s in %s", name, bytes.TrimSpace(status))
	}
	n, _ := strconv.Atoi(string(match[1]))
	return n
}
