// Package issuer knows the issuers of tokens other than ours whom the configuration trusts for the data API: it chooses
// the one that a token claims to be from, has its keys at hand, and lets package token decide.
//
// Promises:
//
//   - Everything about an issuer comes from the configuration. Nothing in a token says where keys are.
//   - Keys are fetched from the configured address alone, over HTTPS unless that is this machine, without following
//     redirects, within a few seconds and a bounded size.
//   - A token with an unknown kid makes the keys be fetched again, at most every half minute, so that a rotation
//     over there is noticed here and nobody can use us to send requests. What was fetched last holds when fetching fails,
//     for a day; after that the issuer's tokens are refused.
//
// The types are safe for concurrent use.
package issuer
