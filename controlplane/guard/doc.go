// Package guard protects the HTTP side before a request reaches a route, and every answer on its way out.
//
// Promises:
//
//   - [Guard.Handler] puts the same protective headers on every answer that is ours, errors included. Only what
//     net/http answers by itself to a request that it cannot read has none.
//   - Other origins are let in by an exact list; a page whose origin is "null" never is.
//   - [Guard.CrossSite] is true of every request that a page of another site could have made a browser send.
//   - No fact about a client comes from the client: [Proxies.Client] believes a header only when a listed proxy sent it.
//   - [Certificate] serves the new files as soon as they are whole, and the old ones until then.
//   - A [Limiter] lets through no more than the rules of the database allow, however many servers count.
//
// What the configuration says is read once: per request nothing of it is parsed and no texts are joined. What changes later,
// rules, counters, blocked addresses and remembered refusals, is kept in bounded memory. All types are safe for concurrent use.
package guard
