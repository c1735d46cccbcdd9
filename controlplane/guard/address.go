package guard

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/config"
)

// Proxies are those whose word about a client's address is believed, and the one header in which they say it: a proxy
// that writes one of the two passes on what a client wrote into the other. Without any network, no header is read.
type Proxies struct {
	Networks []netip.Prefix
	Header   config.AddressHeader
}

// maxHops is how many proxies one request may have come through.
const maxHops = 32

// Contains reports whether an address is that of a trusted proxy.
func (p Proxies) Contains(address netip.Addr) bool {
	for _, network := range p.Networks {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// Client is the address of the client that sent a request; the zero Addr when even that of the connection is unknown.
//
// The connection's peer is the client unless it is a trusted proxy. Each trusted proxy vouches for one address, the one
// that it added last, so the list is walked from the right until an address is not trusted. An entry that is no address
// ends the walk: what is to the left of it, nobody vouches for.
func (p Proxies) Client(r *http.Request) netip.Addr {
	address := Peer(r.RemoteAddr)
	if len(p.Networks) == 0 || !p.Contains(address) {
		return address
	}
	list, hop := r.Header["X-Forwarded-For"], listedAddress
	if p.Header == config.ForwardedHeader {
		list, hop = r.Header["Forwarded"], forwardedAddress
	}
	for hops, line := 0, len(list)-1; line >= 0; line-- {
		for rest, more := list[line], true; more; {
			var entry string
			rest, entry, more = cutLast(rest)
			next, ok := hop(entry)
			if hops++; !ok || hops > maxHops {
				return address
			}
			if address = next; !p.Contains(address) {
				return address
			}
		}
	}
	return address
}

// Peer is the address of "address:port".
func Peer(remote string) netip.Addr {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return plain(peer.Addr())
}

// plain is an IPv4 address as such, however it was written, without the name of one of our own interfaces.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// cutLast cuts the last element off a list. A comma inside of quotes separates nothing (RFC 9110 section 5.6.4): a proxy may
// quote what its client has chosen, such as a host. Quotes are counted from the right, as what proxies have added is well-formed,
// whatever the client has begun the list with.
func cutLast(list string) (rest, last string, more bool) {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch {
		case list[i] == '"' && !(quoted && escaped(list, i)):
			quoted = !quoted
		case list[i] == ',' && !quoted:
			return list[:i], strings.Trim(list[i+1:], " \t"), true
		}
	}
	return "", strings.Trim(list, " \t"), false
}

// escaped reports whether an odd number of backslashes stands before a byte.
func escaped(text string, i int) bool {
	return (i-len(strings.TrimRight(text[:i], `\`)))%2 == 1
}

// listedAddress reads an element of X-Forwarded-For: an address, which some proxies write with a port.
func listedAddress(text string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		return plain(a), true
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if inner, ok := strings.CutSuffix(inner, "]"); ok {
			a, err := netip.ParseAddr(inner)
			return plain(a), err == nil && a.Is6()
		}
	}
	ap, err := netip.ParseAddrPort(text)
	return plain(ap.Addr()), err == nil
}

// forwardedAddress reads "for" of an element of Forwarded (RFC 7239 section 4). An element without it, an obfuscated
// name and "unknown" are no addresses.
func forwardedAddress(element string) (netip.Addr, bool) {
	var found string
	for rest, more := element, true; more; {
		var pair string
		pair, rest, more = cutPair(rest)
		name, value, ok := strings.Cut(strings.Trim(pair, " \t"), "=")
		if !ok {
			return netip.Addr{}, false
		}
		if strings.EqualFold(name, "for") {
			if found != "" {
				return netip.Addr{}, false
			}
			found = value
		}
	}
	if inner, quoted := strings.CutPrefix(found, `"`); quoted {
		if inner, quoted = strings.CutSuffix(inner, `"`); !quoted {
			return netip.Addr{}, false
		}
		found = inner
	} else if strings.ContainsAny(found, ":[]") { // needs quotes by section 4
		return netip.Addr{}, false
	}
	if strings.Contains(found, ":") && !strings.HasPrefix(found, "[") && strings.Count(found, ":") > 1 {
		return netip.Addr{}, false // IPv6 stands in brackets by section 6
	}
	return listedAddress(found)
}

// cutPair cuts the first of the pairs of an element off. A semicolon inside of quotes separates nothing.
func cutPair(element string) (pair, rest string, more bool) {
	quoted := false
	for i := 0; i < len(element); i++ {
		switch {
		case quoted && element[i] == '\\':
			i++
		case element[i] == '"':
			quoted = !quoted
		case element[i] == ';' && !quoted:
			return element[:i], element[i+1:], true
		}
	}
	return element, "", false
}

// Group is how limits count an address: IPv4 alone, IPv6 by /64, since a household has one of those (RFC 6177).
func Group(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	network, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return network.Addr()
}
