// Package fault holds the refusals of the data API in PostgREST's form: what each stage of a request may say about it, with
// PostgREST's codes and words, so that clients find what they know.
//
// Most refusals are made here. What lists things of the catalog, ambiguous relationships and functions, is made where they are.
package fault
