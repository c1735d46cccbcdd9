// Package password hashes and compares passwords, and says whether a new one
// is good enough.
//
// Promises:
//
//   - Hashes are bcrypt, $2a$, as pgcrypto makes and reads them; $2b$ and $2y$
//     are read too. A password is never cut: what bcrypt would not look at
//     (more than 72 bytes, or after a NUL) is refused.
//   - Hashing does not starve the rest of the server: see [Hasher].
//   - A comparison takes the same time whether the user exists or not.
//   - Passwords and hashes appear in no error.
package password
