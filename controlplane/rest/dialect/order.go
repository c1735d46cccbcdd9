package dialect

import (
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// parseOrder reads order=term,term,...
func parseOrder(value string) ([]OrderTerm, *fault.Error) {
	s := scanner{text: value}
	if s.blanks(); s.end() {
		return nil, nil
	}
	var terms []OrderTerm
	for {
		term, err := orderTerm(&s)
		if err != nil {
			return nil, err
		}
		terms = append(terms, term)
		if s.blanks(); s.end() {
			return terms, nil
		}
		if !s.take(',') {
			return nil, s.fail("order", `"," or end of input`)
		}
	}
}

// orderTerm reads column[.asc|.desc][.nullsfirst|.nullslast] or the same with embed(column).
func orderTerm(s *scanner) (term OrderTerm, err *fault.Error) {
	if term.Field, err = field(s, "order"); err != nil {
		return term, err
	}
	if s.peek() == '(' && term.Path == nil {
		s.pos++
		term.Relation = term.Column
		if term.Field, err = field(s, "order"); err != nil {
			return term, err
		}
		if !s.take(')') {
			return term, s.fail("order", `")"`)
		}
	}
	if !s.take('.') {
		return term, nil
	}
	expected := `"asc", "desc", "nullsfirst" or "nullslast"`
	if term.Descending = s.takeString("desc"); term.Descending || s.takeString("asc") {
		expected = `"nullsfirst" or "nullslast"`
		if !s.take('.') {
			return term, nil
		}
	}
	switch {
	case s.takeString("nullsfirst"):
		term.Nulls = NullsFirst
	case s.takeString("nullslast"):
		term.Nulls = NullsLast
	default:
		return term, s.fail("order", expected)
	}
	return term, nil
}
