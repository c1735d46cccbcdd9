// Package fluxbase carries the SQL that makes a PostgreSQL database answer for its own security:
// the migrations in schema, the functions in sql and the policies in policies.
package fluxbase

import "embed"

// Files holds the three SQL trees exactly as they stand in the repository. The prefix all: keeps
// files that begin with an underscore or a dot.
//
//go:embed all:schema all:sql all:policies
var Files embed.FS

// Demo holds the demo application that fluxbase dev loads, in the order of its file names.
//
//go:embed testdata/demo
var Demo embed.FS
