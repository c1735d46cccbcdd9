package rest

import (
	"slices"
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

	// custom is a format that is none of these.
	custom *customMedia
	// explain asks for the plan of the statement that makes the answer, instead of the answer.
	explain *explainMedia
}

// customMedia is a format that the application or PostGIS makes.
type customMedia struct {
	name      string // the media type
	binary    bool   // values are bytea
	aggregate string // SQL of the aggregate function that makes it out of rows; empty for the value of a function
	row       string // SQL of the type of rows that it takes; empty for any
	geojson   string // SQL of PostGIS's function that makes it out of a row
}

// Media types that we know by name.
const (
	mediaJSON   = "application/json"
	mediaCSV    = "text/csv"
	mediaBinary = "application/octet-stream"
	mediaText   = "text/plain"
	mediaXML    = "text/xml"
	mediaGeo    = "application/geo+json"
	mediaAny    = "*/*"
	mediaForm   = "application/x-www-form-urlencoded" // of bodies alone

	// PostgREST's, for one object, and for an array where it has a parameter.
	mediaObject = "application/vnd.pgrst.object+json"
	mediaArray  = "application/vnd.pgrst.array+json"
	stripped    = ";nulls=stripped"
)

// contentType returns the value of Content-Type.
func (m *Media) contentType() string {
	const utf8 = "; charset=utf-8"
	switch {
	case m.explain != nil:
		return m.explain.mediaType(m) + utf8
	case m.custom != nil && m.custom.name == mediaAny:
		return mediaBinary
	case m.custom != nil && !slices.Contains([]string{mediaJSON, mediaCSV, mediaText, mediaXML, mediaGeo}, m.custom.name):
		return m.custom.name
	}
	return m.name() + utf8
}

// name returns the media type.
func (m *Media) name() string {
	switch {
	case m.custom != nil:
		return m.custom.name
	case m.CSV:
		return mediaCSV
	case m.Object && m.Stripped:
		return mediaObject + stripped
	case m.Object:
		return mediaObject
	case m.Stripped:
		return mediaArray + stripped
	}
	return mediaJSON
}

// mediaRange is an element of an Accept header (RFC 9110 section 12.5.1).
type mediaRange struct {
	kind       string // in lower case; empty means any
	parameters string
	weight     float64
}

// accept reads the Accept headers: what the client takes, the best first. Without any header there is nothing in it.
func accept(lines []string) []mediaRange {
	var list []mediaRange
	for _, line := range lines {
		for one := range strings.SplitSeq(line, ",") {
			kind, parameters, _ := strings.Cut(one, ";")
			r := mediaRange{strings.ToLower(strings.TrimSpace(kind)), parameters, quality(parameters)}
			if r.weight > 0 {
				list = append(list, r)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b mediaRange) int {
		switch {
		case a.weight > b.weight:
			return -1
		case a.weight < b.weight:
			return 1
		}
		return 0
	})
	return list
}

// anything is what a client takes that does not say.
var anything = []mediaRange{{kind: mediaAny, weight: 1}}

// negotiate chooses the format of the answer: the first that the client takes and we can produce.
func (c *Catalog) negotiate(p *Plan, r *Request) *Error {
	accepted := r.Accept
	if r.Accepted == "" {
		accepted = anything
	}
	for _, one := range accepted {
		m, ok := c.media(p, one.kind, one.parameters)
		if !ok {
			m, ok = c.explains(p, r, one)
		}
		if !ok {
			continue
		}
		if r.Action != Read && r.Action != Call && !p.represents() {
			m.custom = nil // there will be no body
		}
		p.media = m
		return nil
	}
	return errAccept(r.Accepted)
}

// media returns the format that a media range stands for.
func (c *Catalog) media(p *Plan, kind, parameters string) (m Media, ok bool) {
	switch kind {
	case mediaArray, "application/vnd.pgrst.array":
		m.Stripped = stripsNulls(parameters)
		return m, true
	case mediaObject, "application/vnd.pgrst.object":
		m.Object, m.Stripped = true, stripsNulls(parameters)
		return m, true
	case "":
		kind = mediaAny
	}
	if m.custom = c.handler(p, kind); m.custom != nil {
		return m, true
	}
	switch kind {
	case mediaAny, "application/*", mediaJSON:
		return m, true
	case mediaCSV:
		m.CSV = true
		return m, true
	}
	return m, false
}

// stripsNulls tells whether the parameters have nulls=stripped.
func stripsNulls(parameters string) bool {
	for one := range strings.SplitSeq(parameters, ";") {
		if strings.TrimSpace(one) == "nulls=stripped" {
			return true
		}
	}
	return false
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
