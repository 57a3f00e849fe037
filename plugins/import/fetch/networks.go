package fetch

import "net/netip"

// specialNetwork is a range that the public internet does not reach, and why.
type specialNetwork struct {
	prefix netip.Prefix
	kind   string
}

// specialV4 holds what IANA's special-purpose registry of IPv4 lists as not
// globally reachable, with multicast and what is reserved.
func specialV4() []specialNetwork {
	return []specialNetwork{
		{netip.MustParsePrefix("0.0.0.0/8"), "unspecified (this network)"},
		{netip.MustParsePrefix("10.0.0.0/8"), "private"},
		{netip.MustParsePrefix("100.64.0.0/10"), "shared by a carrier's NAT"},
		{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
		{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
		{netip.MustParsePrefix("172.16.0.0/12"), "private"},
		{netip.MustParsePrefix("192.0.0.0/24"), "reserved for protocols"},
		{netip.MustParsePrefix("192.0.2.0/24"), "for documentation"},
		{netip.MustParsePrefix("192.88.99.0/24"), "a relay of 6to4"},
		{netip.MustParsePrefix("192.168.0.0/16"), "private"},
		{netip.MustParsePrefix("198.18.0.0/15"), "for benchmarks"},
		{netip.MustParsePrefix("198.51.100.0/24"), "for documentation"},
		{netip.MustParsePrefix("203.0.113.0/24"), "for documentation"},
		{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
		{netip.MustParsePrefix("240.0.0.0/4"), "reserved or broadcast"},
	}
}

// specialV6 holds the same of IPv6. Ranges that carry an IPv4 address inside
// (NAT64, 6to4, Teredo) are in it: behind a gateway they lead to any address at all.
func specialV6() []specialNetwork {
	return []specialNetwork{
		{netip.MustParsePrefix("::/128"), "unspecified"},
		{netip.MustParsePrefix("::1/128"), "loopback"},
		{netip.MustParsePrefix("64:ff9b::/96"), "an IPv4 address behind NAT64"},
		{netip.MustParsePrefix("64:ff9b:1::/48"), "an IPv4 address behind a local NAT64"},
		{netip.MustParsePrefix("fc00::/7"), "private (unique local)"},
		{netip.MustParsePrefix("fe80::/10"), "link-local"},
		{netip.MustParsePrefix("fec0::/10"), "site-local"},
		{netip.MustParsePrefix("ff00::/8"), "multicast"},
		{netip.MustParsePrefix("2001::/23"), "reserved for protocols (Teredo and others)"},
		{netip.MustParsePrefix("2001:db8::/32"), "for documentation"},
		{netip.MustParsePrefix("2002::/16"), "an IPv4 address behind 6to4"},
		{netip.MustParsePrefix("3fff::/20"), "for documentation"},
	}
}

// These are read only; netip has no constant prefixes.
var (
	v4Networks = specialV4()
	v6Networks = specialV6()
	globalV6   = netip.MustParsePrefix("2000::/3")
)

// specialKind says why addr is not one of the public internet, or "" if it is.
// addr is unmapped and has no zone.
func specialKind(addr netip.Addr) string {
	networks := v4Networks
	if addr.Is6() {
		networks = v6Networks
	}
	for _, n := range networks {
		if n.prefix.Contains(addr) {
			return n.kind
		}
	}
	if !addr.IsValid() || addr.Is6() && !globalV6.Contains(addr) {
		return "not a public address" // all that is not yet handed out
	}
	return ""
}
