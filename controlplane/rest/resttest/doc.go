// Package resttest holds what the tests of the data API's packages share: the golden files, the catalog of their schema, and
// hostile strings with all the places where a client can write them.
package resttest
