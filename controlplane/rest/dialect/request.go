package dialect

// Target says which kind of thing the path names.
type Target uint8

// The two targets of a data request.
const (
	Table    Target = iota // /{table}
	Function               // /rpc/{function}
)

// Action is what a request does to its target.
type Action uint8

// The actions, each with one shape of statement.
const (
	Read Action = iota
	Insert
	Update
	Delete
	Call
	Put // insert or update the one row that the filters name
)

// Request is the tree of a parsed request. Its strings are the client's: nothing in it has been
// compared with the catalog yet. A Request is not changed after Parse and may be planned again
// against a newer catalog.
type Request struct {
	Action Action
	Get    bool   // GET or HEAD: must not write
	Head   bool   // the answer has no body
	Schema string // Accept-Profile or Content-Profile; empty means the first exposed schema
	Name   string // table or function

	Query         // what is asked of the target
	MaxRows int64 // most rows of an answer to a read or call; 0 is no limit

	Arguments []NamedValue // of a function called by GET or with a form, in their order
	Columns   []string     // columns=: the keys of the payload that count; nil means all
	Conflict  []string     // on_conflict=: the columns in which rows conflict; nil means the primary key
	Payload   Payload      // of POST, PATCH and PUT

	Accept     []MediaRange // formats that the client takes, the best first
	Accepted   string       // the same in the client's words; empty when it takes any
	Prefer     Preferences
	Asked      Asked
	Rollback   bool    // what the request does is undone
	MayExplain bool    // the plan of the statement is a format, too
	MaxCost    float64 // of the statement, as PostgreSQL estimates it; 0 is no limit
}

// Query is what a request asks of one relation.
type Query struct {
	Select []SelectItem // nil means every column; of an embed, an empty list means none
	Where  []Condition  // joined by and
	Order  []OrderTerm
	Limit  *int64
	Offset int64
}

// Embed is a related table inside the answer: [alias:]name[!hint][!inner|!left](select) or, lifted into the
// object around it, ...name(select).
type Embed struct {
	Query
	Name   string // of the table, of a foreign key or of the column that has one
	Hint   string // which relationship is meant; empty without
	Alias  string // empty when not renamed
	Inner  bool   // rows without a related row are left out
	Spread bool
}

// Key returns the name that the embed has in the answer and in filters.
func (e *Embed) Key() string {
	if e.Alias != "" {
		return e.Alias
	}
	return e.Name
}

// Field is a column, or what a JSON path finds in it.
type Field struct {
	Column string
	Path   []Step // empty is the column itself
}

// Step is one step of a JSON path: ->key, ->>key, ->1 or ->>1.
type Step struct {
	Key   string // or the digits of an index, perhaps after a minus
	Index bool
	Text  bool // ->>
}

// SelectItem is one element of select=.
type SelectItem struct {
	Field // Column is "*" with Star
	Star  bool
	Alias string // empty when not renamed
	Cast  string // type name as the client wrote it; empty without ::
	Embed *Embed // instead of all that

	Aggregate  string // one of the aggregate functions; empty without. Of count() alone, Column is empty
	ResultCast string // type name of the result
}

// Operator is the comparison of a filter.
type Operator uint8

// The operators. Those of full-text search are to_tsquery, plainto_tsquery, phraseto_tsquery and
// websearch_to_tsquery.
const (
	OpEqual Operator = iota
	OpNotEqual
	OpGreater
	OpGreaterEqual
	OpLess
	OpLessEqual
	OpLike
	OpILike
	OpMatch
	OpIMatch
	OpContains
	OpContained
	OpOverlaps
	OpStrictlyLeft
	OpStrictlyRight
	OpNotExtendsRight
	OpNotExtendsLeft
	OpAdjacent
	OpIsDistinct
	OpSearch
	OpPlainSearch
	OpPhraseSearch
	OpWebSearch
	OpIn
	OpIs
)

// Quantifier says of how many elements of an array a comparison must hold.
type Quantifier uint8

// The quantifiers; One is a comparison with a single value.
const (
	One Quantifier = iota
	Any
	All
)

// IsValue is the right side of the operator "is".
type IsValue uint8

// What a value can be compared with by "is".
const (
	IsNull IsValue = iota
	IsNotNull
	IsTrue
	IsFalse
	IsUnknown
)

// Logic says what a Condition is.
type Logic uint8

// A condition is one comparison or a list of conditions.
const (
	Comparison Logic = iota
	And
	Or
)

// Condition is a node of a filter tree.
type Condition struct {
	Logic Logic
	Not   bool

	Field      // the comparison's left side
	Operator   Operator
	Quantifier Quantifier
	Language   string   // text search configuration of a full-text search; empty means the default
	Value      string   // right side of the ordinary operators; an array literal after a quantifier
	List       []string // right side of OpIn
	Is         IsValue  // right side of OpIs

	Children []Condition // of And and Or; at least one
}

// Nulls says where an ordering puts nulls.
type Nulls uint8

// Orders of nulls; NullsDefault is PostgreSQL's (last when ascending).
const (
	NullsDefault Nulls = iota
	NullsFirst
	NullsLast
)

// OrderTerm is one element of order=.
type OrderTerm struct {
	Field
	Relation   string // the embed that has the column; empty for a column of one's own
	Descending bool
	Nulls      Nulls
}

// NamedValue is one argument of a function, as a text.
type NamedValue struct {
	Name  string
	Value string
}

// Payload is a decoded JSON body.
type Payload struct {
	// Parts are the objects, those with the same keys together. There is one part unless keys may be
	// missing and missing ones mean defaults.
	Parts []Part
	Rows  int // number of objects
	// List tells that the body was an array, not one object.
	List bool
	// Raw is the whole body for a function that takes it as its one argument: of that kind, as text.
	Raw  []byte
	Kind BodyKind
}

// BodyKind says what a body is besides arguments of a function by name.
type BodyKind uint8

// The kinds of bodies.
const (
	BodyNamed BodyKind = iota // objects only; of a call, none: the arguments are texts
	BodyJSON                  // also any JSON document
	BodyText
	BodyBinary // Raw is bytea's hexadecimal form
	BodyXML
)

// Part is some of the objects of a body.
type Part struct {
	Keys []string // the keys that count, in the order of the first object or of columns=
	// JSON is the re-encoded text: always an array of objects, compact, valid UTF-8, with no
	// key twice in one of them and no U+0000 in it.
	JSON []byte
}

// Object returns the text of the payload's only object.
func (p *Payload) Object() []byte {
	text := p.Parts[0].JSON
	return text[1 : len(text)-1]
}

// Keys returns the keys of a payload of one part.
func (p *Payload) Keys() []string {
	if len(p.Parts) == 0 {
		return nil
	}
	return p.Parts[0].Keys
}

// IsDocument tells whether the body is JSON but no object, so that it names no arguments.
func (p *Payload) IsDocument() bool { return p.Kind == BodyJSON && p.Parts == nil && p.Raw != nil }

// Name returns the key that the item has in the answer: its alias, the last key of a JSON path, or the column.
func (item *SelectItem) Name() string {
	if item.Alias != "" {
		return item.Alias
	}
	for i := len(item.Path) - 1; i >= 0; i-- {
		if !item.Path[i].Index {
			return item.Path[i].Key
		}
	}
	return item.Column
}
