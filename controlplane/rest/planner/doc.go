// Package planner resolves a request in the catalog and builds its SQL. Both steps are pure functions:
//
//	New  *dialect.Request            ->  *Plan (every name is an entry of the catalog)
//	Plan.Statement                   ->  one SQL text and its text-format arguments
//
// Identifiers and types in the text are SQL of the catalog, quoted by PostgreSQL; everything of the client's is bound. Requests of
// equal shape have equal text. Files that begin with sql_ build text, the others resolve names.
package planner
