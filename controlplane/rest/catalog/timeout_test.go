package catalog

import (
	"maps"
	"testing"
	"time"
)

func TestTimeouts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"5000": 5 * time.Second, "5s": 5 * time.Second, " 5 s ": 5 * time.Second, "2min": 2 * time.Minute, "1.5s": 1500 * time.Millisecond,
		"250ms": 250 * time.Millisecond, "500us": 500 * time.Microsecond, "1h": time.Hour, "1d": 24 * time.Hour,
		"0": 0, "-1": 0, "": 0, "s": 0, "never": 0, "1e300d": 0, "NaN": 0, "inf": 0,
	} {
		if got := parseTimeout(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	got := timeouts([]roleTimeout{{"a", "1s"}, {"b", "1s"}, {"a", "2s"}, {"b", "0"}})
	if !maps.Equal(got, map[string]time.Duration{"a": 2 * time.Second}) {
		t.Errorf("%v", got)
	}
}
