package issuer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase/controlplane/token"
)

// Config describes one issuer. Of JWKSURL and Secret one is set.
type Config struct {
	Name    string
	ID      uuid.UUID // of its row in the database
	Rules   token.ForeignRules
	JWKSURL string
	Secret  string // shared secret, or a JWK or JWK set as JSON
}

// Issuers are all that are trusted.
type Issuers struct {
	byClaim map[string]*issuer // by iss
}

// issuer is one of them.
type issuer struct {
	name   string
	id     uuid.UUID
	tokens *token.Foreign
	source *source // nil: the keys never change
}

// ErrUnknown says that a token is from none of the issuers.
var ErrUnknown = errors.New("token is from no trusted issuer")

// New makes the issuers. Keys at an address are fetched when the first token comes, or by Follow. Errors name the
// issuer and never show a secret.
func New(configs []Config, clock func() time.Time, log *slog.Logger) (*Issuers, error) {
	all := &Issuers{byClaim: make(map[string]*issuer, len(configs))}
	for _, c := range configs {
		if all.byClaim[c.Rules.Issuer] != nil {
			return nil, fmt.Errorf("issuer %s: another one has the same claim iss", c.Name)
		}
		one := &issuer{name: c.Name, id: c.ID}
		var err error
		if one.tokens, err = token.NewForeign(c.Rules, clock); err != nil {
			return nil, fmt.Errorf("issuer %s: %w", c.Name, err)
		}
		if c.JWKSURL != "" {
			one.source = newSource(c, one.tokens, log)
		} else {
			keys, err := staticKeys(c)
			if err != nil {
				return nil, fmt.Errorf("issuer %s: %w", c.Name, err)
			}
			one.tokens.SetKeys(keys)
		}
		all.byClaim[c.Rules.Issuer] = one
	}
	return all, nil
}

func staticKeys(c Config) (*token.ForeignKeys, error) {
	if c.Secret != "" && c.Secret[0] == '{' {
		keys, err := token.ParseJWKS([]byte(c.Secret), c.Rules.Algorithms, true)
		if err != nil {
			return nil, fmt.Errorf("secret %w", err)
		}
		return keys, nil
	}
	return token.SecretKeys([]byte(c.Secret), c.Rules.Algorithms)
}

// Verify decides on a token and returns the id of its issuer. [ErrUnknown] means that it is for somebody else to decide;
// other errors are those of package token.
func (all *Issuers) Verify(ctx context.Context, text string) (token.Access, uuid.UUID, error) {
	claim, ok := token.Peek(text)
	one := all.byClaim[claim]
	if !ok || one == nil {
		return token.Access{}, uuid.Nil, ErrUnknown
	}
	access, err := one.tokens.Verify(text)
	if errors.Is(err, token.ErrUnknownKey) && one.source != nil && one.source.renew(ctx) {
		access, err = one.tokens.Verify(text)
	}
	return access, one.id, err
}

// Follow fetches the keys at addresses from time to time until ctx ends.
func (all *Issuers) Follow(ctx context.Context) {
	var tasks sync.WaitGroup
	for _, one := range all.byClaim {
		if one.source != nil {
			tasks.Go(func() { one.source.follow(ctx) })
		}
	}
	tasks.Wait()
}
