package catalog

// domainCasts is how the values of a domain look outside: the functions of its casts, as SQL. An empty one is
// PostgreSQL's own way.
type domainCasts struct {
	toJSON, toText     string // of an answer in JSON and in CSV
	fromJSON, fromText string // of a body and of a filter
}

type castDocument struct {
	Domain string `json:"domain"`
	Out    bool   `json:"out"`
	Format string `json:"format"` // json or text
	SQL    string `json:"sql"`
}

// domains gathers the casts of each domain.
func domains(docs []castDocument) map[string]*domainCasts {
	list := make(map[string]*domainCasts)
	for _, d := range docs {
		r := list[d.Domain]
		if r == nil {
			r = new(domainCasts)
			list[d.Domain] = r
		}
		switch {
		case d.Out && d.Format == "json":
			r.toJSON = d.SQL
		case d.Out:
			r.toText = d.SQL
		case d.Format == "json":
			r.fromJSON = d.SQL
		default:
			r.fromText = d.SQL
		}
	}
	return list
}

// Out is the function that makes the value of an answer; empty without one.
func (c *Column) Out(csv bool) string {
	switch {
	case c.casts == nil:
		return ""
	case csv && c.casts.toText != "":
		return c.casts.toText
	}
	return c.casts.toJSON
}

// FromJSON is the function that makes the value out of JSON; empty without one.
func (c *Column) FromJSON() string {
	if c.casts == nil {
		return ""
	}
	return c.casts.fromJSON
}

// FromText is the function that makes the value out of a filter's text; empty without one.
func (c *Column) FromText() string {
	if c.casts == nil {
		return ""
	}
	return c.casts.fromText
}

// Represented tells whether the values look different outside.
func (c *Column) Represented() bool { return c.casts != nil }

// Represented tells whether any of the columns looks different outside.
func Represented(columns []Column) bool {
	for i := range columns {
		if columns[i].casts != nil {
			return true
		}
	}
	return false
}
