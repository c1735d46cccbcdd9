// Package rest is the data API: it speaks PostgREST's protocol over the tables, views and functions
// of the exposed schemas.
//
// A request passes four stages, of which the first three are pure functions:
//
//	Parse      method, path, query, headers, body  ->  *Request (a tree of the client's words)
//	Catalog.Plan  *Request                         ->  *Plan    (every name resolved in the catalog)
//	Plan.Statement                                 ->  one SQL text and its text-format arguments
//	Handler    the statement through a Gateway     ->  PostgreSQL's JSON bytes, unchanged
//
// What holds for every request:
//
//   - No byte of the client ever becomes SQL text. Identifiers and type names in a statement come
//     from the catalog, already quoted by PostgreSQL; values, lists, limits and even the keys of
//     renamed output columns travel as bind arguments. Requests of equal shape therefore have equal
//     text, and the gateway's statement cache hits.
//   - The statement returns exactly one row: the body as text and the number of rows in it.
//   - Rights are PostgreSQL's business. The catalog is not filtered by grants; a caller who may not
//     read a table is told so by PostgreSQL.
package rest
