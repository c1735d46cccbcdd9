// Package mail sends what the database's outbox holds. PostgreSQL decides what is to be said to whom and renders it; this
// package puts in the secrets of links and codes, which the database never has, talks SMTP, and reports how it went.
//
// Promises:
//
//   - A mail is sent at least once. It is written in the transaction that wants it, claimed for a few minutes by one server, and
//     claimed again when nobody reports. Sent twice, it has the same Message-ID (RFC 5322 section 3.6.4) and says the same.
//   - Tokens go into the mail and nowhere else: not to PostgreSQL, not into the log.
//   - A connection is encrypted before a password or a mail goes over it, unless the configuration says none.
package mail
