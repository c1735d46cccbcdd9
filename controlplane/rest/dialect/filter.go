package dialect

import (
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// operators are the operators by their names in a URL.
var operators = map[string]Operator{
	"eq": OpEqual, "neq": OpNotEqual, "gt": OpGreater, "gte": OpGreaterEqual, "lt": OpLess,
	"lte": OpLessEqual, "like": OpLike, "ilike": OpILike, "match": OpMatch, "imatch": OpIMatch,
	"cs": OpContains, "cd": OpContained, "ov": OpOverlaps, "sl": OpStrictlyLeft, "sr": OpStrictlyRight,
	"nxr": OpNotExtendsRight, "nxl": OpNotExtendsLeft, "adj": OpAdjacent, "isdistinct": OpIsDistinct,
	"fts": OpSearch, "plfts": OpPlainSearch, "phfts": OpPhraseSearch, "wfts": OpWebSearch,
	"in": OpIn, "is": OpIs,
}

// quantified tells whether an operator can be followed by (any) or (all).
func (o Operator) quantified() bool { return o <= OpIMatch }

// Search tells whether an operator is one of full-text search.
func (o Operator) Search() bool { return o >= OpSearch && o <= OpWebSearch }

// filterParser reads filters and counts them against the limits.
type filterParser struct {
	limits *Limits
	count  int
}

// looksLikeFilter tells a filter from an argument of a function called by GET: it begins with an
// operator (perhaps with a modifier in parentheses) or "not", and a dot.
func looksLikeFilter(value string) bool {
	word, _, ok := strings.Cut(value, ".")
	if !ok {
		return false
	}
	word, _, _ = strings.Cut(word, "(")
	_, known := operators[word]
	return known || word == "not"
}

// filter reads the parameter column=[not.]operator.value.
func (p *filterParser) filter(key, value string) (c Condition, err *fault.Error) {
	s := scanner{text: key}
	if c.Field, err = field(&s, "filter"); err != nil {
		return c, err
	}
	if !s.end() {
		if s.peek() == '.' {
			return c, fault.Unsupported("a filter on an embedded resource")
		}
		return c, s.fail("filter", "end of input")
	}
	s = scanner{text: value}
	err = p.operation(&s, &c, "filter", false)
	return c, err
}

const inTree = "logic tree"

// tree reads one of the parameters and, or, not.and, not.or.
func (p *filterParser) tree(key, value string) (Condition, *fault.Error) {
	var c Condition
	s := scanner{text: value, shift: len(key)}
	if strings.HasPrefix(key, "not.") {
		c.Not, key = true, key[len("not."):]
	}
	c.Logic = And
	if key == "or" {
		c.Logic = Or
	}
	if err := p.children(&s, &c, 1); err != nil {
		return c, err
	}
	for s.take(')') { // as PostgREST does, closing too much is forgiven
		s.blanks()
	}
	if !s.end() {
		return c, s.fail(inTree, "end of input")
	}
	return c, nil
}

// children reads (condition,condition,...) into c.
func (p *filterParser) children(s *scanner, c *Condition, depth int) *fault.Error {
	if depth > p.limits.Depth {
		return fault.Limit(400, "nesting of and/or", int64(p.limits.Depth))
	}
	s.blanks()
	if !s.take('(') {
		return s.fail(inTree, `"("`)
	}
	for {
		child, err := p.node(s, depth)
		if err != nil {
			return err
		}
		c.Children = append(c.Children, child)
		s.blanks()
		if s.take(')') {
			s.blanks()
			return nil
		}
		if !s.take(',') {
			return s.fail(inTree, `"," or ")"`)
		}
	}
}

// node reads one condition inside a logic tree: [not.]and(...), [not.]or(...) or column.operation.
func (p *filterParser) node(s *scanner, depth int) (c Condition, err *fault.Error) {
	s.blanks()
	start := s.pos
	c.Not = s.takeString("not.")
	switch {
	case s.takeString("and"):
		c.Logic = And
	case s.takeString("or"):
		c.Logic = Or
	}
	if c.Logic != Comparison {
		if s.blanks(); s.peek() == '(' {
			return c, p.children(s, &c, depth+1)
		}
	}
	// A column, perhaps one whose name begins like a word of the tree.
	s.pos = start
	c = Condition{}
	if c.Field, err = field(s, inTree); err != nil {
		return c, err
	}
	if !s.take('.') {
		return c, s.fail(inTree, "delimiter (.)")
	}
	return c, p.operation(s, &c, inTree, true)
}

// operation reads [not.]operator.value. Inside a logic tree the value ends at a comma or parenthesis.
func (p *filterParser) operation(s *scanner, c *Condition, what string, nested bool) *fault.Error {
	if p.count++; p.count > p.limits.Filters {
		return fault.Limit(400, "number of filters", int64(p.limits.Filters))
	}
	c.Not = s.takeString("not.")
	rest := s.text[s.pos:]
	i := strings.IndexAny(rest, ".(,)")
	if i < 0 {
		return s.fail(what, `"not" or operator (eq, gt, ...)`)
	}
	op, known := operators[rest[:i]]
	if !known {
		return s.fail(what, `"not" or operator (eq, gt, ...)`)
	}
	s.pos += i
	if err := modifier(s, c, op, what); err != nil {
		return err
	}
	if !s.take('.') {
		return s.fail(what, `"not" or operator (eq, gt, ...)`)
	}
	c.Operator = op
	switch op {
	case OpIn:
		if err := p.list(s, c, what); err != nil {
			return err
		}
	case OpIs:
		if err := parseIs(s, c, what, nested); err != nil {
			return err
		}
	default:
		if nested {
			c.Value = treeValue(s)
		} else {
			c.Value = s.text[s.pos:]
			s.pos = len(s.text)
		}
	}
	if !nested && !s.end() {
		return s.fail(what, "end of input")
	}
	return nil
}

// treeValue reads the value of a comparison inside a logic tree: an array literal in braces, a quoted
// value, or everything up to a comma or parenthesis.
func treeValue(s *scanner) string {
	if v, ok := s.array(); ok {
		return v
	}
	v, _ := s.element()
	return v
}

// list reads (a,b,"c,d"). "()" is the empty list; ("") holds one empty string.
func (p *filterParser) list(s *scanner, c *Condition, what string) *fault.Error {
	s.blanks()
	if !s.take('(') {
		return s.fail(what, `"("`)
	}
	if s.blanks(); s.take(')') {
		s.blanks()
		return nil
	}
	n := min(strings.Count(s.text[s.pos:], ",")+1, p.limits.List)
	c.List = make([]string, 0, n)
	for {
		value, _ := s.element()
		if len(c.List) == p.limits.List {
			return fault.Limit(400, "elements of an in list", int64(p.limits.List))
		}
		c.List = append(c.List, value)
		if s.take(')') {
			s.blanks()
			return nil
		}
		if !s.take(',') {
			return s.fail(what, `"," or ")"`)
		}
	}
}

// parseIs reads the value of "is", in any case.
func parseIs(s *scanner, c *Condition, what string, nested bool) *fault.Error {
	start := s.pos
	word := s.text[start:]
	if nested {
		word, _ = s.element()
	}
	switch strings.ToLower(word) {
	case "null":
		c.Is = IsNull
	case "not_null":
		c.Is = IsNotNull
	case "true":
		c.Is = IsTrue
	case "false":
		c.Is = IsFalse
	case "unknown":
		c.Is = IsUnknown
	default:
		s.pos = start
		return s.fail(what, "null, not_null or trilean value (unknown, true, false)")
	}
	if !nested {
		s.pos = len(s.text)
	}
	return nil
}

// modifier reads what stands in parentheses behind an operator: (any), (all) or the language of a search.
func modifier(s *scanner, c *Condition, op Operator, what string) *fault.Error {
	if s.peek() != '(' {
		return nil
	}
	if op.Search() {
		s.pos++
		end := strings.IndexByte(s.text[s.pos:], ')')
		if end <= 0 {
			return s.fail(what, "name of a text search configuration")
		}
		c.Language = s.text[s.pos : s.pos+end]
		s.pos += end + 1
		// PostgreSQL would take these for object identifiers, and report one that does not exist as an error of its own.
		if strings.Trim(c.Language, "0123456789 ") == "" || c.Language == "-" {
			return fault.SearchConfiguration(c.Language)
		}
		return nil
	}
	switch {
	case op.quantified() && s.takeString("(any)"):
		c.Quantifier = Any
	case op.quantified() && s.takeString("(all)"):
		c.Quantifier = All
	default:
		return s.fail(what, `"."`)
	}
	return nil
}

// field reads a column name and perhaps a JSON path behind it.
func field(s *scanner, what string) (f Field, err *fault.Error) {
	name, ok := s.name()
	switch {
	case !ok && what == inTree:
		return f, s.fail(what, "field name (* or [a..z0..9_$]), negation operator (not) or logic operator (and, or)")
	case !ok:
		return f, s.fail(what, "field name (* or [a..z0..9_$])")
	}
	f.Column = name
	for s.blanks(); s.takeString("->"); s.blanks() {
		step := Step{Text: s.take('>')}
		if len(f.Path) == maxSteps {
			return f, fault.Limit(400, "steps of a JSON path", maxSteps)
		}
		if step.Key, step.Index = s.index(); !step.Index {
			if step.Key, ok = s.key(); !ok {
				return f, s.fail(what, "key or index of a JSON path")
			}
		}
		f.Path = append(f.Path, step)
	}
	return f, nil
}

// maxSteps is the greatest number of steps of a JSON path.
const maxSteps = 50
