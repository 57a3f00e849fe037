package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// The roles are said by their names: who a caller is, is for others to know.
var (
	callerRoles   = []string{"viewer", "member", "operator", "admin"}
	proxyHeaders  = []string{"openstack"}
	anonymousFrom = []string{"none", "loopback"}
)

// TLS is the tls block: with it the REST side speaks HTTPS, of TLS 1.2 or later, and nothing
// else. Its files are read again on SIGHUP.
type TLS struct {
	// Cert is the file with the server's certificate, and after it those that lead from it to
	// an authority that clients trust; PEM.
	Cert string
	// Key is the file with the certificate's private key; PEM.
	Key string
	// ClientCA is the file with the authorities whose client certificates are taken: who shows
	// one is the owner that its common name says. Who shows none needs a token.
	ClientCA string
	// ClientRole is the role of who shows a client certificate, where client_roles says no other.
	ClientRole string
	// ClientRoles are the roles of some, by the common name of their certificate.
	ClientRoles map[string]string
}

func (t *TLS) setters(dir string) map[string]setter {
	return map[string]setter{
		"cert": path(&t.Cert, dir), "key": path(&t.Key, dir), "client_ca": path(&t.ClientCA, dir),
		"client_role": enum(&t.ClientRole, callerRoles), "client_roles": rolesByName(&t.ClientRoles),
	}
}

// TrustedProxy is the trusted_proxy block: who may say, in headers, who a caller is. From
// anyone else these headers change nothing.
type TrustedProxy struct {
	// Addresses are those of the proxies, as addresses or networks such as 10.0.0.0/24.
	Addresses []string
	// Certificates are the common names of the client certificates by which proxies are known;
	// tls.client_ca checks them.
	Certificates []string
	// Headers is the convention in which they say it. openstack: X-Identity-Status must be
	// Confirmed, X-Project-Id (or X-Tenant-Id) is the owner, X-User-Id the caller, and of X-Roles
	// admin, operator, member and reader count.
	Headers string
}

func (t *TrustedProxy) setters() map[string]setter {
	return map[string]setter{"addresses": networks(&t.Addresses), "certificates": texts(&t.Certificates), "headers": enum(&t.Headers, proxyHeaders)}
}

// tls reads the tls block, if there is one.
func (d *decoder) tls(content *hcl.BodyContent, to *TLS) {
	for i, b := range content.Blocks.OfType("tls") {
		if i > 0 {
			d.fault(b.DefRange, "A second tls block", "A server has one.")
			continue
		}
		inner := d.body(b.Body, "tls", nil, to.setters(d.source.dir))
		for _, name := range []string{"cert", "key"} {
			if inner.Attributes[name] == nil {
				d.fault(b.DefRange, "TLS needs cert and key", "Set "+name+" = \"…\": the path of a file in PEM.")
			}
		}
		for _, name := range []string{"client_role", "client_roles"} {
			if a := inner.Attributes[name]; a != nil && inner.Attributes["client_ca"] == nil {
				d.fault(a.NameRange, "No client certificates are taken", name+" is of no effect without client_ca.")
			}
		}
	}
}

// trustedProxy reads the trusted_proxy block, if there is one.
func (d *decoder) trustedProxy(content *hcl.BodyContent, c *Config) {
	for i, b := range content.Blocks.OfType("trusted_proxy") {
		if i > 0 {
			d.fault(b.DefRange, "A second trusted_proxy block", "A server has one; it may name several addresses.")
			continue
		}
		inner := d.body(b.Body, "trusted_proxy", nil, c.TrustedProxy.setters())
		if len(c.TrustedProxy.Addresses) == 0 && len(c.TrustedProxy.Certificates) == 0 {
			d.fault(b.DefRange, "Nobody is trusted", "Set addresses = [\"10.0.0.5/32\"], or certificates = [\"NAME\"].")
		}
		if a := inner.Attributes["certificates"]; a != nil && c.TLS.ClientCA == "" {
			d.fault(a.NameRange, "No client certificates are taken", "Certificates of proxies are checked by tls.client_ca, which is not set.")
		}
	}
}

// networks reads addresses and networks. An address is a network of its own.
func networks(to *[]string) setter {
	s := setter{to: to, is: "is a list of addresses and networks such as \"10.0.0.0/24\""}
	s.read = func(v cty.Value) error {
		var all []string
		if texts(&all).read(v) != nil {
			return s.bad()
		}
		for _, a := range all {
			p, err := Network(a)
			if err != nil {
				return err
			}
			*to = append(*to, p.String())
		}
		return nil
	}
	return s
}

// Network reads an address or a network. An address is a network of its own.
func Network(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("has %q: want an address or a network such as 10.0.0.0/24", text)
	}
	return p.Masked(), nil
}

func rolesByName(to *map[string]string) setter {
	s := setter{to: to, is: "is names with a role each, such as { ops = \"admin\" }"}
	s.read = func(v cty.Value) error {
		if v.IsNull() || !v.Type().IsObjectType() && !v.Type().IsMapType() {
			return s.bad()
		}
		out := map[string]string{}
		for name, e := range v.AsValueMap() {
			var role string
			if enum(&role, callerRoles).read(e) != nil {
				return errors.New("has a role that is none of " + strings.Join(callerRoles, ", "))
			}
			out[name] = role
		}
		*to = out
		return nil
	}
	return s
}
