package catalog

import (
	"maps"
	"testing"
)

func TestViewOrigins(t *testing.T) {
	t.Parallel()
	// As PostgreSQL writes it, shortened: a subquery's entries lie deeper and do not count, nor does a computed column.
	const tree = `({QUERY :commandType 1 :rtable ({RANGETBLENTRY :alias {ALIAS :aliasname odd\ \{name :colnames <>} :subquery {QUERY :targetList (` +
		`{TARGETENTRY :expr {VAR :varno 1} :resno 1 :resname x :resorigtbl 7 :resorigcol 7 :resjunk false})}}) :targetList (` +
		`{TARGETENTRY :expr {VAR :varno 1 :varattno 1} :resno 1 :resname id :ressortgroupref 0 :resorigtbl 16400 :resorigcol 3 :resjunk false} ` +
		`{TARGETENTRY :expr {CONST :constvalue 4 [ 1 0 0 0 ]} :resno 2 :resname \:resorigtbl\ \}9 :resorigtbl 0 :resorigcol 0 :resjunk false} ` +
		`{TARGETENTRY :expr {VAR :varno 1} :resno 3 :resname c :resorigtbl 4294967295 :resorigcol 1 :resjunk false}) :returningList <>})`
	want := map[int]tableColumn{1: {16400, 3}, 3: {4294967295, 1}}
	if got := viewOrigins(tree); !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	for i := range tree {
		viewOrigins(tree[:i]) // does not panic
	}
}
