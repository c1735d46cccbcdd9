package planner

import (
	"slices"

	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
)

// write builds INSERT, UPDATE and DELETE: the change as a common table expression w, and the answer
// from the rows it returns. A change whose rows nobody wants returns a constant, because returning a
// column needs the right to read it.
func (b *builder) write(p *Plan) {
	b.sql("with ")
	switch {
	case p.Action == dialect.Insert && len(p.parts) > 1:
		b.inserts(p)
	case p.Action == dialect.Insert || p.Action == dialect.Put:
		b.sql("w as (")
		b.insert(p, &p.parts[0])
		b.sql(")")
	case p.Action == dialect.Update:
		b.sql("w as (")
		b.update(p, &p.parts[0])
		b.sql(")")
	case p.Action == dialect.Delete:
		b.sql("w as (delete from ", p.Relation.SQL, " as t")
		b.filters(&p.node)
		b.returning(p)
		b.sql(")")
	}
	b.sql(" ")
	switch {
	case p.Represents():
		b.body(p, false, func() { b.sql("w as t") })
	case p.Locates():
		b.location(p)
	default:
		b.sql("select null, ")
		b.number(p)
		b.settings()
		b.existing(p)
		b.sql(" from w")
	}
}

// existing appends the number of rows of w that were there before: to the statement, the table is still what it was
// at its begin.
func (b *builder) existing(p *Plan) {
	if !p.Merges() {
		return
	}
	b.sql(", (select pg_catalog.count(*)::pg_catalog.text from w join ", p.Relation.SQL, " as o on ")
	for i, c := range p.conflict {
		if i > 0 {
			b.sql(" and ")
		}
		b.sql("o.", c.SQL, " = w.", c.SQL)
	}
	b.sql(")")
}

// inserts appends one INSERT for each part of the payload, and w, the rows of all.
func (b *builder) inserts(p *Plan) {
	name := func(i int) {
		b.sql("w")
		b.digits(i)
	}
	for i := range p.parts {
		name(i)
		b.sql(" as (")
		b.insert(p, &p.parts[i])
		b.sql("), ")
	}
	b.sql("w as (")
	for i := range p.parts {
		if i > 0 {
			b.sql(" union all ")
		}
		b.sql("select * from ")
		name(i)
	}
	b.sql(")")
}

// insert appends an INSERT of a part's objects.
func (b *builder) insert(p *Plan, part *part) {
	b.sql("insert into ", p.Relation.SQL, " as t")
	if len(part.targets) == 0 {
		// Objects without keys are rows of defaults, as many as there are objects.
		b.sql(" select from pg_catalog.json_array_elements(")
		b.bind(part.json)
		b.sql(")")
		b.onConflict(p, part)
		b.returning(p)
		return
	}
	b.sql(" (")
	for i, c := range part.targets {
		b.comma(i)
		b.sql(c.SQL)
	}
	b.sql(") select ")
	for i, c := range part.targets {
		b.comma(i)
		b.incoming(c)
	}
	b.sql(" from pg_catalog.json_to_recordset(")
	b.bind(part.json)
	b.sql(") as b (")
	b.definitions(part.targets)
	b.sql(")")
	if p.Action == dialect.Put {
		b.named(p)
	}
	b.onConflict(p, part)
	b.returning(p)
}

// named appends the condition that a row of the body is the one that the filters of a PUT name.
func (b *builder) named(p *Plan) {
	for i := range p.where {
		if i == 0 {
			b.sql(" where ")
		} else {
			b.sql(" and ")
		}
		b.incoming(p.where[i].Column)
		b.sql(" = ")
		b.operand(&p.where[i], []byte(p.where[i].Value))
	}
}

// onConflict appends what becomes of a row that is there already. Of those that are updated, the columns in
// which they conflict are equal anyway.
func (b *builder) onConflict(p *Plan, part *part) {
	if p.conflict == nil {
		return
	}
	b.sql(" on conflict (")
	for i, c := range p.conflict {
		b.comma(i)
		b.sql(c.SQL)
	}
	b.sql(") do ")
	if p.Prefer.Resolution == dialect.ResolutionIgnore || len(part.targets) == 0 {
		b.sql("nothing")
		return
	}
	b.sql("update set ")
	list := slices.DeleteFunc(slices.Clone(part.targets), func(c *catalog.Column) bool { return slices.Contains(p.conflict, c) })
	if len(list) == 0 {
		list = part.targets // so that the row is returned
	}
	for i, c := range list {
		b.comma(i)
		b.sql(c.SQL, " = excluded.", c.SQL)
	}
}

// update appends an UPDATE by the payload's only object. Without a column to set it changes nothing.
func (b *builder) update(p *Plan, part *part) {
	if len(part.targets)+len(part.defaults) == 0 || p.Payload.Rows == 0 {
		b.sql("select ")
		b.returned(p)
		b.sql(" from ", p.Relation.SQL, " as t where false")
		return
	}
	b.sql("update ", p.Relation.SQL, " as t set ")
	for i, c := range part.targets {
		b.comma(i)
		b.sql(c.SQL, " = ")
		b.incoming(c)
	}
	for i, c := range part.defaults {
		b.comma(i + len(part.targets))
		b.sql(c.SQL, " = default")
	}
	if len(part.targets) > 0 {
		b.sql(" from pg_catalog.json_to_record(")
		b.bind(p.Payload.Object())
		b.sql(") as b (")
		b.definitions(part.targets)
		b.sql(")")
	}
	b.filters(&p.node)
	b.returning(p)
}

// definitions appends the columns that are taken out of a JSON object, with their types.
func (b *builder) definitions(columns []*catalog.Column) {
	for i, c := range columns {
		b.comma(i)
		if c.FromJSON() != "" {
			b.sql(c.SQL, " pg_catalog.json")
			continue
		}
		b.sql(c.SQL, " ", c.Type)
	}
}

// incoming appends the value of a column in the body.
func (b *builder) incoming(c *catalog.Column) {
	if from := c.FromJSON(); from != "" {
		b.sql(from, "(b.", c.SQL, ")")
		return
	}
	b.sql("b.", c.SQL)
}

// returning appends the RETURNING clause.
func (b *builder) returning(p *Plan) {
	b.sql(" returning ")
	b.returned(p)
}

// returned appends the columns that the answer and its order need, each once.
func (b *builder) returned(p *Plan) {
	seen := make(map[*catalog.Column]bool, len(p.members)+len(p.order))
	add := func(c *catalog.Column) {
		if !seen[c] {
			b.comma(len(seen))
			b.sql("t.", c.SQL)
			seen[c] = true
		}
	}
	if p.Merges() && !p.everything() {
		for _, c := range p.conflict {
			add(c)
		}
	}
	switch {
	case p.Represents():
		if p.everything() {
			b.sql("t.*")
			return
		}
		for i := range p.members {
			if p.members[i].embed == nil && p.members[i].Column != nil {
				add(p.members[i].Column)
			}
		}
		for i := range p.order {
			if p.order[i].embed == nil {
				add(p.order[i].Column)
			}
		}
		for _, e := range p.embeds {
			for _, pair := range e.Relationship.Columns {
				add(pair.From)
			}
		}
	case p.Locates():
		for _, name := range p.Relation.PrimaryKey {
			add(p.Relation.Column(name))
		}
	}
	if len(seen) == 0 {
		b.sql("true")
	}
}

// everything tells whether the answer of a write needs all columns.
func (p *Plan) everything() bool {
	star := func(m member) bool { return m.star }
	return p.Represents() && (p.members == nil || slices.ContainsFunc(p.members, star) || p.computes())
}

// location appends the answer of an INSERT that tells the primary key of the only row.
func (b *builder) location(p *Plan) {
	b.sql("select case when pg_catalog.count(*) = '1' then pg_catalog.json_build_array(")
	for i, name := range p.Relation.PrimaryKey {
		b.comma(i)
		b.sql("pg_catalog.max(w.", p.Relation.Column(name).SQL, "::pg_catalog.text)")
	}
	b.sql(") end, ")
	b.number(p)
	b.settings()
	b.existing(p)
	b.sql(" from w")
}
