package fetch

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Policy says which URLs and addresses may be fetched from. It does not change
// once made, and may be used from many goroutines.
type Policy struct {
	names    map[string]bool
	prefixes []netip.Prefix
	ports    map[uint16]bool
	// attribute is how an operator writes a key of the config that the policy is of.
	attribute func(key string, value any) string
}

// Refusal is the error of what the policy does not let pass.
type Refusal struct {
	What string // the URL, host or address, and what is wrong with it
	Key  string // the config key that could allow it; empty if none can
	Want string // what to write in the config
}

func (r *Refusal) Error() string {
	if r.Key == "" {
		return "refused: " + r.What
	}
	return fmt.Sprintf("refused: %s (the operator can allow it in the executor's config: %s)", r.What, r.Want)
}

// DefaultPorts are those that may be fetched from where nobody says otherwise.
func DefaultPorts() []int { return []int{80, 443} }

// NewPolicy makes a policy. allowHosts lists what may be fetched from although
// its address is not a public one: host names as they stand in URLs, addresses,
// and networks such as 10.1.0.0/16. Public addresses need no entry. allowPorts replaces
// the default of 80 and 443; empty keeps it. A refusal says what the operator could write
// with attribute, which is sdk.Config.Attribute of the config that both come from.
func NewPolicy(allowHosts []string, allowPorts []int, attribute func(key string, value any) string) (*Policy, error) {
	p := &Policy{names: map[string]bool{}, ports: map[uint16]bool{}, attribute: attribute}
	for _, h := range allowHosts {
		if err := p.addAllowed(h); err != nil {
			return nil, err
		}
	}
	if len(allowPorts) == 0 {
		allowPorts = DefaultPorts()
	}
	for _, n := range allowPorts {
		if n < 1 || n > 65535 {
			return nil, fmt.Errorf("allow_ports: %d is not a port (1 to 65535)", n)
		}
		p.ports[uint16(n)] = true
	}
	return p, nil
}

func (p *Policy) addAllowed(entry string) error {
	if prefix, err := netip.ParsePrefix(entry); err == nil {
		if a := prefix.Addr(); a.Is4In6() { // addresses are compared unmapped
			if prefix.Bits() < 96 {
				return fmt.Errorf("allow_hosts: %q: write the IPv4 network itself", entry)
			}
			prefix = netip.PrefixFrom(a.Unmap(), prefix.Bits()-96)
		}
		p.prefixes = append(p.prefixes, prefix.Masked())
		return nil
	}
	if addr, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
		addr = addr.Unmap().WithZone("")
		p.prefixes = append(p.prefixes, netip.PrefixFrom(addr, addr.BitLen()))
		return nil
	}
	name := hostKey(entry)
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		case c == ':':
			return fmt.Errorf("allow_hosts: %q: a port does not belong here but in allow_ports", entry)
		default:
			return fmt.Errorf("allow_hosts: %q is not a host name, an address or a network (no wildcards; international names in their xn-- form)", entry)
		}
	}
	if name == "" {
		return fmt.Errorf("allow_hosts: %q is not a host name, an address or a network", entry)
	}
	p.names[name] = true
	return nil
}

// CheckURL refuses what can be known from the URL alone: the scheme, the port,
// a missing host, and a host that is itself an address which may not be used.
func (p *Policy) CheckURL(u *url.URL) error {
	defaultPort := "80"
	switch u.Scheme {
	case "http":
	case "https":
		defaultPort = "443"
	default:
		return &Refusal{What: fmt.Sprintf("scheme %q: only http and https are fetched", u.Scheme)}
	}
	host := u.Hostname()
	if host == "" || u.Opaque != "" {
		return &Refusal{What: fmt.Sprintf("URL %q names no host", ShowURL(u))}
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return &Refusal{What: fmt.Sprintf("port %q of %s is not a port", port, ShowURL(u))}
	}
	if err := p.checkPort(uint16(n)); err != nil {
		return err
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return p.checkAddr(host, addr)
	}
	return nil
}

// CheckDial refuses an address that is about to be connected to. host is what
// the URL names, before the lookup.
func (p *Policy) CheckDial(host string, to netip.AddrPort) error {
	if err := p.checkPort(to.Port()); err != nil {
		return err
	}
	return p.checkAddr(host, to.Addr())
}

func (p *Policy) checkPort(port uint16) error {
	if p.ports[port] {
		return nil
	}
	all := append(slices.Sorted(maps.Keys(p.ports)), port) // the list replaces what was allowed
	return &Refusal{What: fmt.Sprintf("port %d", port), Key: "allow_ports", Want: p.attribute("allow_ports", all)}
}

func (p *Policy) checkAddr(host string, addr netip.Addr) error {
	addr = addr.Unmap().WithZone("") // ::ffff:127.0.0.1 is 127.0.0.1
	kind := specialKind(addr)
	if kind == "" || p.names[hostKey(host)] {
		return nil
	}
	for _, prefix := range p.prefixes {
		if prefix.Contains(addr) {
			return nil
		}
	}
	what := fmt.Sprintf("address %s is %s", addr, kind)
	if host != addr.String() {
		what = fmt.Sprintf("%q resolves to %s, which is %s", host, addr, kind)
	}
	want := p.attribute("allow_hosts", []string{hostKey(host)})
	if len(p.names)+len(p.prefixes) > 0 { // the others are not for clients to read
		want = fmt.Sprintf("add %q to allow_hosts", hostKey(host))
	}
	return &Refusal{What: what, Key: "allow_hosts", Want: want}
}

// hostKey is the form in which names are compared: DNS knows no case, and a
// trailing dot only ends the search list.
func hostKey(host string) string {
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// ShowURL is u for messages and logs: without password, query and fragment, since
// the query of a signed URL is as good as a password.
func ShowURL(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, Opaque: u.Opaque}
	return shown.String()
}
