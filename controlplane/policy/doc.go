// Package policy keeps the access rules of a database in a directory of SQL files: it plans and applies them, writes
// and compares the lock file, and runs tests.
//
// The files state all rules of one set. Applying takes away what an earlier application of the set made, runs the
// files, and commits if that changed anything, in one transaction; a plan does the same and rolls back. So a policy,
// grant or function that the files no longer contain goes, and what others made stays. Row security, once on, stays on.
// The files run inside a DO block: they cannot end the transaction, and one that changes more than access rules, say a
// table's columns or rows, is refused.
//
// Policies are changed under ACCESS EXCLUSIVE, by a plan, too. Waiting for such a lock stops everybody behind it, so
// it is bounded by lock_timeout and tried again.
package policy
