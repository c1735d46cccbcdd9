package catalog

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// viewsSQL reads what relates views.
//
//go:embed views.sql
var viewsSQL string

// viewsDocument is what views.sql returns. Relations are known by their oids, columns by their numbers.
type viewsDocument struct {
	Relations []struct {
		Schema  string            `json:"schema"`
		Name    string            `json:"name"`
		OID     uint32            `json:"oid"`
		Columns map[string]string `json:"columns"` // number -> name
	} `json:"relations"`
	Views []struct {
		OID        uint32 `json:"oid"`
		Definition string `json:"definition"`
	} `json:"views"`
	Keys        []viewKey  `json:"keys"`
	PrimaryKeys []tableKey `json:"primary_keys"`
}

// tableKey is the primary key of any table.
type tableKey struct {
	Table   uint32 `json:"table"`
	Columns []int  `json:"columns"`
}

// viewKey is a foreign key of any table.
type viewKey struct {
	Name       string `json:"name"`
	Table      uint32 `json:"table"`
	Columns    []int  `json:"columns"`
	Foreign    uint32 `json:"foreign_table"`
	References []int  `json:"references"`
	Unique     bool   `json:"unique"`
	Primary    bool   `json:"primary"` // its columns are of the primary key
}

// tableColumn is a column of a table.
type tableColumn struct {
	table  uint32
	number int
}

// showing is an exposed relation as far as it shows columns of one table.
type showing struct {
	*Relation
	columns map[int][]*Column // by their numbers in the table
	itself  bool              // it is the table
}

// relateViews adds the relationships in which views take part: a view that shows the columns of a foreign
// key, or those that it references, is related like the table. One that shows a table's primary key has it, too. It runs
// before the catalog is shared.
func (c *Catalog) relateViews(document []byte) error {
	var doc viewsDocument
	if err := json.Unmarshal(document, &doc); err != nil {
		return fmt.Errorf("rest: document of views: %w", err)
	}
	origins := make(map[uint32]map[int]tableColumn, len(doc.Views))
	for _, v := range doc.Views {
		origins[v.OID] = viewOrigins(v.Definition)
	}
	shown := map[uint32][]showing{}
	for _, r := range doc.Relations {
		relation := c.Relations[QualifiedName{r.Schema, r.Name}]
		if relation == nil {
			continue // made since the catalog was read
		}
		numbers := make(map[string]int, len(r.Columns))
		for text, name := range r.Columns {
			numbers[name], _ = strconv.Atoi(text) // 0 is no column's number
		}
		byTable := map[uint32]map[int][]*Column{}
		for i := range relation.Columns {
			column := &relation.Columns[i]
			at, ok := follow(origins, tableColumn{r.OID, numbers[column.Name]})
			if !ok {
				continue
			}
			if byTable[at.table] == nil {
				byTable[at.table] = map[int][]*Column{}
			}
			byTable[at.table][at.number] = append(byTable[at.table][at.number], column)
		}
		for table, columns := range byTable {
			shown[table] = append(shown[table], showing{relation, columns, table == r.OID})
		}
	}
	relateShown(shown, doc.Keys)
	keyViews(shown, doc.PrimaryKeys)
	c.sortRelationships()
	return nil
}

// maxViews is how many views may lie upon each other.
const maxViews = 20

// follow finds the table's column that a column of a view shows.
func follow(origins map[uint32]map[int]tableColumn, at tableColumn) (tableColumn, bool) {
	for range maxViews {
		columns, isView := origins[at.table]
		if !isView {
			return at, true
		}
		next, ok := columns[at.number]
		if !ok {
			return at, false
		}
		at = next
	}
	return at, false
}

// keyViews gives a view the primary key of the table whose rows it shows. One that shows the keys of several tables has
// none: its rows are those of no table.
func keyViews(shown map[uint32][]showing, keys []tableKey) {
	found := map[*Relation]int{}
	for i := range keys {
		for _, s := range shown[keys[i].Table] {
			names := make([]string, 0, len(keys[i].Columns))
			for _, number := range keys[i].Columns {
				if columns := s.columns[number]; len(columns) > 0 {
					names = append(names, columns[0].Name)
				}
			}
			if s.IsView() && len(names) == len(keys[i].Columns) {
				s.PrimaryKey = names
				found[s.Relation]++
			}
		}
	}
	for r, n := range found {
		if n > 1 {
			r.PrimaryKey = nil
		}
	}
}

// relateShown makes the relationships of all relations that show a key's columns with all that show what it
// references, but for those between two tables, which are known.
func relateShown(shown map[uint32][]showing, keys []viewKey) {
	byTable := map[uint32][]*viewKey{}
	for i := range keys {
		k := &keys[i]
		byTable[k.Table] = append(byTable[k.Table], k)
		for _, from := range shown[k.Table] {
			for _, to := range shown[k.Foreign] {
				if from.itself && to.itself {
					continue
				}
				for _, r := range k.between(from, to) {
					r.origin.Relationships = append(r.origin.Relationships, r)
					r.Target.Relationships = append(r.Target.Relationships, r.reverse())
				}
			}
		}
	}
	for table, list := range byTable {
		for _, a := range list {
			for _, b := range list {
				if a != b && a.Primary && b.Primary && a.Foreign != b.Foreign {
					relateThrough(shown, shown[table], a, b)
				}
			}
		}
	}
}

// relateThrough makes the many-to-many relationships from what a references to what b references, through
// each relation that shows the columns of both.
func relateThrough(shown map[uint32][]showing, junctions []showing, a, b *viewKey) {
	for _, j := range junctions {
		for _, origin := range shown[a.Foreign] {
			for _, target := range shown[b.Foreign] {
				if j.itself && origin.itself && target.itself {
					continue
				}
				for _, back := range a.between(j, origin) {
					for _, forth := range b.between(j, target) {
						back.Target.Relationships = append(back.Target.Relationships, through(back, forth))
					}
				}
			}
		}
	}
}

// between makes the relationships of a key between two relations: none when one does not show its columns,
// several when one shows a column more than once.
func (k *viewKey) between(from, to showing) []*Relationship {
	choices := [][]Pair{nil}
	for i := range k.Columns {
		var longer [][]Pair
		for _, pairs := range choices {
			for _, f := range from.columns[k.Columns[i]] {
				for _, t := range to.columns[k.References[i]] {
					longer = append(longer, append(slices.Clone(pairs), Pair{f, t}))
				}
			}
		}
		choices = longer[:min(len(longer), maxChoices)]
	}
	list := make([]*Relationship, len(choices))
	for i, pairs := range choices {
		list[i] = &Relationship{cardinality: manyToOne, origin: from.Relation, Target: to.Relation, constraint: k.Name,
			Columns: pairs, Outgoing: true}
		if k.Unique {
			list[i].cardinality = oneToOne
		}
	}
	return list
}

// maxChoices is the greatest number of relationships that one key makes between two relations.
const maxChoices = 16
