// Package clienttest runs the suites in testdata/clients: the HTTP contract as the unmodified clients of Supabase and
// PostgREST see it.
package clienttest
