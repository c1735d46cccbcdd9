package dialect

import (
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// aggregates are the aggregate functions of select=; their names are SQL of ours.
var aggregates = [...]string{"avg", "count", "max", "min", "sum"}

// aggregate reads what may follow a column and its cast: .function()[::type].
func (p *selectParser) aggregate(item *SelectItem) *fault.Error {
	if !p.take('.') {
		return nil
	}
	for _, name := range aggregates {
		if p.takeString(name + "()") {
			return p.aggregated(item, name)
		}
	}
	return p.fail(inSelect, `"avg()", "count()", "max()", "min()" or "sum()"`)
}

// aggregated notes an aggregate function and reads the cast of its result.
func (p *selectParser) aggregated(item *SelectItem, name string) (err *fault.Error) {
	if !p.limits.Aggregates {
		return fault.Aggregate()
	}
	item.Aggregate = name
	item.ResultCast, err = p.cast()
	return err
}

// cast reads ::type, if it comes next.
func (p *selectParser) cast() (string, *fault.Error) {
	if !p.takeString("::") {
		return "", nil
	}
	name, ok := p.name()
	if !ok {
		return "", p.fail(inSelect, "name of a type")
	}
	return name, nil
}
