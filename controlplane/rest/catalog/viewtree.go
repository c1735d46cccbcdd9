package catalog

import (
	"strconv"
	"strings"
)

// viewOrigins reads which column of a view shows which column of the relations that it selects from, out of
// the view's query tree as pg_rewrite.ev_action has it. Columns that are computed are left out.
//
// The text is made of nodes {NAME :field value ...}, lists in parentheses and words; a backslash takes the
// next byte literally. A view's columns are the TARGETENTRY nodes inside the outermost node; what it selects
// from lies deeper.
func viewOrigins(tree string) map[int]tableColumn {
	origins := map[int]tableColumn{}
	s := treeScanner{text: tree}
	depth := 0
	var entry map[string]int // the numbers of the entry being read
	field := ""
	for word, ok := s.next(); ok; word, ok = s.next() {
		switch {
		case word == "{":
			depth++
			if name, _ := s.next(); depth == 2 && name == "TARGETENTRY" {
				entry = map[string]int{}
			}
			field = ""
		case word == "}":
			if depth == 2 && entry != nil {
				if entry["resorigtbl"] > 0 && entry["resorigcol"] > 0 {
					origins[entry["resno"]] = tableColumn{uint32(entry["resorigtbl"]), entry["resorigcol"]}
				}
				entry = nil
			}
			depth--
			field = ""
		case depth != 2 || entry == nil:
		case strings.HasPrefix(word, ":"):
			field = word[1:]
		case field != "":
			if n, err := strconv.ParseUint(word, 10, 32); err == nil {
				entry[field] = int(n)
			}
			field = ""
		}
	}
	return origins
}

// treeScanner reads the words of a query tree.
type treeScanner struct {
	text string
	pos  int
}

// next returns the next word; braces and parentheses are words. ok is false at the end.
func (s *treeScanner) next() (word string, ok bool) {
	for s.pos < len(s.text) && strings.IndexByte(" \n\t", s.text[s.pos]) >= 0 {
		s.pos++
	}
	if s.pos == len(s.text) {
		return "", false
	}
	start := s.pos
	if strings.IndexByte("{}()", s.text[s.pos]) >= 0 {
		s.pos++
		return s.text[start:s.pos], true
	}
	for s.pos < len(s.text) && strings.IndexByte(" \n\t{}()", s.text[s.pos]) < 0 {
		if s.text[s.pos] == '\\' && s.pos+1 < len(s.text) {
			s.pos++
		}
		s.pos++
	}
	return s.text[start:s.pos], true
}
