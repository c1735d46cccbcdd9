package dialect

import (
	"slices"
	"strconv"
	"strings"
)

// mediaForm is the type of forms.
const mediaForm = "application/x-www-form-urlencoded"

// MediaRange is an element of an Accept header (RFC 9110 section 12.5.1).
type MediaRange struct {
	Kind       string // in lower case; empty means any
	Parameters string
	Weight     float64
}

// What most clients accept, which nobody changes.
var (
	acceptAny  = []MediaRange{{Kind: "*/*", Weight: 1}}
	acceptJSON = []MediaRange{{Kind: "application/json", Weight: 1}}
)

// accept reads the Accept headers: what the client takes, the best first. Without any header there is nothing in it.
func accept(lines []string) []MediaRange {
	if len(lines) == 1 {
		switch lines[0] {
		case "*/*":
			return acceptAny
		case "application/json":
			return acceptJSON
		}
	}
	var list []MediaRange
	for _, line := range lines {
		for one := range strings.SplitSeq(line, ",") {
			kind, parameters, _ := strings.Cut(one, ";")
			r := MediaRange{strings.ToLower(strings.TrimSpace(kind)), parameters, Quality(parameters)}
			if r.Weight > 0 {
				list = append(list, r)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b MediaRange) int {
		switch {
		case a.Weight > b.Weight:
			return -1
		case a.Weight < b.Weight:
			return 1
		}
		return 0
	})
	return list
}

// Quality reads the weight out of a media range's parameters; what is no number weighs 1.
func Quality(parameters string) float64 {
	for parameters != "" {
		var one string
		one, parameters, _ = strings.Cut(parameters, ";")
		if q, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(one)), "q="); ok {
			if w, err := strconv.ParseFloat(q, 64); err == nil && w >= 0 && w <= 1 {
				return w
			}
		}
	}
	return 1
}
