// Package policytest holds the tests of the policy toolkit (sql/policy): templates, lints, explanations, isolation tests
// and the policy lock. Each protection is also switched off once, to see that its test can fail. It exports nothing.
package policytest
