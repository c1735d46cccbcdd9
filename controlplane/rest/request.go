package rest

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
)

// Return is the value of the preference "return" (RFC 7240 section 4.2).
type Return uint8

// What a writing request answers with.
const (
	ReturnDefault        Return = iota // not stated: as minimal, and not confirmed
	ReturnMinimal                      // no body
	ReturnRepresentation               // the rows written
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

	Select []SelectItem // nil means every column
	Where  []Condition  // joined by and
	Order  []OrderTerm
	Limit  *int64
	Offset int64

	Arguments []NamedValue // of a function called by GET, in the order of the query
	Payload   Payload      // of POST and PATCH

	Return Return
}

// SelectItem is one element of select=.
type SelectItem struct {
	Column string // "*" with Star
	Star   bool
	Alias  string // empty when not renamed
	Cast   string // type name as the client wrote it; empty without ::
}

// Operator is the comparison of a filter.
type Operator uint8

// The operators of this version.
const (
	OpEqual Operator = iota
	OpNotEqual
	OpGreater
	OpGreaterEqual
	OpLess
	OpLessEqual
	OpLike
	OpILike
	OpIn
	OpIs
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

	Column   string // the comparison's left side
	Operator Operator
	Value    string   // right side of the ordinary operators
	List     []string // right side of OpIn
	Is       IsValue  // right side of OpIs

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
	Column     string
	Descending bool
	Nulls      Nulls
}

// NamedValue is one argument of a function called by GET.
type NamedValue struct {
	Name  string
	Value string
}

// Payload is a decoded JSON body.
type Payload struct {
	Keys []string // keys of every object, in the order of the first
	Rows int      // number of objects
	// List tells that the body was an array, not one object.
	List bool
	// JSON is the re-encoded text: always an array of objects, compact, valid UTF-8, with no
	// duplicate key and no U+0000 in it.
	JSON []byte
}

// object returns the text of the payload's only object.
func (p *Payload) object() []byte { return p.JSON[1 : len(p.JSON)-1] }
