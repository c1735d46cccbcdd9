package authn

import (
	"encoding/json"
	"fmt"
	"time"
)

// Settings are those of the database's settings that this package acts on itself.
type Settings struct {
	SignupEnabled       bool
	SignupAutoconfirm   bool
	AnonymousUsers      bool
	AccessTokenLifetime time.Duration
	MFAIssuer           string // what authenticator apps show
}

// ParseSettings reads the answer of fluxbase.settings(). A setting that is missing is an error: nothing is assumed.
func ParseSettings(text []byte) (Settings, error) {
	var s struct {
		SignupEnabled       *bool   `json:"signup_enabled"`
		SignupAutoconfirm   *bool   `json:"signup_autoconfirm"`
		AnonymousUsers      *bool   `json:"anonymous_users_enabled"`
		AccessTokenLifetime *int64  `json:"access_token_lifetime"` // seconds
		MFAIssuer           *string `json:"mfa_issuer"`
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return Settings{}, fmt.Errorf("read settings: %w", err)
	}
	if s.SignupEnabled == nil || s.SignupAutoconfirm == nil || s.AnonymousUsers == nil || s.AccessTokenLifetime == nil || s.MFAIssuer == nil {
		return Settings{}, fmt.Errorf("read settings: signup_enabled, signup_autoconfirm, anonymous_users_enabled, access_token_lifetime or mfa_issuer is missing")
	}
	return Settings{
		SignupEnabled:       *s.SignupEnabled,
		SignupAutoconfirm:   *s.SignupAutoconfirm,
		AnonymousUsers:      *s.AnonymousUsers,
		AccessTokenLifetime: time.Duration(*s.AccessTokenLifetime) * time.Second,
		MFAIssuer:           *s.MFAIssuer,
	}, nil
}
