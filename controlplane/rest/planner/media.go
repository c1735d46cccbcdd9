package planner

import (
	"slices"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// Media is the format of an answer.
type Media struct {
	// Object asks for one object instead of an array; any other number of rows is an error.
	Object bool
	// Stripped leaves members out that are null.
	Stripped bool
	// CSV is lines of comma-separated values, the first with the names.
	CSV bool

	// Custom is a format that is none of these.
	Custom *catalog.Format
	// explain asks for the plan of the statement that makes the answer, instead of the answer.
	explain *explainMedia
}

// Media types that we know by name.
const (
	mediaJSON   = "application/json"
	mediaCSV    = "text/csv"
	mediaBinary = "application/octet-stream"
	mediaText   = "text/plain"
	mediaXML    = "text/xml"
	mediaAny    = "*/*"

	// PostgREST's, for one object, and for an array where it has a parameter.
	MediaObject   = "application/vnd.pgrst.object+json"
	mediaArray    = "application/vnd.pgrst.array+json"
	NullsStripped = ";nulls=stripped"
)

// Explains tells whether the answer is the plan of the statement.
func (m *Media) Explains() bool { return m.explain != nil }

// ContentType returns the value of Content-Type.
func (m *Media) ContentType() string {
	const utf8 = "; charset=utf-8"
	switch {
	case m.explain != nil:
		return m.explain.mediaType(m) + utf8
	case m.Custom != nil && m.Custom.Name == mediaAny:
		return mediaBinary
	case m.Custom != nil && !slices.Contains([]string{mediaJSON, mediaCSV, mediaText, mediaXML, catalog.MediaGeo}, m.Custom.Name):
		return m.Custom.Name
	}
	name := m.name()
	if name == mediaJSON {
		return mediaJSON + utf8
	}
	return name + utf8
}

// name returns the media type.
func (m *Media) name() string {
	switch {
	case m.Custom != nil:
		return m.Custom.Name
	case m.CSV:
		return mediaCSV
	case m.Object && m.Stripped:
		return MediaObject + NullsStripped
	case m.Object:
		return MediaObject
	case m.Stripped:
		return mediaArray + NullsStripped
	}
	return mediaJSON
}

// anything is what a client takes that does not say.
var anything = []dialect.MediaRange{{Kind: mediaAny, Weight: 1}}

// negotiate chooses the format of the answer: the first that the client takes and we can produce.
func (p *Plan) negotiate(c *catalog.Catalog, r *dialect.Request) *fault.Error {
	accepted := r.Accept
	if r.Accepted == "" {
		accepted = anything
	}
	for _, one := range accepted {
		m, ok := p.format(c, one.Kind, one.Parameters)
		if !ok {
			m, ok = p.explains(c, r, one)
		}
		if !ok {
			continue
		}
		if r.Action != dialect.Read && r.Action != dialect.Call && !p.Represents() {
			m.Custom = nil // there will be no body
		}
		p.Media = m
		return nil
	}
	return fault.Accept(r.Accepted)
}

// format returns the one that a media range stands for.
func (p *Plan) format(c *catalog.Catalog, kind, parameters string) (m Media, ok bool) {
	switch kind {
	case mediaArray, "application/vnd.pgrst.array":
		m.Stripped = stripsNulls(parameters)
		return m, true
	case MediaObject, "application/vnd.pgrst.object":
		m.Object, m.Stripped = true, stripsNulls(parameters)
		return m, true
	case "":
		kind = mediaAny
	}
	if m.Custom = p.handler(c, kind); m.Custom != nil {
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

// Packed tells whether a format is probably compressed already.
func (m Media) Packed() bool { return m.Custom != nil && m.Custom.Binary }
