package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/wayli-app/fluxbase/controlplane/authn"
	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/password"
)

// own is the caller of what the server asks for itself.
var own = gateway.Caller{Role: "anon"}

const (
	sqlApplySettings   = `select fluxbase.apply_settings(p_settings => $1)`
	sqlSettings        = `select fluxbase.settings()`
	sqlCommonPasswords = `select fluxbase.common_passwords()`
)

// settings are the database's settings as this server acts on them: one immutable state.
type settings struct {
	auth   authn.Settings
	policy *password.Policy
	length int
}

// applySettings stores what the configuration names among the database's settings.
func (s *Server) applySettings(ctx context.Context) error {
	values, sources := map[string]string{}, map[string]string{}
	for _, v := range s.config.DatabaseSettings() {
		values[v.Key], sources[v.Key] = v.Value, v.Source
	}
	text, err := json.Marshal(values)
	if err != nil {
		return err
	}
	if text, err = s.gateway.Entry(ctx, own, sqlApplySettings, [][]byte{text}); err != nil {
		return fmt.Errorf("apply settings: %w", err)
	}
	var answer struct {
		Status  string   `json:"status"`
		Changed []string `json:"changed"`
		Key     string   `json:"key"`
		Message string   `json:"message"`
		Detail  string   `json:"detail"`
		Hint    string   `json:"hint"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("apply settings: %w", err)
	}
	if answer.Status != "ok" {
		return fmt.Errorf("apply settings (%s): %s %s %s", sources[answer.Key], answer.Message, answer.Detail, answer.Hint)
	}
	if len(answer.Changed) > 0 {
		s.log.Info("settings changed by the configuration", "settings", answer.Changed)
	}
	return nil
}

// reloadSettings reads the settings and acts on them from then on. After an error the old ones hold.
func (s *Server) reloadSettings(ctx context.Context) error {
	text, err := s.gateway.Entry(ctx, own, sqlSettings, nil)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	next := new(settings)
	if next.auth, err = authn.ParseSettings(text); err != nil {
		return err
	}
	var rules struct {
		password.Settings
		Cost int `json:"password_bcrypt_cost"`
	}
	if err := json.Unmarshal(text, &rules); err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	if rules.Cost < password.DefaultCost {
		return errors.New("read settings: password_bcrypt_cost is missing or too low")
	}
	if text, err = s.gateway.Entry(ctx, own, sqlCommonPasswords, nil); err != nil {
		return fmt.Errorf("read common passwords: %w", err)
	}
	var common []string
	if err := json.Unmarshal(text, &common); err != nil {
		return fmt.Errorf("read common passwords: %w", err)
	}
	if err := s.hasher.SetCost(rules.Cost); err != nil {
		return fmt.Errorf("password_bcrypt_cost: %w", err)
	}
	next.policy, next.length = password.NewPolicy(rules.Settings, common), rules.MinLength
	s.settings.Store(next)
	return nil
}

// violations says which rules a new password breaks, those of the settings and the list of breached ones. A list that cannot
// be read keeps nobody from a new password.
func (s *Server) violations(secret, email string) []authn.Violation {
	list := s.settings.Load().violations(secret, email)
	if s.breached == nil || len(list) > 0 {
		return list
	}
	found, err := s.breached.Contains(secret)
	if err != nil {
		s.log.Error("breached passwords were not looked up", "error", err)
	}
	if found {
		list = append(list, authn.Violation{Reason: "pwned", Message: "Password is known from a data breach, please choose a different one."})
	}
	return list
}

// violations says which rules a new password breaks, in the words of Supabase Auth where it has one.
func (s *settings) violations(secret, email string) []authn.Violation {
	var list []authn.Violation
	for _, code := range s.policy.Check(secret, email) {
		v := authn.Violation{Reason: string(code)}
		switch code {
		case password.CodeLength:
			v.Message = fmt.Sprintf("Password should be at least %d characters.", s.length)
		case password.CodeTooLong:
			v.Reason, v.Message = "length", fmt.Sprintf("Password cannot be longer than %d bytes.", password.MaxBytes)
		case password.CodeCharacters:
			v.Message = "Password needs characters of other kinds."
		case password.CodeEmail:
			v.Message = "Password should not contain the e-mail address."
		case password.CodeCommon:
			v.Reason, v.Message = "pwned", "Password is known to be weak and easy to guess, please choose a different one."
		}
		list = append(list, v)
	}
	return list
}
