package dialect

import (
	"strconv"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// Return is the value of the preference "return" (RFC 7240 section 4.2).
type Return uint8

// What a writing request answers with.
const (
	ReturnDefault        Return = iota // not stated: as minimal, and not confirmed
	ReturnMinimal                      // no body
	ReturnRepresentation               // the rows written
	ReturnHeadersOnly                  // no body; the row inserted is named in Location
)

// Missing is the value of the preference "missing": what a key that an object lacks stands for.
type Missing uint8

// What missing keys mean.
const (
	MissingUnstated Missing = iota // as MissingNull
	MissingNull
	MissingDefault
)

// Resolution is the value of the preference "resolution": what becomes of an inserted row that is there already.
type Resolution uint8

// What is done about rows that are there already.
const (
	ResolutionUnstated Resolution = iota // an error
	ResolutionMerge                      // the row is updated
	ResolutionIgnore                     // the row stays as it is
)

// Handling is the value of the preference "handling" (RFC 7240 section 4.4).
type Handling uint8

// What is done about preferences that cannot be honoured.
const (
	HandlingUnstated Handling = iota // as HandlingLenient
	HandlingLenient
	HandlingStrict
)

// Preferences are what the Prefer headers ask for, as far as it is understood.
type Preferences struct {
	Return     Return
	Resolution Resolution
	Missing    Missing
	Handling   Handling
	// Count asks for the number of all rows, limit and offset aside. PostgreSQL's estimates would tell
	// of rows that the caller may not see, so planned and estimated counts are exact ones, too.
	Count bool
	// Timezone is the time zone in which times are written; empty is the session's. One that PostgreSQL does
	// not know is ignored, or refused with HandlingStrict.
	Timezone string
	// Transaction says whether what the request does is kept, where clients may say so.
	Transaction Transaction
	// MaxAffected is the greatest number of rows that may be written; it binds with HandlingStrict alone.
	MaxAffected *int64
}

// preferences reads the Prefer headers. The first value of a preference counts. With handling=strict a
// preference that is not honoured is an error; otherwise it is ignored.
func preferences(lines []string, end TxEnd) (p Preferences, err *fault.Error) {
	var ignored []string
	for _, line := range lines {
		for line != "" {
			var one string
			one, line, _ = strings.Cut(line, ",")
			one = strings.TrimSpace(one)
			if one != "" && !p.add(one) {
				ignored = append(ignored, one)
			}
		}
	}
	if !end.override() {
		if p.Transaction != TransactionUnstated && (p.Transaction == TransactionRollback) != end.rollback() {
			ignored = append(ignored, appliedTransaction[p.Transaction])
		}
		p.Transaction = TransactionUnstated
	}
	if p.Handling != HandlingStrict {
		p.MaxAffected = nil
	} else if ignored != nil {
		return p, fault.Preferences(ignored)
	}
	return p, nil
}

// add reads one preference and tells whether it is understood.
func (p *Preferences) add(one string) bool {
	switch one {
	case "return=minimal":
		first(&p.Return, ReturnMinimal)
	case "return=representation":
		first(&p.Return, ReturnRepresentation)
	case "return=headers-only":
		first(&p.Return, ReturnHeadersOnly)
	case "resolution=merge-duplicates":
		first(&p.Resolution, ResolutionMerge)
	case "resolution=ignore-duplicates":
		first(&p.Resolution, ResolutionIgnore)
	case "missing=null":
		first(&p.Missing, MissingNull)
	case "missing=default":
		first(&p.Missing, MissingDefault)
	case "handling=strict":
		first(&p.Handling, HandlingStrict)
	case "handling=lenient":
		first(&p.Handling, HandlingLenient)
	case "tx=commit":
		first(&p.Transaction, TransactionCommit)
	case "tx=rollback":
		first(&p.Transaction, TransactionRollback)
	case "count=exact", "count=planned", "count=estimated":
		p.Count = true
	default:
		if zone, ok := strings.CutPrefix(one, "timezone="); ok && zone != "" {
			if p.Timezone == "" {
				p.Timezone = zone
			}
			return true
		}
		text, ok := strings.CutPrefix(one, "max-affected=")
		n, err := strconv.ParseInt(text, 10, 64)
		if !ok || err != nil || n < 0 {
			return false
		}
		if p.MaxAffected == nil {
			p.MaxAffected = &n
		}
	}
	return true
}

// first sets a preference that was not stated before.
func first[T ~uint8](p *T, value T) {
	if *p == 0 {
		*p = value
	}
}

// The values of Preference-Applied.
var (
	appliedResolution = [...]string{"", "resolution=merge-duplicates", "resolution=ignore-duplicates"}
	appliedReturn     = [...]string{"", "return=minimal", "return=representation", "return=headers-only"}
	appliedMissing    = [...]string{"", "missing=null", "missing=default"}
	appliedHandling   = [...]string{"", "handling=lenient", "handling=strict"}
)

// Applied returns the value of Preference-Applied for an action: those of the preferences that bear on
// it, in PostgREST's order.
func (p *Preferences) Applied(a Action) string {
	if *p == (Preferences{}) {
		return ""
	}
	writes := a == Insert || a == Update || a == Delete || a == Put
	var list []string
	if a == Insert {
		list = append(list, appliedResolution[p.Resolution])
	}
	if a == Insert || a == Update {
		list = append(list, appliedMissing[p.Missing])
	}
	if writes {
		list = append(list, appliedReturn[p.Return])
	}
	if p.Count {
		list = append(list, "count=exact")
	}
	list = append(list, appliedTransaction[p.Transaction], appliedHandling[p.Handling])
	if p.Timezone != "" {
		list = append(list, "timezone="+p.Timezone)
	}
	if p.MaxAffected != nil && (a == Update || a == Delete || a == Call) {
		list = append(list, "max-affected="+strconv.FormatInt(*p.MaxAffected, 10))
	}
	stated := list[:0]
	for _, one := range list {
		if one != "" {
			stated = append(stated, one)
		}
	}
	return strings.Join(stated, ", ")
}
