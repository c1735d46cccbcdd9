package password

import (
	"strings"
	"unicode/utf8"
)

// Code names a rule that a password breaks. The values are part of the HTTP
// answer (weak_password.reasons of Supabase Auth, whose names they use where it
// has one) and of auth.password_violations in SQL.
type Code string

// The codes, in the order in which Check returns them.
const (
	CodeLength     Code = "length"     // fewer characters than the setting says
	CodeTooLong    Code = "too_long"   // more than MaxBytes bytes in UTF-8
	CodeCharacters Code = "characters" // a required class is missing, or a character that cannot be stored
	CodeEmail      Code = "email"      // contains the e-mail address or what stands before its @
	CodeCommon     Code = "common"     // is on the list of common passwords
)

// minLocalPart is the shortest part before the @ that a password must not contain.
const minLocalPart = 4

// Settings are the rules that administrators choose; the JSON names are those
// of auth.settings.
type Settings struct {
	MinLength        int  `json:"password_min_length"` // characters; less than 1 counts as 1
	RequireUppercase bool `json:"password_require_uppercase"`
	RequireLowercase bool `json:"password_require_lowercase"`
	RequireNumber    bool `json:"password_require_number"`
	RequireSpecial   bool `json:"password_require_special"`
}

// Policy says whether a new password is good enough. It is immutable.
//
// The same rule stands in SQL as auth.password_violations(p_password, p_email);
// testdata/password_policy.json holds both to the same answers. That is why
// nothing here depends on a locale or on a version of Unicode:
//
//   - length: characters are code points, char_length in PostgreSQL.
//   - too_long: bytes of UTF-8, octet_length.
//   - characters: the classes are A-Z, a-z, 0-9, and special, which is every
//     other character (space, punctuation, é, 中, emoji). In SQL the regular
//     expressions [A-Z], [a-z], [0-9] and [^A-Za-z0-9] with collate "C".
//   - Case is ignored for A-Z only: lower(... collate "C").
//   - email: the password contains the address, or what stands before its last
//     @ if that has 4 characters or more. No address, no rule.
//   - common: the password as a whole is on the list.
//
// NUL and invalid UTF-8 break "characters" here; PostgreSQL cannot hold them.
type Policy struct {
	settings Settings
	common   map[string]struct{}
}

// NewPolicy makes a policy; common is the list of common passwords.
func NewPolicy(settings Settings, common []string) *Policy {
	p := &Policy{settings: settings, common: make(map[string]struct{}, len(common))}
	for _, word := range common {
		p.common[lower(word)] = struct{}{}
	}
	return p
}

// Check returns the rules that the password breaks, nil for none. The e-mail
// may be empty.
func (p *Policy) Check(password, email string) (broken []Code) {
	if utf8.RuneCountInString(password) < max(1, p.settings.MinLength) {
		broken = append(broken, CodeLength)
	}
	if len(password) > MaxBytes {
		broken = append(broken, CodeTooLong)
	}
	if !p.hasClasses(password) || strings.IndexByte(password, 0) >= 0 || !utf8.ValidString(password) {
		broken = append(broken, CodeCharacters)
	}
	folded := lower(password)
	if containsEmail(folded, lower(email)) {
		broken = append(broken, CodeEmail)
	}
	if _, ok := p.common[folded]; ok {
		broken = append(broken, CodeCommon)
	}
	return broken
}

func (p *Policy) hasClasses(password string) bool {
	var upper, lower, number, special bool
	for _, r := range password {
		switch {
		case r >= 'A' && r <= 'Z':
			upper = true
		case r >= 'a' && r <= 'z':
			lower = true
		case r >= '0' && r <= '9':
			number = true
		default:
			special = true
		}
	}
	s := p.settings
	return (upper || !s.RequireUppercase) && (lower || !s.RequireLowercase) &&
		(number || !s.RequireNumber) && (special || !s.RequireSpecial)
}

// containsEmail expects both in lower case.
func containsEmail(password, email string) bool {
	if email == "" {
		return false
	}
	if strings.Contains(password, email) {
		return true
	}
	at := strings.LastIndexByte(email, '@')
	return at >= 0 && utf8.RuneCountInString(email[:at]) >= minLocalPart && strings.Contains(password, email[:at])
}

// lower folds A-Z and nothing else.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}
