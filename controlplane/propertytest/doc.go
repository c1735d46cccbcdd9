// Package propertytest lets users of two tenants do anything at all with tables under each template of auth.protect,
// over HTTP and in SQL, and compares every row that they see or write with a model written without policies.
package propertytest
