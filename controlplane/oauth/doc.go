// Package oauth speaks with identity providers: OpenID Connect (Core 1.0) where they have it, else OAuth 2.0 and the
// provider's own way to say who somebody is. It knows no routes, no sessions and no database.
//
// Promises:
//
//   - Issuer, keys, endpoints and audiences come from the configuration and from the discovery document of the issuer that
//     it names. Nothing that a browser brings chooses them (RFC 9700 section 4.4).
//   - Every authorization request has PKCE with S256 (RFC 7636) and, with OpenID Connect, a nonce.
//   - An [Identity] is only ever made from what the provider answered over TLS to this server, or signed. EmailVerified is
//     true only when the provider says so of this address.
//   - Client secrets and tokens of providers are in no error and in no log. Tokens are handed to the
//     caller in the [Identity] and kept nowhere.
//   - A provider that hangs, redirects or answers without end costs bounded time and memory.
package oauth
