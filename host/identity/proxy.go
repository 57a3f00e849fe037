package identity

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/taskhost/taskhost/host/task"
)

// OpenStack is the convention of headers in which OpenStack's proxies say who the caller is.
const OpenStack = "openstack"

// The headers of the convention. From whoever is not a trusted proxy they change nothing.
const (
	headerStatus  = "X-Identity-Status"
	headerUser    = "X-User-Id"
	headerProject = "X-Project-Id"
	headerTenant  = "X-Tenant-Id" // what a project was called before
	headerRoles   = "X-Roles"
)

// Proxies are who may say who the caller is.
type Proxies struct {
	// Addresses are theirs.
	Addresses []netip.Prefix
	// Certificates are the common names of the client certificates by which they are known.
	Certificates []string
}

// Any says whether there are any.
func (p *Proxies) Any() bool { return len(p.Addresses) > 0 || len(p.Certificates) > 0 }

func (p *Proxies) trusts(c *Credentials) bool {
	if c.Certificate != "" && slices.Contains(p.Certificates, c.Certificate) {
		return true
	}
	address := c.Address.Unmap()
	return slices.ContainsFunc(p.Addresses, func(n netip.Prefix) bool { return n.Contains(address) })
}

// vouched is the caller that a trusted proxy names. said is false if it names none.
func vouched(header func(string) string) (c Caller, said bool, err error) {
	switch status := header(headerStatus); {
	case status == "":
		return c, false, nil
	case !strings.EqualFold(status, "Confirmed"):
		return c, true, task.Errorf(task.CodeUnauthenticated, "the proxy has not confirmed who you are: it says %q", clip(status))
	}
	c = Caller{Name: header(headerUser), Owner: header(headerProject), By: ByProxy, Role: roleOf(header(headerRoles))}
	if c.Owner == "" {
		c.Owner = header(headerTenant)
	}
	switch {
	case c.Name == "" || !printable(c.Name) || len(c.Name) > task.MaxOwner:
		return c, true, task.Errorf(task.CodeUnauthenticated, "the proxy does not say which user you are: %s is empty or no name", headerUser)
	case c.Owner == "":
		return c, true, task.Errorf(task.CodeForbidden, "the proxy names no project: neither %s nor %s is set; ask for a token of a project", headerProject, headerTenant)
	case !printable(c.Owner) || len(c.Owner) > task.MaxOwner:
		return c, true, task.Errorf(task.CodeForbidden, "what the proxy says of your project is no name: %s or %s", headerProject, headerTenant)
	case c.Role == "":
		return c, true, task.Errorf(task.CodeForbidden, "the proxy names no role that is known here: %s has none of admin, operator, manager, member, reader or viewer", headerRoles)
	}
	return c, true, nil
}

// roleOf is the greatest role that a list of OpenStack's roles gives.
func roleOf(list string) (best Role) {
	named := map[string]Role{"admin": Admin, "operator": Operator, "manager": Member, "member": Member, "_member_": Member, "reader": Viewer, "viewer": Viewer}
	for name := range strings.SplitSeq(list, ",") {
		r := named[strings.ToLower(strings.TrimSpace(name))]
		if best == "" || r.May(best) {
			best = r
		}
	}
	return best
}

// clip bounds what is quoted of a stranger's.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
