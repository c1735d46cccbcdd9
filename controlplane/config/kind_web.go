package config

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/wayli-app/fluxbase/controlplane/redirect"
)

// networks is a list of addresses and of networks in CIDR notation.
func networks() kind[[]netip.Prefix] {
	refusal := hinted{"must be addresses or networks in CIDR notation", "10.0.0.7, 10.0.0.0/8 and fd00::/8 are some; bits beyond the length are 0"}
	return kind[[]netip.Prefix]{
		shape: list,
		name:  "list of networks",
		collect: func(items []string) ([]netip.Prefix, error) {
			var value []netip.Prefix
			for _, item := range items {
				network, ok := parseNetwork(item)
				if !ok {
					return nil, refusal
				}
				if network.Bits() == 0 {
					return nil, errors.New("names every address there is: anybody could claim to be anybody")
				}
				value = append(value, network)
			}
			return value, nil
		},
		show: func(value []netip.Prefix) string {
			items := make([]string, len(value))
			for i, network := range value {
				items[i] = network.String()
			}
			return strings.Join(items, ",")
		},
	}
}

func parseNetwork(text string) (netip.Prefix, bool) {
	if address, err := netip.ParseAddr(text); err == nil {
		if address.Zone() != "" || address.Is4In6() {
			return netip.Prefix{}, false
		}
		return netip.PrefixFrom(address, address.BitLen()), true
	}
	network, err := netip.ParsePrefix(text)
	if err != nil || network.Addr().Is4In6() || network != network.Masked() {
		return netip.Prefix{}, false
	}
	return network, true
}

// origins is a list of origins as browsers write them (RFC 6454 section 6.2).
func origins() kind[[]string] {
	return textList("list of origins", func(text string) error {
		if !isOrigin(text) {
			return hinted{"must be origins as browsers write them",
				"scheme, host and a port that is not the usual one, in lower case and nothing after it: https://app.example.com; patterns and null are not possible"}
		}
		return nil
	})
}

func isOrigin(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || text != u.Scheme+"://"+u.Host || text != strings.ToLower(text) {
		return false
	}
	usual := map[string]string{"http": "80", "https": "443"}
	if port := u.Port(); port != "" {
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil || strconv.FormatUint(number, 10) != port || port == usual[u.Scheme] {
			return false
		}
	}
	return u.Hostname() != "" && isHost(u.Hostname()) && !strings.HasSuffix(u.Host, ":")
}

// publicURL is the origin of this server.
func publicURL() kind[string] {
	return kind[string]{
		name: "origin",
		parse: func(text string) (string, error) {
			if !isOrigin(text) || redirect.CheckSite(text) != nil {
				return "", hinted{"must be an origin",
					"scheme, host and a port that is not the usual one, in lower case and nothing after it: https://api.example.com; http is for this machine alone"}
			}
			return text, nil
		},
		show: func(value string) string { return value },
	}
}

// siteURL is where the application is.
func siteURL() kind[string] {
	return kind[string]{
		name: "URL",
		parse: func(text string) (string, error) {
			if err := redirect.CheckSite(text); err != nil {
				return "", hinted{err.Error(), "for example: https://app.example.com"}
			}
			return text, nil
		},
		show: func(value string) string { return value },
	}
}

// redirectURLs is a list of places of package redirect.
func redirectURLs() kind[[]string] {
	return textList("list of URLs", func(text string) error {
		if err := redirect.CheckPlace(text); err != nil {
			return hinted{"names a URL that " + err.Error(), "for example: https://app.example.com/welcome, https://app.example.com/**"}
		}
		return nil
	})
}

// hosts is a list of names of hosts.
func hosts() kind[[]string] {
	return textList("list of hosts", func(text string) error {
		if !isHost(text) || !strings.Contains(text, ".") || text != strings.ToLower(text) {
			return hinted{"must be names of hosts", "in lower case, without port and patterns: api.example.com"}
		}
		return nil
	})
}

// headerNames is a list of names of headers (RFC 9110 section 5.1).
func headerNames() kind[[]string] {
	return textList("list of headers", func(text string) error {
		if text == "" || strings.ContainsFunc(text, func(r rune) bool {
			return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_'
		}) {
			return errors.New("must be names of headers, of letters, digits, - and _")
		}
		return nil
	})
}

// textList is a list without repetitions of texts that check accepts.
func textList(name string, check func(text string) error) kind[[]string] {
	return kind[[]string]{
		shape: list,
		name:  name,
		collect: func(items []string) ([]string, error) {
			for i, item := range items {
				if err := check(item); err != nil {
					return nil, err
				}
				if slices.Contains(items[:i], item) {
					return nil, errors.New("names one thing twice")
				}
			}
			return items, nil
		},
		show: func(value []string) string { return strings.Join(value, ",") },
	}
}

// redisURL is where a Redis is. It may hold a password.
func redisURL() kind[Secret] {
	k := secretText()
	k.name = "URL"
	parse := k.parse
	k.parse = func(text string) (Secret, error) {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "" {
			return Secret{}, hinted{"must be a URL of Redis", "redis://user:password@host:6379/0, or rediss:// for TLS"}
		}
		return parse(text)
	}
	return k
}
