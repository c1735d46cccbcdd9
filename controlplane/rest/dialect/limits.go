package dialect

// Limits bound what one request may ask for. A zero field means its default; there is none for Rows and Cost.
type Limits struct {
	URL     int   // bytes of the raw query string; beyond it 414
	Filters int   // comparisons in one request, those inside logic trees included
	Depth   int   // nesting of and(...) and or(...), and of embeds
	Embeds  int   // embedded tables in one request
	List    int   // elements of one in.(...) list
	Body    int64 // bytes of a request body; beyond it 413. Of a bulk insert, of each row
	Bulk    int64 // bytes of the body of a bulk insert; 0 is none, which leaves inserts to Body
	Nesting int   // nesting of arrays and objects in a JSON body
	// Aggregates allows aggregate functions in select=.
	Aggregates bool
	Rows       int64   // rows of an answer to a read or call; more are left out
	Cost       float64 // of a statement, as PostgreSQL estimates it; 0 is no limit
	Explain    bool    // plans of statements are told; off by default
	TxEnd      TxEnd   // whether a request may change anything; empty means TxCommit
}

// DefaultLimits are what a Handler uses where its Limits say nothing.
var DefaultLimits = Limits{
	URL:     64 << 10,
	Filters: 100,
	Depth:   10,
	Embeds:  50,
	List:    5000,
	Body:    1 << 20,
	Nesting: 100,
}

// WithDefaults returns l with each zero field replaced by its default.
func (l Limits) WithDefaults() Limits {
	if l.URL <= 0 {
		l.URL = DefaultLimits.URL
	}
	if l.Filters <= 0 {
		l.Filters = DefaultLimits.Filters
	}
	if l.Depth <= 0 {
		l.Depth = DefaultLimits.Depth
	}
	if l.Embeds <= 0 {
		l.Embeds = DefaultLimits.Embeds
	}
	if l.List <= 0 {
		l.List = DefaultLimits.List
	}
	if l.Body <= 0 {
		l.Body = DefaultLimits.Body
	}
	if l.Nesting <= 0 {
		l.Nesting = DefaultLimits.Nesting
	}
	return l
}
