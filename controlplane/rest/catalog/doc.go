// Package catalog keeps a picture of the schemas that the data API exposes: tables, views, functions, types, how they are
// related, and the formats that the application makes.
//
// Load reads it with the rights of anon. A Catalog is never changed; a Cache holds the current one, replaces it as a whole, and
// loads it anew when requests name what it does not have.
package catalog
