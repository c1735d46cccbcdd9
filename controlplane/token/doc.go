// Package token makes and checks the two tokens of a session: the access
// token, a JWT that says who is asking, and the refresh token, an opaque text
// that buys the next access token. From the same secret come the tokens of
// mailed links ([MailTokens]) and those against forged requests ([CSRF]);
// [Foreign] checks the access tokens of other issuers.
//
// Promises:
//
//   - [Verifier] is stricter than the JWT standards ask for. A token is accepted
//     in exactly one spelling, and everything that PostgreSQL later reads from it
//     was read the same way here: see [Verifier.Verify] for the list of checks.
//   - A verified token says nothing about revocation. The session is probed in
//     the database with every request; the cache of verified tokens saves the
//     signature and the parsing only.
//   - Keys never leave the package: neither fmt, under any verb, nor slog shows one
//     of [Secret], [Key] or anything that holds them.
//   - Errors name the rule that was broken and never quote the token.
//
// All types are safe for concurrent use.
package token
