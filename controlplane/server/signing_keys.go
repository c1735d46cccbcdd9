package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/authn"
	"github.com/wayli-app/fluxbase/controlplane/seal"
	"github.com/wayli-app/fluxbase/controlplane/token"
)

const (
	sqlSigningKeys       = `select fluxbase.signing_keys()`
	sqlSigningKeyPublish = `select fluxbase.signing_key_publish(p_id => $1, p_public_jwk => $2, p_private_key => $3)`
)

const (
	signingInterval = 10 * time.Second // between two readings of the keys, whether somebody tells of a change or not
	signingTimeout  = 5 * time.Second
	renewInterval   = time.Second // between two readings for the sake of a token with an unknown kid
)

// signingKeys keeps the ring of keys as the database wants it: told by NOTIFY, by asking every few seconds, and as soon
// as a token names a key that is not known. It is safe for concurrent use.
type signingKeys struct {
	entries authn.Entries
	ring    *token.KeyRing
	secret  *token.Key // of the environment
	sealer  authn.Sealer
	log     *slog.Logger

	loading sync.Mutex // one reading at a time
	renewed time.Time  // the last one for the sake of a token; guarded by loading
	mu      sync.Mutex // guards what follows
	keys    []signingKey
	used    string // what the ring holds
	read    time.Time
	broken  map[uuid.UUID]bool // keys that this server cannot open, and has said so

	wake chan struct{} // holds one word that the keys were read: what is known in advance may have come nearer
}

// signingKey is a key of the table. Its times are of this process's clock.
type signingKey struct {
	id     uuid.UUID
	key    *token.Key // nil: this server cannot open it, and refuses its tokens
	begins time.Time
	ends   time.Time // zero: not known yet
}

// signingAnswer is what fluxbase.signing_keys() says.
type signingAnswer struct {
	Keys []struct {
		ID         uuid.UUID `json:"id"`
		Algorithm  string    `json:"algorithm"`
		PrivateKey string    `json:"private_key"`
		SignsIn    float64   `json:"signs_in"`
		EndsIn     *float64  `json:"ends_in"`
	} `json:"keys"`
	Requests []struct {
		ID        uuid.UUID `json:"id"`
		Algorithm string    `json:"algorithm"`
	} `json:"requests"`
}

// signingPlace is where the private half of a key is stored.
func signingPlace(id uuid.UUID) seal.Place {
	return seal.Place{Table: "auth.signing_keys", Column: "private_key", Row: id.String()}
}

// openSigningKeys reads the keys of access tokens: the secret of the environment, and those that the database has besides.
func (s *Server) openSigningKeys(ctx context.Context, secret token.Secret) error {
	key, err := token.HMACKey("", secret)
	if err != nil {
		return err
	}
	ring, err := token.NewKeyRing(key)
	if err != nil {
		return err
	}
	var sealer authn.Sealer
	if a := s.config.Auth; !a.EncryptionKey.IsZero() {
		if sealer, err = seal.New(a.EncryptionKey.Reveal(), a.EncryptionKeyPrevious.Reveal()); err != nil {
			return err
		}
	}
	s.keys = &signingKeys{entries: s.gateway, ring: ring, secret: key, sealer: sealer, log: s.log, broken: map[uuid.UUID]bool{}, wake: make(chan struct{}, 1)}
	if err := s.keys.reload(ctx); err != nil {
		return err
	}
	return s.keys.check()
}

// reload reads the keys, completes requests for new ones, and acts on both. After an error the old keys hold, each until
// its end.
func (k *signingKeys) reload(ctx context.Context) error {
	k.loading.Lock()
	defer k.loading.Unlock()
	return k.readKeys(ctx)
}

func (k *signingKeys) readKeys(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, signingTimeout)
	defer cancel()
	answer, asked, err := k.ask(ctx)
	if err == nil && k.complete(ctx, answer) {
		answer, asked, err = k.ask(ctx)
	}
	if err != nil {
		return fmt.Errorf("read signing keys: %w", err)
	}
	keys := make([]signingKey, 0, len(answer.Keys))
	for _, said := range answer.Keys {
		key := signingKey{id: said.ID, begins: asked.Add(seconds(said.SignsIn))}
		if said.EndsIn != nil {
			key.ends = asked.Add(seconds(*said.EndsIn))
		}
		if said.Algorithm == "HS256" {
			key.key = k.secret
		} else {
			key.key = k.open(said.ID, said.Algorithm, said.PrivateKey)
		}
		keys = append(keys, key)
	}
	k.mu.Lock()
	k.keys, k.read = keys, time.Now()
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
	return k.apply()
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// ask returns the answer and when it was made, at the earliest: no key shall end here later than there.
func (k *signingKeys) ask(ctx context.Context) (*signingAnswer, time.Time, error) {
	asked := time.Now()
	text, err := k.entries.Entry(ctx, own, sqlSigningKeys, nil)
	if err != nil {
		return nil, asked, err
	}
	answer := new(signingAnswer)
	return answer, asked, json.Unmarshal(text, answer)
}

// complete makes the keys that were asked for and reports whether there is something new to read.
func (k *signingKeys) complete(ctx context.Context, answer *signingAnswer) (changed bool) {
	for _, request := range answer.Requests {
		if k.sealer == nil {
			k.complain(request.ID, "a signing key was asked for, and this server has no auth.encryption_key to seal it with", nil)
			continue
		}
		private, public, err := token.NewPair(request.ID.String(), request.Algorithm)
		if err == nil {
			sealed := k.sealer.Seal(signingPlace(request.ID), private)
			_, err = k.entries.Entry(ctx, own, sqlSigningKeyPublish, [][]byte{[]byte(request.ID.String()), public, []byte(sealed)})
		}
		if err != nil {
			k.log.Error("a signing key was not made", "key", request.ID, "error", err)
			continue
		}
		changed = true
	}
	return changed
}

// open makes the key of a row, nil when it does not open. The public half is that of the private one: what else stands in
// the row proves nothing.
func (k *signingKeys) open(id uuid.UUID, alg, sealed string) *token.Key {
	k.mu.Lock()
	for _, known := range k.keys {
		if known.id == id && known.key != nil {
			k.mu.Unlock()
			return known.key
		}
	}
	k.mu.Unlock()
	if k.sealer == nil {
		k.complain(id, "a signing key cannot be opened: this server has no auth.encryption_key", nil)
		return nil
	}
	var key *token.Key
	private, _, err := k.sealer.Open(signingPlace(id), sealed)
	if err == nil {
		key, err = token.PrivateKey(id.String(), alg, private)
	}
	if err != nil {
		k.complain(id, "a signing key cannot be opened: its tokens are refused", err)
		return nil
	}
	return key
}

// check refuses to begin with a key that this server would need and cannot open.
func (k *signingKeys) check() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range k.keys {
		if key.key == nil {
			return fmt.Errorf("signing key %s does not open: auth.encryption_key must be that of the other servers", key.id)
		}
	}
	return nil
}

// complain logs once a key.
func (k *signingKeys) complain(id uuid.UUID, message string, err error) {
	k.mu.Lock()
	known := k.broken[id]
	k.broken[id] = true
	k.mu.Unlock()
	if !known {
		k.log.Error(message, "key", id, "error", err)
	}
}

// apply puts into the ring what holds at this moment. The ring, and with it the tokens that are remembered, is left
// alone when nothing has changed.
func (k *signingKeys) apply() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	var signing *token.Key
	var others []*token.Key
	by, use := "nobody", "keys "
	for _, key := range k.keys {
		if key.key == nil || !key.ends.IsZero() && !now.Before(key.ends) {
			continue
		}
		if signing == nil && !now.Before(key.begins) { // the newest comes first
			signing, by = key.key, key.id.String()
			use += "signs "
		} else {
			others = append(others, key.key)
		}
		use += key.id.String() + " "
	}
	if use == k.used {
		return nil
	}
	if err := k.ring.Replace(signing, others...); err != nil {
		return err
	}
	if k.used != "" {
		k.log.Info("signing keys changed", "signs", by, "verify_besides", len(others))
	}
	k.used = use
	if signing == nil {
		return errors.New("this server can sign with none of the keys: no tokens are issued")
	}
	return nil
}

// next is how long nothing will change without being told.
func (k *signingKeys) next() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	wait, now := signingInterval, time.Now()
	for _, key := range k.keys {
		for _, at := range [...]time.Time{key.begins, key.ends} {
			if d := at.Sub(now); d > 0 {
				wait = min(wait, d)
			}
		}
	}
	return wait
}

// follow keeps the ring current until ctx ends. What is known in advance happens on time, also without the database.
func (k *signingKeys) follow(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-time.After(k.next()):
		case <-k.wake:
		case <-ctx.Done():
			return
		}
		if err := k.apply(); err != nil {
			k.log.Error("signing keys", "error", err)
		}
		k.mu.Lock()
		due := time.Since(k.read) >= signingInterval
		k.mu.Unlock()
		if !due || ctx.Err() != nil {
			continue
		}
		if err := k.reload(ctx); err != nil && ctx.Err() == nil {
			k.log.Warn("signing keys were not read", "error", err)
			pause(ctx, renewInterval)
		}
	}
}

// renew reads the keys for the sake of a token whose kid is not known, not more often than every second.
func (k *signingKeys) renew() bool {
	k.loading.Lock()
	defer k.loading.Unlock()
	if time.Since(k.renewed) < renewInterval {
		return true // somebody has just read them
	}
	k.renewed = time.Now()
	if err := k.readKeys(context.Background()); err != nil {
		k.log.Warn("signing keys were not read", "error", err)
		return false
	}
	return true
}

// ringVerifier is the gate of our own tokens: one that names an unknown key makes it look for new keys first, so no
// token of another server comes too early.
type ringVerifier struct {
	*token.Verifier
	keys *signingKeys
}

// Verify is that of [token.Verifier].
func (v ringVerifier) Verify(text string) (token.Access, error) {
	access, err := v.Verifier.Verify(text)
	if errors.Is(err, token.ErrUnknownKey) && v.keys.renew() {
		access, err = v.Verifier.Verify(text)
	}
	return access, err
}

// jwks answers with the public keys of access tokens. Whoever keeps the document learns of a new key before it signs.
func (s *Server) jwks(c echo.Context) error {
	h := c.Response().Header()
	h.Set("Cache-Control", "public, max-age=5")
	h.Set("Content-Type", "application/json; charset=utf-8")
	c.Response().WriteHeader(http.StatusOK)
	_, err := c.Response().Write(s.keys.ring.JWKS())
	return err
}
