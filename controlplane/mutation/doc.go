// Package mutation asks whether a test would notice. testdata/mutations lists, for the rules that the token gate and the
// authentication stand on and for the protection before them, a change of the source that breaks each, and the test that
// must then fail: `make mutations` applies them one by one to a copy of the tree.
package mutation
