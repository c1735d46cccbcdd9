package dialect

// TxEnd is the setting rest.tx_end: what becomes of a request's effects.
type TxEnd string

// What becomes of effects. Where a client may decide, it does so by the preference "tx".
const (
	TxCommit           TxEnd = "commit" // as does the empty value
	TxCommitOverride   TxEnd = "commit-allow-override"
	TxRollback         TxEnd = "rollback"
	TxRollbackOverride TxEnd = "rollback-allow-override"
)

// Valid tells whether it is one of the above.
func (e TxEnd) Valid() bool {
	switch e {
	case "", TxCommit, TxCommitOverride, TxRollback, TxRollbackOverride:
		return true
	}
	return false
}

// override tells whether a client may decide.
func (e TxEnd) override() bool { return e == TxCommitOverride || e == TxRollbackOverride }

// rollback tells whether effects are undone unless a client decides otherwise.
func (e TxEnd) rollback() bool { return e == TxRollback || e == TxRollbackOverride }

// Transaction is the value of the preference "tx".
type Transaction uint8

// What a client may want to become of its effects.
const (
	TransactionUnstated Transaction = iota // what TxEnd says
	TransactionCommit
	TransactionRollback
)

// appliedTransaction are the values in Preference-Applied.
var appliedTransaction = [...]string{"", "tx=commit", "tx=rollback"}

// undoes tells whether the effects of a request with these preferences are undone.
func (e TxEnd) undoes(p *Preferences) bool {
	if p.Transaction == TransactionUnstated {
		return e.rollback()
	}
	return p.Transaction == TransactionRollback
}
