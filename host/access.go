package host

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/config"
	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
)

// TLSFiles are where the REST side's certificate is, in PEM; the zero value is none. They
// are read again by Reload.
type TLSFiles struct {
	Cert, Key string
	ClientCA  string // of the authorities whose client certificates are taken; "" takes none
}

// auditRetain is how long it is kept who changed what, unless Options say otherwise.
const auditRetain = 90 * 24 * time.Hour

// accessOf is the operator's word on who may call.
func accessOf(c *config.Config) identity.Settings {
	s := identity.Settings{AnonymousLoopback: c.Anonymous == "loopback", Certificates: c.TLS.ClientCA != "",
		CertificateRole: identity.Role(c.TLS.ClientRole), CertificateRoles: map[string]identity.Role{},
		Proxies: identity.Proxies{Certificates: c.TrustedProxy.Certificates}}
	for name, r := range c.TLS.ClientRoles {
		s.CertificateRoles[name] = identity.Role(r)
	}
	for _, a := range c.TrustedProxy.Addresses {
		if p, err := config.Network(a); err == nil { // it was checked when it was read
			s.Proxies.Addresses = append(s.Proxies.Addresses, p)
		}
	}
	return s
}

// source is the time and the chance for who may call.
func source() identity.Source {
	return identity.Source{Now: time.Now, ID: engine.NewID, Random: rand.Read}
}

// openAccess reads who may call. It refuses to serve an address at which everyone would be let in.
func (h *Host) openAccess(ctx context.Context) (err error) {
	if h.access, err = identity.NewAccess(ctx, h.store, source(), h.opts.Access); err != nil {
		return err
	}
	h.accessEnds = make(chan struct{})
	run, stop := context.WithCancel(context.Background())
	h.endAccess = stop
	go func() {
		defer close(h.accessEnds)
		ticks := time.NewTicker(time.Minute)
		defer ticks.Stop()
		h.access.Run(run, ticks.C, h.opts.AuditRetain, func(err error) { h.log.Error("who changed what cannot be written, and is tried again", "error", err) })
	}()
	return nil
}

// closeAccess writes what is left, while the store is open.
func (h *Host) closeAccess() {
	if h.endAccess != nil {
		h.endAccess()
		<-h.accessEnds
	}
}

// loadTLS reads the certificate and puts it in force for new connections.
func (h *Host) loadTLS(f TLSFiles) error {
	if f.Cert == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return fmt.Errorf("tls: cert %s, key %s: %w", f.Cert, f.Key, err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}
	if f.ClientCA != "" {
		pem, err := os.ReadFile(f.ClientCA)
		if err != nil {
			return fmt.Errorf("tls: client_ca: %w", err)
		}
		c.ClientCAs = x509.NewCertPool()
		if !c.ClientCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("tls: client_ca %s: holds no certificate in PEM", f.ClientCA)
		}
		c.ClientAuth = tls.VerifyClientCertIfGiven
	}
	if pair.Leaf != nil && time.Now().After(pair.Leaf.NotAfter) {
		h.log.Warn("the certificate of the REST side has expired", "cert", f.Cert, "expired_at", pair.Leaf.NotAfter)
	}
	h.tls.Store(c)
	return nil
}

// tlsConfig gives each new connection the certificate that is in force then.
func (h *Host) tlsConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return h.tls.Load(), nil }}
}

// StoredTokens works on the tokens of a data directory whose host is stopped: do gets what
// makes, lists and revokes them.
func StoredTokens(ctx context.Context, dataDir string, do func(Tokens) error) (err error) {
	store, err := sqlite.Open(ctx, dataDir, sqlite.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	access, err := identity.NewAccess(ctx, store, source(), identity.Settings{})
	if err != nil {
		return err
	}
	return do(Tokens{access, store})
}

// Tokens are the tokens of a host that is stopped.
type Tokens struct {
	*identity.Access
	store identity.Store
}

// Revoke removes a token, the last one too.
func (t Tokens) Revoke(ctx context.Context, id task.ID) error {
	if err := t.store.DeleteToken(ctx, id); err != nil {
		return err
	}
	return t.note(ctx, "revokeToken", "/v1/tokens/"+id.String(), 204)
}

// Create makes a token.
func (t Tokens) Create(ctx context.Context, s identity.Spec) (identity.Token, string, error) {
	n, secret, err := t.Access.Create(ctx, s)
	if err == nil {
		err = t.note(ctx, "createToken", "/v1/tokens", 201)
	}
	return n, secret, err
}

// note writes down what somebody did who may write the data directory.
func (t Tokens) note(ctx context.Context, action, target string, status int) error {
	id, err := engine.NewID()
	if err != nil {
		return err
	}
	user := os.Getenv("USER")
	if user == "" {
		user = fmt.Sprint("uid ", os.Getuid())
	}
	return t.store.AppendEvents(ctx, []identity.Event{{ID: id, At: time.Now(), Name: user, Owner: identity.DefaultOwner, Role: identity.Admin, By: identity.ByFile,
		Address: netip.IPv6Loopback().String(), Action: action, Target: target, Status: status}})
}

// noteGlanceTask writes down that somebody submitted a task at /v2/tasks.
func (h *Host) noteGlanceTask(r *http.Request, who identity.Caller, requestID string) {
	if !h.access.Guarded() {
		return
	}
	e := identity.Event{Name: who.Name, Owner: who.Owner, Role: who.Role, By: who.By, Token: who.Token, Address: server.AddressOf(r).String(), RequestID: requestID,
		Action: "submitTask", Target: r.URL.Path, Status: http.StatusCreated}
	if err := h.access.Note(context.WithoutCancel(r.Context()), e); err != nil {
		h.log.Error("a change is missing in the audit", "path", r.URL.Path, "error", err)
	}
}
