package server

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase/controlplane/issuer"
	"github.com/wayli-app/fluxbase/controlplane/token"
)

const sqlApplyIssuers = `select fluxbase.apply_trusted_issuers(p_issuers => $1)`

// trustedIssuer is an issuer of the configuration as the database takes it.
type trustedIssuer struct {
	Name          string   `json:"name"`
	Issuer        *string  `json:"issuer"`
	AllowedRoles  []string `json:"allowed_roles"`
	SubjectIsUser bool     `json:"subject_is_user"`
}

// openIssuers tells the database whom the configuration trusts, and the gate what it says of them.
func (s *Server) openIssuers(ctx context.Context) error {
	trusted := s.config.Auth.TrustedIssuers
	rows := make([]trustedIssuer, 0, len(trusted))
	for _, i := range trusted {
		row := trustedIssuer{Name: i.Name, AllowedRoles: append([]string{}, i.AllowedRoles...), SubjectIsUser: i.SubjectIsUser}
		if i.Issuer != "" {
			row.Issuer = &i.Issuer
		}
		rows = append(rows, row)
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	if text, err = s.gateway.Entry(ctx, own, sqlApplyIssuers, [][]byte{text}); err != nil {
		return fmt.Errorf("apply auth.trusted_issuers: %w", err)
	}
	var answer struct {
		IDs map[string]uuid.UUID `json:"ids"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("apply auth.trusted_issuers: %w", err)
	}
	if len(trusted) == 0 {
		return nil
	}
	configs := make([]issuer.Config, 0, len(trusted))
	for _, i := range trusted {
		path, err := token.ParseRolePath(i.RoleClaim)
		if err != nil {
			return fmt.Errorf("auth.trusted_issuers, %s: role_claim %w", i.Name, err)
		}
		configs = append(configs, issuer.Config{
			Name: i.Name, ID: answer.IDs[i.Name], JWKSURL: i.JWKSURL, Secret: i.Secret.Reveal(),
			Rules: token.ForeignRules{
				Issuer: i.Issuer, Audience: i.Audience, Algorithms: i.Algorithms, Role: path, DefaultRole: i.DefaultRole,
				Required: i.RequiredClaims, SubjectIsUser: i.SubjectIsUser, Leeway: s.config.Auth.ClockLeeway,
			},
		})
	}
	if s.issuers, err = issuer.New(configs, s.clock, s.log); err != nil {
		return fmt.Errorf("auth.trusted_issuers: %w", err)
	}
	s.gate.Trust(s.issuers)
	return nil
}
