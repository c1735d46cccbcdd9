// Package attack holds the attacks that must fail: what somebody can try who gets SQL of his own into one statement of
// a request, for example through an injection in an application's function.
//
// Each attack runs twice: against a sound installation, where it must achieve nothing, and with the one protection that
// stops it removed, where it must succeed. So a protection that disappears turns a test red, and so does an attack that
// never worked.
package attack
