package guard_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/config"
	"github.com/wayli-app/fluxbase/controlplane/guard"
)

func proxies(header config.AddressHeader, networks ...string) guard.Proxies {
	p := guard.Proxies{Header: header}
	for _, n := range networks {
		p.Networks = append(p.Networks, netip.MustParsePrefix(n))
	}
	return p
}

func TestClient(t *testing.T) {
	t.Parallel()
	const list, forwarded = config.ForwardedForHeader, config.ForwardedHeader
	trusted := []string{"10.0.0.0/8", "fd00::/8"}
	for name, c := range map[string]struct {
		header  config.AddressHeader
		trusted []string
		peer    string
		values  []string
		want    string
	}{
		"no proxies, lying header":  {list, nil, "10.0.0.1:1", []string{"203.0.113.9"}, "10.0.0.1"},
		"peer not trusted":          {list, trusted, "198.51.100.1:1", []string{"203.0.113.9"}, "198.51.100.1"},
		"one hop":                   {list, trusted, "10.0.0.1:1", []string{"203.0.113.9"}, "203.0.113.9"},
		"from the right":            {list, trusted, "10.0.0.1:1", []string{"1.1.1.1, 203.0.113.9"}, "203.0.113.9"},
		"through two":               {list, trusted, "10.0.0.1:1", []string{"1.1.1.1, 203.0.113.9, 10.2.3.4"}, "203.0.113.9"},
		"in two lines":              {list, trusted, "10.0.0.1:1", []string{"1.1.1.1", "203.0.113.9, 10.2.3.4"}, "203.0.113.9"},
		"too many hops":             {list, trusted, "10.0.0.1:1", []string{"203.0.113.9" + strings.Repeat(", 10.2.3.4", 40)}, "10.2.3.4"},
		"all trusted":               {list, trusted, "10.0.0.1:1", []string{"10.9.9.9, 10.2.3.4"}, "10.9.9.9"},
		"no header":                 {list, trusted, "10.0.0.1:1", nil, "10.0.0.1"},
		"empty":                     {list, trusted, "10.0.0.1:1", []string{""}, "10.0.0.1"},
		"garbage ends the walk":     {list, trusted, "10.0.0.1:1", []string{"203.0.113.9, garbage, 10.2.3.4"}, "10.2.3.4"},
		"empty element":             {list, trusted, "10.0.0.1:1", []string{"203.0.113.9,, 10.2.3.4"}, "10.2.3.4"},
		"port":                      {list, trusted, "10.0.0.1:1", []string{"203.0.113.9:4711"}, "203.0.113.9"},
		"IPv6":                      {list, trusted, "[fd00::1]:1", []string{"2001:db8::5"}, "2001:db8::5"},
		"IPv6, brackets":            {list, trusted, "[fd00::1]:1", []string{"[2001:db8::5]"}, "2001:db8::5"},
		"IPv6, port":                {list, trusted, "[fd00::1]:1", []string{"[2001:db8::5]:80"}, "2001:db8::5"},
		"mapped peer":               {list, trusted, "[::ffff:10.0.0.1]:1", []string{"203.0.113.9"}, "203.0.113.9"},
		"mapped client":             {list, trusted, "10.0.0.1:1", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		"mapped proxy in the list":  {list, trusted, "10.0.0.1:1", []string{"203.0.113.9, ::ffff:10.2.3.4"}, "203.0.113.9"},
		"zone":                      {list, trusted, "[fe80::1%eth0]:1", []string{"203.0.113.9"}, "fe80::1"},
		"leading zeros":             {list, trusted, "10.0.0.1:1", []string{"203.0.113.009"}, "10.0.0.1"},
		"the other header":          {forwarded, trusted, "10.0.0.1:1", nil, "10.0.0.1"},
		"forwarded":                 {forwarded, trusted, "10.0.0.1:1", []string{`for=203.0.113.9`}, "203.0.113.9"},
		"forwarded, all of it":      {forwarded, trusted, "10.0.0.1:1", []string{`For=1.1.1.1, by=10.0.0.2;FOR="203.0.113.9:80";proto=https;host=evil.example`}, "203.0.113.9"},
		"forwarded, IPv6":           {forwarded, trusted, "10.0.0.1:1", []string{`for="[2001:db8::5]:80", for=10.2.3.4`}, "2001:db8::5"},
		"forwarded, IPv6, bare":     {forwarded, trusted, "10.0.0.1:1", []string{`for="2001:db8::5"`}, "10.0.0.1"},
		"forwarded, IPv6, unquoted": {forwarded, trusted, "10.0.0.1:1", []string{`for=[2001:db8::5]`}, "10.0.0.1"},
		"forwarded, unknown":        {forwarded, trusted, "10.0.0.1:1", []string{`for=203.0.113.9, for=unknown`}, "10.0.0.1"},
		"forwarded, obfuscated":     {forwarded, trusted, "10.0.0.1:1", []string{`for=203.0.113.9, for=_hidden, for=10.2.3.4`}, "10.2.3.4"},
		"forwarded, twice":          {forwarded, trusted, "10.0.0.1:1", []string{`for=203.0.113.9;for=1.1.1.1`}, "10.0.0.1"},
		"forwarded, none":           {forwarded, trusted, "10.0.0.1:1", []string{`by=203.0.113.9`}, "10.0.0.1"},
		"forwarded, quoted comma":   {forwarded, trusted, "10.0.0.1:1", []string{`for="1.1.1.1, for=203.0.113.9"`}, "10.0.0.1"},
		"forwarded, quoted host":    {forwarded, trusted, "10.0.0.1:1", []string{`for=203.0.113.9;host="a,for=6.6.6.6;x="`}, "203.0.113.9"},
		"... semicolon":             {forwarded, trusted, "10.0.0.1:1", []string{`for=203.0.113.9;host="a;for=6.6.6.6"`}, "203.0.113.9"},
		"... before the address":    {forwarded, trusted, "10.0.0.1:1", []string{`host="a;for=6.6.6.6;b=";for=203.0.113.9`}, "203.0.113.9"},
		"... escapes":               {forwarded, trusted, "10.0.0.1:1", []string{`for=203.0.113.9;host="a\",for=6.6.6.6;b=\"\\"`}, "203.0.113.9"},
		"... backslash at the end":  {forwarded, trusted, "10.0.0.1:1", []string{`for=1.1.1.1, for=203.0.113.9;host="\\", for=10.2.3.4`}, "203.0.113.9"},
		"forwarded, open quote":     {forwarded, trusted, "10.0.0.1:1", []string{`for="1.1.1.1, for=203.0.113.9`}, "203.0.113.9"},
		"no peer":                   {list, trusted, "@", []string{"203.0.113.9"}, "invalid IP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// What the client wrote into the header that is not read changes nothing.
			r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": {"6.6.6.6"}, "Forwarded": {"for=6.6.6.6"},
				"X-Real-Ip": {"6.6.6.6"}, "True-Client-Ip": {"6.6.6.6"}, "Cf-Connecting-Ip": {"6.6.6.6"}}}
			r.Header[http.CanonicalHeaderKey(string(c.header))] = c.values
			if got := proxies(c.header, c.trusted...).Client(r).String(); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func FuzzClient(f *testing.F) {
	for _, s := range []string{"1.1.1.1, 10.0.0.1", "[::1]:80", `for="[2001:db8::5]:80";by=_x`, ",,,", `for="`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, header := range []config.AddressHeader{config.ForwardedForHeader, config.ForwardedHeader} {
			r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{string(header): {text, text}}}
			a := proxies(header, "10.0.0.0/8").Client(r)
			if !a.IsValid() || a.Is4In6() || a.Zone() != "" {
				t.Errorf("%q: %s", text, a)
			}
		}
	})
}

func TestGroup(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"203.0.113.9": "203.0.113.9", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "2001:db8:1:2::9": "2001:db8:1:2::"} {
		if got := guard.Group(netip.MustParseAddr(in)).String(); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	if guard.Group(netip.Addr{}).IsValid() {
		t.Error("nobody has a group")
	}
}
