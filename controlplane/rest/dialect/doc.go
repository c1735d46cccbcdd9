// Package dialect reads PostgREST's dialect: Parse turns an HTTP request into a tree of the client's words.
//
// It is pure: it knows neither tables nor SQL, and every word in a Request is what the client wrote. What is counted and
// measured is bounded by Limits.
//
// The parser is written by hand from left to right (scan.go), a file for each parameter. Bodies of JSON, CSV and forms become
// one kind of JSON that PostgreSQL cannot read otherwise (json.go); those of bulk inserts do so row by row, into a file (bulk.go).
package dialect
