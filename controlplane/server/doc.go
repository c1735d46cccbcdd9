// Package server puts the parts together: it checks the database, opens the pools, mounts the auth routes and the data
// API, and runs until it is told to stop.
//
// Promises:
//
//   - It serves only a database that carries exactly its own release, through logins that have no more rights than they
//     need; see [New]. It never changes the database's structure.
//   - No fact about a client comes from the client: the address is that of the TCP connection, or what a proxy says that
//     server.trusted_proxies names; the request id is ours.
//   - What an error says to a client never contains the database's words (except as the data API's error_detail
//     allows); the log has them, under the request id that the client was given.
//   - On the signal to stop, requests in flight are finished. A lost database is 503 until it is back; nothing has to
//     be restarted.
package server
