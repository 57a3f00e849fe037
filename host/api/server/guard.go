package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/taskhost/taskhost/host/task"
)

// DefaultOwner is whose tasks they are while there are no tokens.
const DefaultOwner = "default"

// guard decides who may call, and from where.
type guard struct {
	tokens      []tokenHash
	hosts       map[string]bool
	crossOrigin *http.CrossOriginProtection
}

type tokenHash struct {
	hash  [32]byte
	scope task.Scope
}

func newGuard(opts Options) guard {
	g := guard{hosts: map[string]bool{}, crossOrigin: http.NewCrossOriginProtection()}
	for _, t := range opts.Tokens {
		if t.Secret != "" {
			g.tokens = append(g.tokens, tokenHash{sha256.Sum256([]byte(t.Secret)), t.Scope})
		}
	}
	for _, h := range opts.Hosts {
		g.hosts[strings.ToLower(h)] = true
	}
	return g
}

// check refuses what a web page of someone else's makes a browser send. An open
// server trusts whoever reaches its loopback address, and a browser on that
// machine does: a page could write with a cross-origin request, or read under a
// name of its own that resolves to 127.0.0.1.
func (g *guard) check(r *http.Request) error {
	if len(g.tokens) == 0 && !g.knownHost(r.Host) {
		return task.Errorf(task.CodeForbidden, "host %q is not this server's: without tokens it answers to loopback names only", r.Host)
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
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || g.hosts[host] {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// caller is who calls. Every token is compared, in constant time, so that the
// time taken tells nothing of any.
func (g *guard) caller(r *http.Request) (task.Scope, error) {
	if len(g.tokens) == 0 {
		return task.Scope{Owner: DefaultOwner, All: true}, nil
	}
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return task.Scope{}, task.Errorf(task.CodeUnauthenticated, "send a token: Authorization: Bearer TOKEN")
	}
	hash := sha256.Sum256([]byte(strings.TrimSpace(secret)))
	var scope task.Scope
	found := false
	for _, t := range g.tokens {
		if subtle.ConstantTimeCompare(hash[:], t.hash[:]) == 1 {
			scope = t.scope
			found = true
		}
	}
	if !found {
		return task.Scope{}, task.Errorf(task.CodeUnauthenticated, "the token is not known here")
	}
	return scope, nil
}
