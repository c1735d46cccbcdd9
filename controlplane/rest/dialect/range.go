package dialect

import (
	"math"
	"strconv"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// checkRange refuses limit and offset where they would not do what they say: a DELETE that ignored
// its limit would delete every row.
func (r *Request) checkRange() *fault.Error {
	if (r.Limit != nil || r.Offset != 0) && r.Action == Put {
		return fault.PutLimit()
	}
	if (r.Limit != nil || r.Offset != 0) && (r.Action == Update || r.Action == Delete || r.Action == Insert) {
		return fault.Unsupported("limit or offset on a write")
	}
	return nil
}

// rangeHeader narrows limit and offset to the rows that a Range header names ("0-9", "10-"), both ends
// included. What is no such range is ignored (RFC 9110 section 14.2).
func (r *Request) rangeHeader(value string) *fault.Error {
	from, to, ok := strings.Cut(value, "-")
	if !ok {
		return nil
	}
	first, err := parseDigits(from)
	if err != nil {
		return nil
	}
	last := int64(math.MaxInt64)
	if to != "" {
		if last, err = parseDigits(to); err != nil {
			return nil
		}
	}
	if first > last {
		return fault.Range("The lower boundary must be lower than or equal to the upper boundary in the Range header.")
	}
	if r.Limit != nil && *r.Limit == 0 {
		return nil
	}
	if r.Limit != nil && r.Offset <= math.MaxInt64-*r.Limit {
		last = min(last, r.Offset+*r.Limit-1)
	}
	first = max(first, r.Offset)
	if first > last {
		return fault.Range("The range of the Range header and that of limit and offset have no row in common.")
	}
	r.Offset = first
	if last != math.MaxInt64 {
		n := last - first + 1
		r.Limit = &n
	}
	return nil
}

// parseDigits reads a number that is nothing but digits.
func parseDigits(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err
}
