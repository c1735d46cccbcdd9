package oauth

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// What a provider may cost.
const (
	maxTime   = 10 * time.Second
	maxAnswer = 1 << 20 // bytes
)

// newClient is the HTTP client for all providers. It follows no redirects: an endpoint is where the configuration and the
// discovery document say.
func newClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout:   5 * time.Second,
			ResponseHeaderTimeout: maxTime,
			IdleConnTimeout:       time.Minute,
			MaxIdleConnsPerHost:   4,
			ForceAttemptHTTP2:     true,
		}
	}
	return &http.Client{
		Timeout:       maxTime,
		Transport:     bounded{transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bounded cuts answers that are too long.
type bounded struct{ http.RoundTripper }

// RoundTrip is that of the transport; reading more than maxAnswer of the answer is an error.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = &boundedBody{response.Body, maxAnswer}
	}
	return response, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

var errTooLong = errors.New("the answer is too long")

// Read is that of the body, up to what is left.
func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// transportError is an error without the URL, which may hold what nobody should read, and without the answer.
func transportError(err error) error {
	var web *url.Error
	if errors.As(err, &web) {
		return web.Err
	}
	var mismatch *oidc.IssuerMismatchError
	if errors.As(err, &mismatch) {
		return mismatch
	}
	var network net.Error
	if errors.As(err, &network) {
		return network
	}
	return errors.New("not the expected answer")
}
