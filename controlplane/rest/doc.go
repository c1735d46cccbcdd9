// Package rest is the data API: it speaks PostgREST's protocol over the tables, views and functions
// of the exposed schemas.
//
// A request passes four stages, of which the first three are pure functions in packages of their own:
//
//	dialect.Parse       method, path, query, headers, body  ->  *Request (a tree of the client's words)
//	planner.New         *Request, *catalog.Catalog          ->  *Plan    (every name resolved in the catalog)
//	Plan.Statement                                          ->  one SQL text and its text-format arguments
//	Handler             the statement through a Gateway     ->  PostgreSQL's JSON bytes, unchanged
//
// Imports go one way: rest -> planner -> catalog and dialect -> fault.
//
// What holds for every request:
//
//   - No byte of the client ever becomes SQL text. Identifiers and type names in a statement come
//     from the catalog, already quoted by PostgreSQL; values, lists, limits and even the keys of
//     renamed output columns travel as bind arguments. Requests of equal shape therefore have equal
//     text, and the gateway's statement cache hits.
//   - The statement returns exactly one row: the body as text, the number of rows in it, the status and the
//     headers that SQL wants and, where it is asked for and differs, the number of all rows.
//   - What a client demands of that number (one row, at most so many) is checked inside a statement that
//     writes, so that the write is undone.
//   - Embedded relations are lateral joins of the same statement, each under the caller's own rights.
//   - Rights are PostgreSQL's business. The catalog is not filtered by grants; a caller who may not
//     read a table is told so by PostgreSQL.
//
// Here are the handler, bulk inserts (bulk*.go), answers (respond*.go), what tells what there is (openapi*.go, options.go), what
// tells SQL of the request (asked.go, prerequest.go), and what keeps columns and tenants hidden.
package rest
