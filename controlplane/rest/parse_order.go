package rest

// parseOrder reads order=term,term,...
func parseOrder(value string) ([]OrderTerm, *Error) {
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
func orderTerm(s *scanner) (term OrderTerm, err *Error) {
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
	word := orderWord(s)
	if word == "asc" || word == "desc" {
		term.Descending = word == "desc"
		if !s.take('.') {
			return term, nil
		}
		word = orderWord(s)
	}
	switch word {
	case "nullsfirst":
		term.Nulls = NullsFirst
	case "nullslast":
		term.Nulls = NullsLast
	default:
		s.pos -= len(word)
		return term, s.fail("order", `"asc", "desc", "nullsfirst" or "nullslast"`)
	}
	return term, nil
}

// orderWord reads lower-case letters.
func orderWord(s *scanner) string {
	start := s.pos
	for c := s.peek(); c >= 'a' && c <= 'z'; c = s.peek() {
		s.pos++
	}
	return s.text[start:s.pos]
}
