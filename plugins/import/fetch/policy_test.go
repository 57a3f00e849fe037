package fetch

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/sdk"
)

func policy(t testing.TB, hosts []string, ports []int) *Policy {
	t.Helper()
	p, err := NewPolicy(hosts, ports, sdk.Config{}.Attribute)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAddresses(t *testing.T) {
	p := policy(t, nil, nil)
	for addr, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "172.15.255.255": true, "172.32.0.0": true, "100.63.255.255": true,
		"100.128.0.0": true, "192.0.1.1": true, "223.255.255.255": true, "2606:4700::1111": true, "2a00:1450::1": true,
		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "100.64.0.1": false, "100.127.255.255": false,
		"127.0.0.1": false, "127.255.0.9": false, "169.254.169.254": false, "172.16.0.1": false, "172.31.255.255": false,
		"192.0.0.8": false, "192.0.2.1": false, "192.88.99.1": false, "192.168.1.1": false, "198.18.0.1": false,
		"198.19.255.255": false, "198.51.100.7": false, "203.0.113.9": false, "224.0.0.1": false, "239.1.1.1": false,
		"240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "::7f00:1": false, "::ffff:127.0.0.1": false, "::ffff:10.1.1.1": false,
		"::ffff:169.254.169.254": false, "64:ff9b::7f00:1": false, "64:ff9b::808:808": false, "64:ff9b:1::1": false,
		"100::1": false, "2001::1": false, "2001:db8::1": false, "2002:7f00:1::": false, "3fff::1": false,
		"5f00::1": false, "fc00::1": false, "fd12:3456::1": false, "fe80::1": false, "fe80::1%lo": false,
		"fec0::1": false, "ff02::1": false, "4000::1": false,
	} {
		to := netip.AddrPortFrom(netip.MustParseAddr(addr), 443)
		err := p.CheckDial("images.example.org", to)
		if (err == nil) != want {
			t.Errorf("%s: allowed is %v, want %v (%v)", addr, err == nil, want, err)
		}
		var r *Refusal
		if err != nil && (!errors.As(err, &r) || r.Key != "allow_hosts" || !strings.Contains(err.Error(), `allow_hosts = ["images.example.org"]`)) {
			t.Errorf("%s: %v names no key", addr, err)
		}
	}
}

func TestMappedAddressIsAllowedAsWhatItIs(t *testing.T) {
	if err := policy(t, nil, nil).CheckDial("x.example.org", netip.MustParseAddrPort("[::ffff:8.8.8.8]:80")); err != nil {
		t.Error(err)
	}
}

func TestAllowHosts(t *testing.T) {
	p := policy(t, []string{"Hooks.Example.org.", "10.1.0.0/16", "127.0.0.1", "[::1]", "fd00::/8", "::ffff:192.168.7.0/120"}, nil)
	for _, c := range []struct {
		host, addr string
		want       bool
	}{
		{"hooks.example.org", "10.9.9.9", true},
		{"HOOKS.example.org.", "127.0.0.2", true},
		{"other.example.org", "10.9.9.9", false},
		{"sub.hooks.example.org", "10.9.9.9", false},
		{"other.example.org", "10.1.255.1", true},
		{"10.1.2.3", "10.1.2.3", true},
		{"10.2.2.3", "10.2.2.3", false},
		{"localhost", "127.0.0.1", true},
		{"localhost", "127.0.0.2", false},
		{"localhost", "::1", true},
		{"x", "::ffff:10.1.0.1", true},
		{"x", "192.168.7.9", true},
		{"x", "192.168.8.9", false},
		{"x", "fd77::1", true},
		{"x", "fc77::1", false},
	} {
		err := p.CheckDial(c.host, netip.AddrPortFrom(netip.MustParseAddr(c.addr), 80))
		if (err == nil) != c.want {
			t.Errorf("%s at %s: %v, want allowed %v", c.host, c.addr, err, c.want)
		}
	}
}

func TestPolicyConfigRefused(t *testing.T) {
	for _, hosts := range [][]string{{""}, {"*"}, {"*.example.org"}, {"http://x"}, {"x:80"}, {"127.0.0.1:80"}, {"bücher.de"}, {"a b"}, {"10.0.0.0/33"}, {"::ffff:0:0/90"}} {
		if _, err := NewPolicy(hosts, nil, sdk.Config{}.Attribute); err == nil || !strings.Contains(err.Error(), "allow_hosts") {
			t.Errorf("allow_hosts = %q: %v", hosts, err)
		}
	}
	for _, n := range []int{0, -1, 65536} {
		if _, err := NewPolicy(nil, []int{n}, sdk.Config{}.Attribute); err == nil || !strings.Contains(err.Error(), "allow_ports") {
			t.Errorf("allow_ports = [%d]: %v", n, err)
		}
	}
}

func TestCheckURL(t *testing.T) {
	usual := policy(t, nil, nil)
	high := policy(t, []string{"127.0.0.1"}, []int{443, 8080})
	for _, c := range []struct {
		p   *Policy
		url string
		key string // "": allowed, "-": refused without a key
	}{
		{usual, "http://example.org/a", ""},
		{usual, "https://example.org/a?b#c", ""},
		{usual, "https://example.org:80/", ""},
		{usual, "https://user:secret@example.org/", ""},
		{usual, "http://8.8.8.8/", ""},
		{usual, "http://example.org:8080/", "allow_ports"},
		{usual, "http://example.org:22/", "allow_ports"},
		{usual, "http://example.org:0/", "-"},
		{usual, "http://example.org:99999/", "-"},
		{usual, "http://127.0.0.1/", "allow_hosts"},
		{usual, "http://[::1]/", "allow_hosts"},
		{usual, "http://[fe80::1%25eth0]/", "allow_hosts"},
		{usual, "http://[::ffff:10.0.0.1]/", "allow_hosts"},
		{usual, "http://169.254.169.254/latest/meta-data/", "allow_hosts"},
		{usual, "ftp://example.org/", "-"},
		{usual, "file:///etc/passwd", "-"},
		{usual, "gopher://example.org/", "-"},
		{usual, "//example.org/", "-"},
		{usual, "http:///a", "-"},
		{usual, "http:example.org", "-"},
		{usual, "", "-"},
		{high, "http://127.0.0.1:8080/", ""},
		{high, "https://127.0.0.1/", ""},
		{high, "http://127.0.0.1/", "allow_ports"}, // the list replaces the default
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		err = c.p.CheckURL(u)
		var r *Refusal
		switch {
		case c.key == "" && err == nil:
		case err == nil || c.key == "":
			t.Errorf("%s: %v", c.url, err)
		case !errors.As(err, &r) || r.Key != strings.Trim(c.key, "-"):
			t.Errorf("%s: %v, want key %q", c.url, err, c.key)
		case strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: %v tells the password", c.url, err)
		}
	}
}

// What a refusal says to write lets through what was refused, and all that was allowed
// before; hosts that are allowed already are none of the client's business.
func TestRefusalSaysWhatWorks(t *testing.T) {
	refusal := func(p *Policy, text string) *Refusal {
		t.Helper()
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		var r *Refusal
		if !errors.As(p.CheckURL(u), &r) {
			t.Fatalf("%s is not refused", text)
		}
		return r
	}
	scripts := sdk.Config{}.Sub(nil, "scripts", "http").Attribute
	usual, err := NewPolicy(nil, nil, scripts)
	if err != nil {
		t.Fatal(err)
	}
	if r := refusal(usual, "http://example.org:8080/"); r.Want != "scripts = { http = { allow_ports = [80,443,8080] } }" {
		t.Errorf("to write: %s", r.Want)
	}
	if r := refusal(usual, "http://10.0.0.1/"); r.Want != `scripts = { http = { allow_hosts = ["10.0.0.1"] } }` {
		t.Errorf("to write: %s", r.Want)
	}
	some, err := NewPolicy([]string{"secret.example.org"}, nil, scripts)
	if err != nil {
		t.Fatal(err)
	}
	if r := refusal(some, "http://10.0.0.1/"); r.Want != `add "10.0.0.1" to allow_hosts` {
		t.Errorf("to do: %s", r.Want)
	}
}

// Whatever the URL, what is let through is http or https, names a host, has an
// allowed port, and is no literal address that the dialer would refuse.
func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{
		"http://example.org/", "https://[::1]:443/", "http://127.1/", "http://0x7f.1/", "http://2130706433/", "http://[::ffff:7f00:1]/",
		"http://a@127.0.0.1/", "http://example.org:080/", "http:\\\\127.0.0.1", "http://127.0.0.1%2f@example.org/", "http://[fe80::1%25lo]/", "HTTP://EXAMPLE.ORG:443",
	} {
		f.Add(s)
	}
	p, err := NewPolicy(nil, nil, sdk.Config{}.Attribute)
	if err != nil {
		f.Fatal(err)
	}
	c, err := New(Options{Policy: p})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := c.Parse(raw)
		if err != nil {
			return
		}
		if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			t.Fatalf("%q passed as %#v", raw, u)
		}
		if port := strings.TrimLeft(u.Port(), "0"); port != "" && port != "80" && port != "443" {
			t.Fatalf("%q passed with port %s", raw, port)
		}
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
			if err := p.CheckDial(u.Hostname(), netip.AddrPortFrom(addr, 80)); err != nil {
				t.Fatalf("%q passed, and %v", raw, err)
			}
		}
		// The text that is sent must be read as the same host by whoever reads it next.
		again, err := c.Parse(u.String())
		if err != nil || again.Hostname() != u.Hostname() || again.Port() != u.Port() {
			t.Fatalf("%q: %q reads back as %v (%v)", raw, u.String(), again, err)
		}
	})
}

// The same of redirects: whatever a server's Location says, and no header that
// was meant for the first host goes to another.
func FuzzRedirect(f *testing.F) {
	for _, s := range []string{
		"/b", "//127.0.0.1/", "http://10.0.0.1", "https://example.net/", "../..", "?x", "#x", "//example.org:443/", "file:///etc/passwd",
		"http://example.org@127.0.0.1/", "\\\\127.0.0.1\\x", "http:/a", "javascript:1", "//[::ffff:127.0.0.1]/",
	} {
		f.Add(s)
	}
	c, err := New(Options{})
	if err != nil {
		f.Fatal(err)
	}
	follow := c.checkRedirect(false)
	f.Fuzz(func(t *testing.T, location string) {
		first, err := http.NewRequest(http.MethodGet, "http://example.org/a", nil)
		if err != nil {
			t.Fatal(err)
		}
		to, err := first.URL.Parse(location)
		if err != nil {
			return
		}
		next := &http.Request{URL: to, Header: http.Header{"X-Api-Key": {"k"}, "Referer": {"r"}}}
		if follow(next, []*http.Request{first}) != nil {
			return
		}
		if err := c.options.Policy.CheckURL(to); err != nil {
			t.Fatalf("%q was followed to %s: %v", location, to, err)
		}
		if to.Host != "example.org" && len(next.Header) > 0 {
			t.Fatalf("%q: %s is told %v", location, to.Host, next.Header)
		}
	})
}
