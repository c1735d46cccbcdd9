package dialect

import (
	"slices"

	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// maxParts is the greatest number of different sets of keys in one body with missing=default.
const maxParts = 32

// partition puts the objects of a body into parts.
type partition struct {
	columns  []string // nil: all objects have the keys of the first
	defaults bool     // missing keys mean defaults
	rows     int
	parts    []Part
	last     int // the part of the last object
}

// add takes the object that d has written from start on.
func (p *partition) add(d *decoder, start int, keys []string) {
	if d.err != nil {
		return
	}
	p.rows++
	switch {
	case p.columns != nil && p.defaults:
		keys = intersection(p.columns, keys)
	case p.columns != nil:
		keys = p.columns
	case p.rows > 1 && !sameKeys(p.parts[0].Keys, keys):
		d.err = fault.Body(messageKeys, "")
		d.pos = len(d.src)
		return
	}
	part := p.part(keys)
	if part == nil {
		d.err = fault.Limit(400, "different sets of keys in a body", maxParts)
		d.pos = len(d.src)
		return
	}
	switch {
	case len(part.JSON) == 0 && cap(part.JSON) > 0: // of a bulk insert, written out
		part.JSON = append(part.JSON, '[')
	case part.JSON == nil && len(p.parts) == 1: // most bodies have one part
		part.JSON = append(make([]byte, 0, len(d.src)-d.pos+len(d.out)-start+2), '[')
	case part.JSON == nil:
		part.JSON = []byte{'['}
	default:
		part.JSON = append(part.JSON, ',')
	}
	part.JSON = append(part.JSON, d.out[start:]...)
	d.out = d.out[:start]
}

// part returns the part of objects with these keys, nil when there are too many.
func (p *partition) part(keys []string) *Part {
	p.last = 0
	if len(p.parts) > 0 && !(p.columns != nil && p.defaults) {
		return &p.parts[0]
	}
	for i := range p.parts {
		if slices.Equal(p.parts[i].Keys, keys) {
			p.last = i
			return &p.parts[i]
		}
	}
	if len(p.parts) == maxParts {
		return nil
	}
	p.last = len(p.parts)
	p.parts = append(p.parts, Part{Keys: keys})
	return &p.parts[len(p.parts)-1]
}

// finish closes the arrays. A body without objects is one empty part.
func (p *partition) finish() []Part {
	if p.parts == nil {
		p.parts = []Part{{Keys: p.columns, JSON: []byte("[")}}
	}
	for i := range p.parts {
		p.parts[i].JSON = append(p.parts[i].JSON, ']')
	}
	return p.parts
}

// intersection returns those columns that are among the keys.
func intersection(columns, keys []string) (list []string) {
	for _, c := range columns {
		if slices.Contains(keys, c) {
			list = append(list, c)
		}
	}
	return list
}

// sameKeys compares two lists without duplicates as sets.
func sameKeys(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	if slices.Equal(a, b) {
		return true
	}
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
