package dialect

import (
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// selectParser reads select= and counts its embeds against the limits.
type selectParser struct {
	scanner
	limits *Limits
	embeds int
}

const inSelect = "select parameter"

// parseSelect reads select=; an empty one means every column.
func parseSelect(value string, l *Limits) ([]SelectItem, *fault.Error) {
	p := selectParser{scanner: scanner{text: value}, limits: l}
	if p.blanks(); p.end() {
		return nil, nil
	}
	items, err := p.items(1)
	if err == nil && !p.end() {
		err = p.fail(inSelect, `"," or end of input`)
	}
	return items, err
}

// items reads item,item,...
func (p *selectParser) items(depth int) (items []SelectItem, err *fault.Error) {
	for {
		item, err := p.item(depth)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		if p.blanks(); !p.take(',') {
			return items, nil
		}
	}
}

// item reads *, [alias:]column[path][::type] or an embed.
func (p *selectParser) item(depth int) (item SelectItem, err *fault.Error) {
	p.blanks()
	if p.take('*') {
		return SelectItem{Field: Field{Column: "*"}, Star: true}, nil
	}
	spread := p.takeString("...") || p.takeString("..")
	if item.Field, err = field(&p.scanner, inSelect); err != nil {
		return item, err
	}
	if p.peek() == ':' && !p.colons() && item.Path == nil && !spread {
		p.pos++
		item.Alias = item.Column
		if item.Field, err = field(&p.scanner, inSelect); err != nil {
			return item, err
		}
	}
	if item.Column == "count" && item.Path == nil && !spread && p.takeString("()") {
		item.Column = ""
		return item, p.aggregated(&item, "count")
	}
	if c := p.peek(); c == '!' || c == '(' && item.Path == nil || spread {
		item.Embed, err = p.embed(&item, spread, depth)
		return item, err
	}
	if item.Cast, err = p.cast(); err != nil {
		return item, err
	}
	if err = p.aggregate(&item); err != nil {
		return item, err
	}
	if p.peek() == ':' {
		return item, p.fail(inSelect, `"::"`)
	}
	return item, nil
}

// embed reads [!hint][!inner|!left](select) behind a name.
func (p *selectParser) embed(item *SelectItem, spread bool, depth int) (*Embed, *fault.Error) {
	e := &Embed{Name: item.Column, Alias: item.Alias, Spread: spread}
	if p.embeds++; p.embeds > p.limits.Embeds {
		return nil, fault.Limit(400, "number of embedded tables", int64(p.limits.Embeds))
	}
	if depth > p.limits.Depth {
		return nil, fault.Limit(400, "nesting of embedded tables", int64(p.limits.Depth))
	}
	for joined := false; p.take('!'); {
		word, ok := p.name()
		switch {
		case !ok:
			return nil, p.fail(inSelect, `"inner", "left" or a hint`)
		case !joined && (word == "inner" || word == "left"):
			joined, e.Inner = true, word == "inner"
		case e.Hint == "":
			e.Hint = word
		default:
			return nil, p.fail(inSelect, `"("`)
		}
	}
	if !p.take('(') {
		return nil, p.fail(inSelect, `"("`)
	}
	e.Select = []SelectItem{}
	if p.blanks(); !p.take(')') {
		var err *fault.Error
		if e.Select, err = p.items(depth + 1); err != nil {
			return nil, err
		}
		if !p.take(')') {
			return nil, p.fail(inSelect, `"," or ")"`)
		}
	}
	return e, nil
}

// colons tells whether :: comes next.
func (s *scanner) colons() bool {
	return s.pos+1 < len(s.text) && s.text[s.pos] == ':' && s.text[s.pos+1] == ':'
}
