// Package sqltest holds the tests of the SQL packages: behaviour by family, as the roles that may and may not, and the
// contract of the catalog (functions, rights, views) as golden files. It exports nothing.
package sqltest
