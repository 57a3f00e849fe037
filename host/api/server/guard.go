package server

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

// maxHeldBack is how many answers to wrong secrets are held back at a time.
const maxHeldBack = 1000

// guard decides who may call, and from where.
type guard struct {
	access      *identity.Access // nil: whoever reaches the server is its admin
	hosts       map[string]bool
	crossOrigin *http.CrossOriginProtection
	heldBack    chan struct{}
}

func newGuard(opts Options) guard {
	g := guard{access: opts.Access, hosts: map[string]bool{}, crossOrigin: http.NewCrossOriginProtection(), heldBack: make(chan struct{}, maxHeldBack)}
	for _, h := range opts.Hosts {
		g.hosts[strings.ToLower(h)] = true
	}
	return g
}

// Guard decides who may call, for what is served beside the API.
type Guard struct{ guard guard }

// NewGuard makes the guard that NewHandler has with these options.
func NewGuard(o Options) *Guard { return &Guard{newGuard(o)} }

// Caller is who sent a request; its error has the code unauthenticated or forbidden. The
// answer to a wrong secret is held back.
func (g *Guard) Caller(r *http.Request) (identity.Caller, error) {
	if err := g.guard.check(r); err != nil {
		return identity.Caller{}, err
	}
	return g.guard.caller(r)
}

// check refuses what a web page of someone else's makes a browser send. An open
// server trusts whoever reaches its loopback address, and a browser on that
// machine does: a page could write with a cross-origin request, or read under a
// name of its own that resolves to 127.0.0.1.
func (g *guard) check(r *http.Request) error {
	if !g.knownHost(r.Host) && secretOf(r) == "" && g.anonymous(r) {
		return task.Errorf(task.CodeForbidden, "host %q is not this server's: to who sends no token it answers under loopback names only", r.Host)
	}
	if err := g.crossOrigin.Check(r); err != nil {
		return &task.Error{Code: task.CodeForbidden, Message: "a page of another origin may not do this", Cause: err}
	}
	return nil
}

// knownHost says whether a Host header names this server: by a name of loopback, or one
// of Options.Hosts.
func (g *guard) knownHost(hostport string) bool {
	host := hostport
	if strings.Contains(hostport, ":") {
		if h, _, err := net.SplitHostPort(hostport); err == nil {
			host = h
		}
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || g.hosts[host] {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// anonymous says whether a request is let in that does not say who sent it.
func (g *guard) anonymous(r *http.Request) bool {
	return g.access == nil || g.access.Anonymous(AddressOf(r))
}

// secretOf is the token's secret that a request carries; "" if it has none.
func secretOf(r *http.Request) string {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(secret)
	}
	return r.Header.Get("X-Auth-Token")
}

// AddressOf is whom a request's connection is from.
func AddressOf(r *http.Request) netip.Addr {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return from.Addr().Unmap()
}

// caller is who calls. The answer to a wrong secret is held back, the longer the more were sent.
func (g *guard) caller(r *http.Request) (identity.Caller, error) {
	if g.access == nil {
		return identity.Machine(), nil
	}
	c := identity.Credentials{Address: AddressOf(r), Secret: secretOf(r), Header: r.Header.Get}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		c.Certificate = r.TLS.VerifiedChains[0][0].Subject.CommonName
	}
	who, wait, err := g.access.Caller(c)
	if wait > 0 {
		g.holdBack(r.Context(), wait)
	}
	return who, err
}

func (g *guard) holdBack(ctx context.Context, wait time.Duration) {
	select {
	case g.heldBack <- struct{}{}:
	default:
		return // to keep more connections waiting would serve who guesses
	}
	defer func() { <-g.heldBack }()
	over := time.NewTimer(wait)
	defer over.Stop()
	select {
	case <-over.C:
	case <-ctx.Done():
	}
}

// as is the request as a caller's: its context ends when their token does.
func as(r *http.Request, who *identity.Caller) (*http.Request, context.CancelFunc) {
	if who.Life == nil {
		return r, func() {}
	}
	var ctx context.Context
	var cancel context.CancelFunc
	if who.ExpiresAt.IsZero() {
		ctx, cancel = context.WithCancel(r.Context())
	} else {
		ctx, cancel = context.WithDeadline(r.Context(), who.ExpiresAt)
	}
	stop := context.AfterFunc(who.Life, cancel)
	return r.WithContext(ctx), func() { stop(); cancel() }
}
