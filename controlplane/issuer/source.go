package issuer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/token"
)

const (
	refreshInterval = 10 * time.Minute // between two fetches of the keys
	retryInterval   = 30 * time.Second // after a failure, and between fetches for the sake of an unknown kid
	staleLimit      = 24 * time.Hour   // how long keys hold that cannot be fetched anew
	fetchTimeout    = 5 * time.Second
	maxDocument     = 256 << 10 // bytes
)

// source fetches the keys of one issuer.
type source struct {
	name, url  string
	algorithms []string
	tokens     *token.Foreign
	client     *http.Client
	log        *slog.Logger

	mu       sync.Mutex // one fetch at a time; guards what follows
	tried    time.Time
	fetched  time.Time
	document []byte
}

func newSource(c Config, tokens *token.Foreign, log *slog.Logger) *source {
	return &source{
		name: c.Name, url: c.JWKSURL, algorithms: c.Rules.Algorithms, tokens: tokens, log: log,
		client: &http.Client{
			Timeout:       fetchTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirects are not followed") },
		},
	}
}

// renew fetches the keys because they seem to have changed, unless that was tried lately. True when they may be other ones.
func (s *source) renew(ctx context.Context) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.tried.IsZero() && time.Since(s.tried) < retryInterval {
		return time.Since(s.fetched) < time.Second // by somebody else, while this one waited
	}
	return s.fetch(context.WithoutCancel(ctx)) == nil
}

// follow keeps the keys fresh until ctx ends.
func (s *source) follow(ctx context.Context) {
	for ctx.Err() == nil {
		wait := refreshInterval
		s.mu.Lock()
		if s.fetch(ctx) != nil {
			wait = retryInterval
		}
		s.mu.Unlock()
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// fetch gets the document. The caller holds the lock.
func (s *source) fetch(ctx context.Context) error {
	s.tried = time.Now()
	document, err := s.get(ctx)
	var keys *token.ForeignKeys
	if err == nil {
		keys, err = token.ParseJWKS(document, s.algorithms, false)
	}
	switch {
	case err == nil:
		s.fetched = s.tried
		if !bytes.Equal(document, s.document) {
			s.document = document
			s.tokens.SetKeys(keys)
		}
	case ctx.Err() == nil:
		s.log.Warn("the keys of a trusted issuer were not fetched", "issuer", s.name, "error", err)
		if s.document != nil && time.Since(s.fetched) > staleLimit {
			s.document = nil
			s.tokens.SetKeys(new(token.ForeignKeys))
		}
	}
	return err
}

func (s *source) get(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", response.Status)
	}
	document, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	if err == nil && len(document) > maxDocument {
		err = fmt.Errorf("the answer is longer than %d bytes", maxDocument)
	}
	return document, err
}
