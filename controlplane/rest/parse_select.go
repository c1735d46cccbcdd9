package rest

// parseSelect reads select=; an empty one means every column.
func parseSelect(value string) ([]SelectItem, *Error) {
	s := scanner{text: value}
	if s.blanks(); s.end() {
		return nil, nil
	}
	var items []SelectItem
	for {
		item, err := selectItem(&s)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		if s.blanks(); s.end() {
			return items, nil
		}
		if !s.take(',') {
			return nil, s.fail("select parameter", `"," or end of input`)
		}
	}
}

// selectItem reads * or [alias:]column[::type].
func selectItem(s *scanner) (item SelectItem, err *Error) {
	const what = "select parameter"
	s.blanks()
	if s.take('*') {
		return SelectItem{Field: Field{Column: "*"}, Star: true}, nil
	}
	if s.takeString("..") {
		return item, errUnsupported("spreading an embedded resource")
	}
	if item.Field, err = field(s, what); err != nil {
		return item, err
	}
	if s.peek() == ':' && !s.colons() && item.Path == nil {
		s.pos++
		item.Alias = item.Column
		if item.Field, err = field(s, what); err != nil {
			return item, err
		}
	}
	switch s.peek() {
	case '(', '!':
		return item, errUnsupported("embedding a resource")
	case '.':
		return item, errUnsupported("an aggregate function")
	case ':':
		if !s.takeString("::") {
			return item, s.fail(what, `"::"`)
		}
		name, ok := s.name()
		if !ok {
			return item, s.fail(what, "name of a type")
		}
		item.Cast = name
		if s.peek() == '.' {
			return item, errUnsupported("an aggregate function")
		}
	}
	return item, nil
}

// colons tells whether :: comes next.
func (s *scanner) colons() bool {
	return s.pos+1 < len(s.text) && s.text[s.pos] == ':' && s.text[s.pos+1] == ':'
}

// parseOrder reads order=column[.asc|.desc][.nullsfirst|.nullslast],...
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

// orderTerm reads one term of order=.
func orderTerm(s *scanner) (term OrderTerm, err *Error) {
	if term.Field, err = field(s, "order"); err != nil {
		return term, err
	}
	if s.peek() == '(' {
		return term, errUnsupported("ordering by an embedded resource")
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
