package planner

import (
	"slices"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
)

// explainMedia is PostgREST's media type for the plan of a statement.
type explainMedia struct {
	json    bool
	options []string // of explainOptions
}

const mediaPlan = "application/vnd.pgrst.plan"

// explainOptions are the options of EXPLAIN that a client may ask for, in the order in which they are told.
var explainOptions = []string{"analyze", "verbose", "settings", "buffers", "wal"}

// explains returns the format of a media range that asks for the plan of a statement, where that is allowed.
func (p *Plan) explains(c *catalog.Catalog, r *dialect.Request, one dialect.MediaRange) (m Media, ok bool) {
	suffix, ok := strings.CutPrefix(one.Kind, mediaPlan)
	if !ok || !r.MayExplain || suffix != "" && suffix != "+text" && suffix != "+json" {
		return m, false
	}
	e := &explainMedia{json: suffix == "+json"}
	kind, parameters := mediaJSON, ""
	for one := range explainParameters(one.Parameters) {
		if text, ok := strings.CutPrefix(one, "options="); ok {
			for _, option := range explainOptions {
				if strings.Contains("|"+text+"|", "|"+option+"|") {
					e.options = append(e.options, option)
				}
			}
		}
		if text, ok := strings.CutPrefix(one, "for="); ok {
			kind, parameters, _ = strings.Cut(strings.ToLower(strings.Trim(text, `"`)), ";")
		}
	}
	if r.MaxCost > 0 && slices.Contains(e.options, "analyze") {
		return m, false // it would run, and EXPLAIN has no cost of its own
	}
	m, ok = p.format(c, kind, parameters)
	m.explain = e
	return m, ok
}

// explainParameters yields the parameters of a media range; a semicolon within quotes is part of one.
func explainParameters(text string) func(func(string) bool) {
	return func(yield func(string) bool) {
		quoted, start := false, 0
		for i := 0; i <= len(text); i++ {
			switch {
			case i < len(text) && text[i] == '"':
				quoted = !quoted
			case i == len(text) || text[i] == ';' && !quoted:
				if !yield(strings.TrimSpace(text[start:i])) {
					return
				}
				start = i + 1
			}
		}
	}
}

// mediaType is the media type of the plan that makes an answer of the format m.
func (e *explainMedia) mediaType(m *Media) string {
	name := mediaPlan + "+text"
	if e.json {
		name = mediaPlan + "+json"
	}
	name += `; for="` + m.name() + `"`
	if len(e.options) > 0 {
		name += "; options=" + strings.Join(e.options, "|")
	}
	return name
}

// explain appends what makes the statement behind it one that tells its plan.
func (b *builder) explain(e *explainMedia) {
	b.sql("explain (format ")
	if e.json {
		b.sql("json")
	} else {
		b.sql("text")
	}
	for _, option := range e.options {
		b.sql(", ", option) // a constant of explainOptions
	}
	b.sql(") ")
}
