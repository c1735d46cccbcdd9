package rest

import (
	"strconv"
	"strings"
)

// Media is the format of an answer.
type Media struct {
	// Object asks for one object instead of an array; any other number of rows is an error.
	Object bool
	// Stripped leaves members out that are null.
	Stripped bool
	// CSV is lines of comma-separated values, the first with the names.
	CSV bool
}

// PostgREST's media types for one object, and for an array where it has a parameter.
const (
	mediaObject = "application/vnd.pgrst.object+json"
	mediaArray  = "application/vnd.pgrst.array+json"
	stripped    = ";nulls=stripped"
)

// contentType returns the value of Content-Type.
func (m Media) contentType() string {
	const utf8 = "; charset=utf-8"
	switch {
	case m.CSV:
		return "text/csv" + utf8
	case m.Object && m.Stripped:
		return mediaObject + stripped + utf8
	case m.Object:
		return mediaObject + utf8
	case m.Stripped:
		return mediaArray + stripped + utf8
	}
	return contentTypeJSON
}

// parseMedia returns the format that an Accept header's media range stands for.
func parseMedia(kind, parameters string) (m Media, ok bool) {
	switch kind {
	case "*/*", "application/*", "application/json", "":
		return m, true
	case "text/csv":
		m.CSV = true
		return m, true
	case mediaArray, "application/vnd.pgrst.array":
		m.Stripped = stripsNulls(parameters)
		return m, true
	case mediaObject, "application/vnd.pgrst.object":
		m.Object, m.Stripped = true, stripsNulls(parameters)
		return m, true
	}
	return m, false
}

// stripsNulls tells whether the parameters have nulls=stripped.
func stripsNulls(parameters string) bool {
	for parameters != "" {
		var one string
		one, parameters, _ = strings.Cut(parameters, ";")
		if strings.TrimSpace(one) == "nulls=stripped" {
			return true
		}
	}
	return false
}

// accept chooses the format of the answer: of what the Accept headers allow and we can produce, the
// first with the highest weight (RFC 9110 section 12.5.1). Without any header it is JSON.
func accept(lines []string) (Media, *Error) {
	if len(lines) == 0 {
		return Media{}, nil
	}
	var best Media
	weight := 0.0
	for _, line := range lines {
		for more := true; more; {
			var one string
			one, line, more = strings.Cut(line, ",")
			kind, parameters, _ := strings.Cut(one, ";")
			m, ok := parseMedia(strings.ToLower(strings.TrimSpace(kind)), parameters)
			if w := quality(parameters); ok && w > weight {
				best, weight = m, w
			}
		}
	}
	if weight == 0 {
		return best, errAccept(strings.Join(lines, ", "))
	}
	return best, nil
}

// quality reads the weight out of a media range's parameters; what is no number weighs 1.
func quality(parameters string) float64 {
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
