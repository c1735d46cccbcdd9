package gateway

import (
	"strconv"
	"testing"
)

func TestStatementsEvictLeastRecentlyUsed(t *testing.T) {
	t.Parallel()
	s := newStatements(3)
	put := func(sql string) (evicted string) {
		if old := s.evict(); old != nil {
			evicted = old.key.sql
		}
		s.add(s.next(statementKey{sql: sql}))
		return evicted
	}
	for i := range 3 {
		if got := put(strconv.Itoa(i)); got != "" {
			t.Fatalf("evicted %s with room left", got)
		}
	}
	s.get(statementKey{sql: "0"})
	if got := put("3"); got != "1" {
		t.Errorf("evicted %q, want 1", got)
	}
	s.remove(s.get(statementKey{sql: "2"}))
	if got := put("4"); got != "" {
		t.Errorf("evicted %q with room left", got)
	}
	if got := put("5"); got != "0" {
		t.Errorf("evicted %q, want 0", got)
	}
	if len(s.byKey) != 3 {
		t.Errorf("%d statements, want 3", len(s.byKey))
	}
	before := s.named
	s.clear()
	if s.get(statementKey{sql: "5"}) != nil || s.evict() != nil {
		t.Error("clear left something")
	}
	if p := s.next(statementKey{}); p.name != "fluxbase_"+strconv.FormatUint(before+1, 10) {
		t.Errorf("name %s was used before", p.name)
	}
}

func TestStatementsBelongToRoles(t *testing.T) {
	t.Parallel()
	s := newStatements(3)
	s.add(s.next(statementKey{role: "anon", sql: "select 1"}))
	if s.get(statementKey{role: "authenticated", sql: "select 1"}) != nil {
		t.Error("a statement was found under another role")
	}
}
