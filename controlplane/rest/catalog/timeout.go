package catalog

import (
	"strconv"
	"strings"
	"time"
)

// A role that requests run as may have a statement_timeout of its own (alter role ... set). PostgreSQL applies that of the
// login alone, so the server sets it for each request.

// roleTimeout is a role's statement_timeout, as it was written.
type roleTimeout struct {
	Role    string `json:"role"`
	Timeout string `json:"timeout"`
}

// timeouts reads what is written. Of a role's settings the last counts: the one for this database.
func timeouts(docs []roleTimeout) map[string]time.Duration {
	list := make(map[string]time.Duration, len(docs))
	for _, d := range docs {
		if t := parseTimeout(d.Timeout); t > 0 {
			list[d.Role] = t
		} else {
			delete(list, d.Role) // no limit of its own: that of the login stays
		}
	}
	return list
}

// timeUnits are PostgreSQL's units of time, the longer names first; without one a number is of milliseconds.
var timeUnits = []struct {
	name string
	size time.Duration
}{{"min", time.Minute}, {"us", time.Microsecond}, {"ms", time.Millisecond}, {"s", time.Second}, {"h", time.Hour}, {"d", 24 * time.Hour}}

// parseTimeout reads a setting of time; 0 is one that is none.
func parseTimeout(text string) time.Duration {
	text = strings.TrimSpace(text)
	size := time.Millisecond
	for _, u := range timeUnits {
		if number, ok := strings.CutSuffix(text, u.name); ok {
			text, size = strings.TrimSpace(number), u.size
			break
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n > 0) || n > float64(24*time.Hour*25)/float64(size) { // PostgreSQL's most is 24.8 days
		return 0
	}
	return time.Duration(n * float64(size))
}
