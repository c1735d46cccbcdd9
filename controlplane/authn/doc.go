// Package authn is the HTTP face of the identity that lives in PostgreSQL: sign-up, login, refresh, logout and the
// signed-in user, mailed links and codes, second factors, sign-in at identity providers, organizations, API keys and
// administration, in the bodies and error codes of Supabase Auth where it has them, and the gate that turns the
// credentials of a request into a [gateway.Caller].
//
// No rule is decided here that SQL can decide. A handler reads one strict JSON document, does the cryptography that
// must not happen in PostgreSQL (bcrypt, signing, the MAC of refresh tokens), calls one entry point of the schema
// fluxbase and renders its answer.
//
// Promises:
//
//   - Passwords, refresh tokens and keys are never sent to PostgreSQL, logged or part of an error. What travels is a
//     bcrypt hash or a SHA-256.
//   - A refused login costs the same work and the same round trips and has the same answer whatever the reason; no
//     connection to the database is held while a password is hashed.
//   - A refresh is one round trip; a forged refresh token costs none.
//   - A request whose credentials are not understood is refused. It never becomes an anonymous one.
//
// Handlers return errors; [Error] is what a client may see, and everything else is for the log. The server maps them.
package authn
