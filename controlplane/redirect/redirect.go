// Package redirect decides where a browser may be sent with what a sign-in has given: to the site of the configuration,
// to the places that it lists, and nowhere else (RFC 9700 section 4.1). No header of a request takes part.
//
// A place is a URL. With "/**" at the end of its path it stands for everything below, else for itself alone; the query is
// the target's own either way, unless the place has one, which must then be the same. Scheme, host and port are always compared
// as a whole: there are no patterns for hosts.
package redirect

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// below ends the path of a place that stands for everything below it.
const below = "/**"

// maxLength is the longest target, in bytes.
const maxLength = 2048

// RefusedError says that a browser may not be sent to Target.
type RefusedError struct {
	Target string // as the client wrote it
	Reason string // for people
}

// Error names the target.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("%.200q is no target of redirects: %s", e.Target, e.Reason)
}

// List is where a browser may be sent. The zero value allows nothing. It is safe for concurrent use.
type List struct {
	site   *url.URL
	places []place
}

type place struct {
	url   *url.URL
	tree  bool   // everything below
	under string // its path, of a tree without below
}

// New makes a list of the site, which may be empty, and of places. Everything on the site is allowed.
func New(site string, places []string) (*List, error) {
	l := new(List)
	if site != "" {
		u, err := parse(site)
		if err != nil {
			return nil, fmt.Errorf("the site: %w", err)
		}
		l.site = u
		l.places = append(l.places, place{url: u, tree: true, under: strings.TrimSuffix(u.EscapedPath(), "/")})
	}
	for _, text := range places {
		p, err := parsePlace(text)
		if err != nil {
			return nil, err
		}
		l.places = append(l.places, p)
	}
	return l, nil
}

// CheckSite says why a text can not be a site: it is a URL of the web without query.
func CheckSite(text string) error {
	u, err := parse(text)
	switch {
	case err != nil:
		return err
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("must begin with https://")
	case u.RawQuery != "" || u.ForceQuery:
		return errors.New("has a query")
	}
	return nil
}

// CheckPlace says why a text can not be a place of a list.
func CheckPlace(text string) error {
	_, err := parsePlace(text)
	return err
}

func parsePlace(text string) (place, error) {
	stem, tree := strings.CutSuffix(text, below)
	if strings.Contains(stem, "*") {
		return place{}, errors.New("has a * elsewhere than as /** at the end")
	}
	u, err := parse(stem)
	if err != nil {
		return place{}, err
	}
	if tree && u.RawQuery != "" {
		return place{}, errors.New("has a query before /**")
	}
	p := place{url: u, tree: tree, under: u.EscapedPath()}
	if !tree && p.under == "" {
		p.under = "/"
	}
	return p, nil
}

// Site is where a browser goes whose client names no target; nil without.
func (l *List) Site() *url.URL {
	if l.site == nil {
		return nil
	}
	u := *l.site
	return &u
}

// Target is the URL to send a browser to: text if it is on the list, and the site for the empty text. The error is a
// [*RefusedError].
func (l *List) Target(text string) (*url.URL, error) {
	if text == "" {
		if l.site == nil {
			return nil, &RefusedError{text, "none is given, and no site is configured"}
		}
		return l.Site(), nil
	}
	u, err := parse(text)
	if err != nil {
		return nil, &RefusedError{text, err.Error()}
	}
	for _, p := range l.places {
		if p.matches(u) {
			return u, nil
		}
	}
	return nil, &RefusedError{text, "it is neither on the site nor on the list"}
}

func (p place) matches(u *url.URL) bool {
	if u.Scheme != p.url.Scheme || authority(u) != authority(p.url) {
		return false
	}
	path := u.EscapedPath()
	if p.tree {
		return path == p.under || strings.HasPrefix(path, p.under+"/")
	}
	if path == "" {
		path = "/" // as a browser writes it
	}
	return path == p.under && (p.url.RawQuery == "" || p.url.RawQuery == u.RawQuery)
}

// authority is host and port as they are compared.
func authority(u *url.URL) string {
	port := u.Port()
	if usual := map[string]string{"http": "80", "https": "443"}; port == "" {
		port = usual[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

// parse accepts what this package and every browser read alike, and nothing that runs a script or reads a file.
func parse(text string) (*url.URL, error) {
	if len(text) > maxLength {
		return nil, fmt.Errorf("is longer than %d bytes", maxLength)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\\\"<>^`{|}", r) }) {
		return nil, errors.New("has a character that a URL may not have")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("is not a well-formed URL")
	case u.Scheme == "" || u.Opaque != "" || !strings.Contains(text, "://"):
		return nil, errors.New("must be a whole URL: scheme://host/path")
	case u.User != nil:
		return nil, errors.New("has a user before its host")
	case strings.Contains(text, "#"):
		return nil, errors.New("has a fragment")
	case strings.HasSuffix(u.Host, ":"):
		return nil, errors.New("has an empty port")
	}
	switch u.Scheme {
	case "javascript", "data", "vbscript", "file", "blob", "filesystem", "about", "ws", "wss", "ftp":
		return nil, errors.New("has a scheme that no sign-in ends with")
	case "http":
		if !isLoopback(u.Hostname()) {
			return nil, errors.New("has plain http, which is for this machine alone")
		}
	}
	if (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() == "" {
		return nil, errors.New("has no host")
	}
	for _, path := range []string{u.EscapedPath(), u.Path} {
		for segment := range strings.SplitSeq(path, "/") {
			if segment == "." || segment == ".." || strings.Contains(segment, `\`) {
				return nil, errors.New("has a path with . or .. in it")
			}
		}
	}
	return u, nil
}

// isLoopback reports whether a host is this machine by name or by address.
func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback() || strings.EqualFold(host, "localhost")
}
