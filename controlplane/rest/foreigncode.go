package rest

import (
	_ "embed"
	"encoding/json"
	"fmt"
)

//go:embed foreigncode.sql
var foreignCodeSQL string

// foreignCode says which requests may run SQL that application code makes up at run time. After such a request the
// gateway makes its connection as new (gateway.QueryOptions.Volatile). The zero value names none.
type foreignCode struct {
	calls  bool
	reads  map[qualifiedName]bool
	writes map[qualifiedName]bool
}

// newForeignCode reads the document that foreigncode.sql returns.
func newForeignCode(document []byte) (foreignCode, error) {
	var doc struct {
		Calls     bool `json:"calls"`
		Relations []struct {
			Schema string `json:"schema"`
			Name   string `json:"name"`
			Read   bool   `json:"read"`
		} `json:"relations"`
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		return foreignCode{}, fmt.Errorf("rest: document of application code: %w", err)
	}
	code := foreignCode{calls: doc.Calls, reads: map[qualifiedName]bool{}, writes: map[qualifiedName]bool{}}
	for _, r := range doc.Relations {
		name := qualifiedName{r.Schema, r.Name}
		code.writes[name] = true
		if r.Read {
			code.reads[name] = true
		}
	}
	return code, nil
}

// mayRun tells whether a request may run such code.
func (f foreignCode) mayRun(action Action, relation qualifiedName) bool {
	switch action {
	case Call:
		return f.calls
	case Read:
		return f.reads[relation]
	default:
		return f.writes[relation]
	}
}
