package rest

// write builds INSERT, UPDATE and DELETE: the change as a common table expression w, and the answer
// from the rows it returns. A change whose rows nobody wants returns a constant, because returning a
// column needs the right to read it.
func (b *builder) write(p *Plan) {
	b.sql("with w as (")
	switch p.action {
	case Insert:
		b.insert(p)
	case Update:
		b.update(p)
	case Delete:
		b.sql("delete from ", p.relation.SQL, " as t")
		b.where(p.where)
		b.returning(p)
	}
	b.sql(") ")
	if p.answer != ReturnRepresentation {
		b.sql("select null, pg_catalog.count(*)::pg_catalog.text from w")
		return
	}
	b.body(p, p.relation.Columns, false, func() {
		b.sql(" from w as t")
		b.orderBy(p.order)
	})
}

// insert appends an INSERT of the payload's objects.
func (b *builder) insert(p *Plan) {
	b.sql("insert into ", p.relation.SQL, " as t")
	if len(p.targets) == 0 {
		// Objects without keys are rows of defaults, as many as there are objects.
		b.sql(" select from pg_catalog.json_array_elements(")
		b.bind(p.payload.JSON)
		b.sql(")")
		b.returning(p)
		return
	}
	b.sql(" (")
	for i, c := range p.targets {
		b.comma(i)
		b.sql(c.SQL)
	}
	b.sql(") select ")
	for i, c := range p.targets {
		b.comma(i)
		b.sql("b.", c.SQL)
	}
	b.sql(" from pg_catalog.json_to_recordset(")
	b.bind(p.payload.JSON)
	b.sql(") as b (")
	b.definitions(p.targets)
	b.sql(")")
	b.returning(p)
}

// update appends an UPDATE by the payload's only object. An object without keys changes nothing.
func (b *builder) update(p *Plan) {
	if len(p.targets) == 0 {
		b.sql("select ")
		b.returned(p)
		b.sql(" from ", p.relation.SQL, " as t where false")
		return
	}
	b.sql("update ", p.relation.SQL, " as t set ")
	for i, c := range p.targets {
		b.comma(i)
		b.sql(c.SQL, " = b.", c.SQL)
	}
	b.sql(" from pg_catalog.json_to_record(")
	b.bind(p.payload.object())
	b.sql(") as b (")
	b.definitions(p.targets)
	b.sql(")")
	b.where(p.where)
	b.returning(p)
}

// definitions appends the columns that are taken out of a JSON object, with their types.
func (b *builder) definitions(columns []*Column) {
	for i, c := range columns {
		b.comma(i)
		b.sql(c.SQL, " ", c.Type)
	}
}

// returning appends the RETURNING clause.
func (b *builder) returning(p *Plan) {
	b.sql(" returning ")
	b.returned(p)
}

// returned appends the columns that the answer and its order need, each once.
func (b *builder) returned(p *Plan) {
	if p.answer != ReturnRepresentation {
		b.sql("true")
		return
	}
	star := p.output == nil
	for _, o := range p.output {
		star = star || o.star
	}
	if star {
		b.sql("t.*")
		return
	}
	seen := make(map[*Column]bool, len(p.output))
	add := func(c *Column) {
		if !seen[c] {
			b.comma(len(seen))
			b.sql("t.", c.SQL)
			seen[c] = true
		}
	}
	for _, o := range p.output {
		add(o.column)
	}
	for _, k := range p.order {
		add(k.column)
	}
}

// comma appends ", " before every element but the first.
func (b *builder) comma(i int) {
	if i > 0 {
		b.sql(", ")
	}
}
