package token

import (
	"errors"
	"strconv"
	"strings"
)

// RolePath says where in the claims the role stands, in PostgREST's notation: .role, ."https://example.com/roles"[0],
// .realm_access.roles[1].
type RolePath struct{ steps []pathStep }

// pathStep is a member of an object or, when name is empty, an element of an array.
type pathStep struct {
	name  string
	index int
}

var errRolePath = errors.New("must be a path of claims like .role, .realm_access.roles[0] or .\"https://example.com/role\"")

// ParseRolePath reads a path. The comparisons that PostgREST has besides, [?(@ == "x")], are not supported.
func ParseRolePath(text string) (RolePath, error) {
	var p RolePath
	if !strings.HasPrefix(text, ".") {
		return p, errRolePath
	}
	for text != "" {
		var step pathStep
		rest, quoted := strings.CutPrefix(text, `."`)
		switch {
		case quoted:
			end := strings.IndexByte(rest, '"')
			if end <= 0 || strings.ContainsRune(rest[:end], '\\') {
				return RolePath{}, errRolePath
			}
			step.name, text = rest[:end], rest[end+1:]
		case text[0] == '.':
			end := strings.IndexFunc(text[1:], func(r rune) bool {
				return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-$@", r))
			}) + 1
			if end == 0 {
				end = len(text)
			}
			step.name, text = text[1:end], text[end:]
			if step.name == "" {
				return RolePath{}, errRolePath
			}
		case text[0] == '[':
			end := strings.IndexByte(text, ']')
			index, err := strconv.ParseUint(text[1:max(end, 1)], 10, 16)
			if err != nil {
				return RolePath{}, errRolePath
			}
			step.index, text = int(index), text[end+1:]
		default:
			return RolePath{}, errRolePath
		}
		p.steps = append(p.steps, step)
	}
	return p, nil
}

// find returns the string at the path. found says that something other than null is there.
func (p RolePath) find(claims object) (role string, found bool) {
	value := claims.text
	for _, step := range p.steps {
		if step.name == "" {
			if value = element(value, step.index); value == nil {
				return "", false
			}
			continue
		}
		o, ok := parseObject(value)
		if !ok {
			return "", false
		}
		if value = o.value(step.name); value == nil {
			return "", false
		}
	}
	if isNull(value) {
		return "", false
	}
	role, _ = object{text: value, members: []member{{valueTo: len(value)}}}.stringValue("")
	return role, true
}

// element returns an element of an array that is written canonically, nil when there is none.
func element(array []byte, index int) []byte {
	if len(array) == 0 || array[0] != '[' {
		return nil
	}
	s := scanner{src: array, pos: 1}
	for i := 0; s.pos < len(array) && array[s.pos] != ']'; i++ {
		from := s.pos
		if !s.value(2) {
			return nil
		}
		if i == index {
			return array[from:s.pos]
		}
		if s.pos < len(array) && array[s.pos] == ',' {
			s.pos++
		}
	}
	return nil
}
