package identity

import (
	"context"
	"crypto/subtle"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Settings are the operator's word on who may call.
type Settings struct {
	// AnonymousLoopback lets whoever calls from the host's own machine, and says nothing of
	// who they are, be its admin, though there are tokens.
	AnonymousLoopback bool
	Proxies           Proxies
	// Certificates says that client certificates are checked, and tell who calls: their
	// common name is the owner.
	Certificates bool
	// CertificateRole is the role of those that CertificateRoles does not name.
	CertificateRole  Role
	CertificateRoles map[string]Role
}

// Credentials are what a request says of who sent it.
type Credentials struct {
	Address     netip.Addr          // whom the connection is from
	Secret      string              // of a token; "" for none
	Certificate string              // the common name of a client certificate that was verified; "" for none
	Header      func(string) string // what a proxy may have set
}

// Source is the time and the chance that an Access needs.
type Source struct {
	Now    func() time.Time
	ID     func() (task.ID, error)
	Random func([]byte) (int, error) // fills what it is given with bytes that nobody can guess
}

// Access knows the tokens, tells who calls, and writes down what was changed. Make it with
// NewAccess; it may be used from many goroutines.
type Access struct {
	store    Store
	source   Source
	settings Settings
	events   chan Event

	mu       sync.RWMutex
	byHash   map[[32]byte]*entry
	byID     map[task.ID]*entry
	throttle throttle
	used     map[task.ID]time.Time // since it was last written
}

// entry is a token that is there.
type entry struct {
	token  Token
	life   context.Context
	revoke context.CancelFunc
}

// NewAccess reads the tokens that store has.
func NewAccess(ctx context.Context, store Store, source Source, s Settings) (*Access, error) {
	tokens, err := store.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	a := &Access{store: store, source: source, settings: s, events: make(chan Event, maxUnwritten), byHash: map[[32]byte]*entry{}, byID: map[task.ID]*entry{}, used: map[task.ID]time.Time{}}
	for _, t := range tokens {
		a.add(t)
	}
	return a, nil
}

func (a *Access) add(t Token) {
	e := &entry{token: t}
	e.life, e.revoke = context.WithCancel(context.Background())
	a.byHash[t.Hash] = e
	a.byID[t.ID] = e
}

// Guarded says whether callers must say who they are: there is a token, or another way to be known.
func (a *Access) Guarded() bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.guarded()
}

func (a *Access) guarded() bool {
	return len(a.byID) > 0 || a.settings.Certificates || a.settings.Proxies.Any()
}

// Anonymous says whether a request that says nothing of its sender is let in from that address.
func (a *Access) Anonymous(from netip.Addr) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return from.Unmap().IsLoopback() && (!a.guarded() || a.settings.AnonymousLoopback)
}

// Caller is who sent a request. An error has the code unauthenticated or forbidden; its answer
// is to be held back for the time that wait says.
func (a *Access) Caller(c Credentials) (who Caller, wait time.Duration, err error) {
	if a.settings.Proxies.trusts(&c) {
		if who, said, err := vouched(c.Header); said {
			return who, 0, err
		}
	}
	switch {
	case c.Secret != "":
		now := a.source.Now()
		if who, ok := a.byToken(c.Secret, now); ok {
			return who, 0, nil
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		return Caller{}, a.throttle.wrong(c.Address, now), task.Errorf(task.CodeUnauthenticated, "the token is not known here: it is wrong, expired or revoked")
	case c.Certificate != "" && a.settings.Certificates:
		return a.byCertificate(c.Certificate), 0, nil
	case a.Anonymous(c.Address):
		return Machine(), 0, nil
	}
	return Caller{}, 0, task.Errorf(task.CodeUnauthenticated, "say who you are: send a token, Authorization: Bearer TOKEN or X-Auth-Token: TOKEN")
}

func (a *Access) byToken(secret string, now time.Time) (Caller, bool) {
	if !secretForm.MatchString(secret) {
		return Caller{}, false
	}
	hash := Hash(secret)
	a.mu.RLock()
	e := a.byHash[hash]
	fresh := e != nil && now.Sub(a.used[e.token.ID]) < time.Minute
	a.mu.RUnlock()
	if e == nil || subtle.ConstantTimeCompare(e.token.Hash[:], hash[:]) != 1 || e.token.Expired(now) {
		return Caller{}, false
	}
	if !fresh {
		a.mu.Lock()
		a.used[e.token.ID] = now
		a.mu.Unlock()
	}
	t := &e.token
	return Caller{Name: t.Name, Owner: t.Owner, Role: t.Role, By: ByToken, Token: t.ID, ExpiresAt: t.ExpiresAt, Life: e.life}, true
}

func (a *Access) byCertificate(name string) Caller {
	role := a.settings.CertificateRole
	if r, ok := a.settings.CertificateRoles[name]; ok {
		role = r
	}
	return Caller{Name: name, Owner: name, Role: role, By: ByCertificate}
}

// Create makes a token on record, and gives it with its secret, which nobody can be told again.
// The first must be an admin's, or nobody could make another.
func (a *Access) Create(ctx context.Context, s Spec) (t Token, secret string, err error) {
	var random [SecretBytes]byte
	if _, err := a.source.Random(random[:]); err != nil {
		return Token{}, "", err
	}
	id, err := a.source.ID()
	if err != nil {
		return Token{}, "", err
	}
	secret = Secret(random)
	if t, err = NewToken(id, s, secret, a.source.Now()); err != nil {
		return Token{}, "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if t.Role != Admin && !a.guarded() {
		return Token{}, "", task.Errorf(task.CodeConflict, "the first token must have the role admin: from then on only an admin can make others")
	}
	if err := a.store.InsertToken(ctx, t); err != nil {
		return Token{}, "", err
	}
	a.add(t)
	return t, secret, nil
}

// Token is the token of that id; not_found if there is none.
func (a *Access) Token(id task.ID) (Token, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if e := a.byID[id]; e != nil {
		return a.shown(e), nil
	}
	return Token{}, task.Errorf(task.CodeNotFound, "there is no token %s", id)
}

// Tokens are all tokens, newest first, with when they were last used.
func (a *Access) Tokens() []Token {
	a.mu.RLock()
	defer a.mu.RUnlock()
	out := make([]Token, 0, len(a.byID))
	for _, e := range a.byID {
		out = append(out, a.shown(e))
	}
	slices.SortFunc(out, func(x, y Token) int { return strings.Compare(y.ID.String(), x.ID.String()) })
	return out
}

// shown is a token with when it was last used; a.mu is held.
func (a *Access) shown(e *entry) Token {
	t := e.token
	if used := a.used[t.ID]; used.After(t.UsedAt) {
		t.UsedAt = used.Truncate(time.Minute)
	}
	return t
}

// Revoke removes a token: its streams end now. The last admin's cannot be revoked while the
// host runs, since it could not be undone.
func (a *Access) Revoke(ctx context.Context, id task.ID) error {
	now := a.source.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.byID[id]
	if e == nil {
		return task.Errorf(task.CodeNotFound, "there is no token %s", id)
	}
	if e.token.Role == Admin && !e.token.Expired(now) && !a.otherAdmin(id, now) {
		return task.Errorf(task.CodeConflict, "token %s is the last of an admin: make another first, or revoke it in the data directory while the host is stopped", id)
	}
	if err := a.store.DeleteToken(ctx, id); err != nil && task.CodeOf(err) != task.CodeNotFound {
		return err
	}
	delete(a.byID, id)
	delete(a.byHash, e.token.Hash)
	delete(a.used, id)
	e.revoke()
	return nil
}

func (a *Access) otherAdmin(but task.ID, now time.Time) bool {
	for id, e := range a.byID {
		if id != but && e.token.Role == Admin && !e.token.Expired(now) {
			return true
		}
	}
	return false
}

// writeUsed writes when tokens were last used, of those used since it last did.
func (a *Access) writeUsed(ctx context.Context) error {
	a.mu.Lock()
	used := map[task.ID]time.Time{}
	for id, at := range a.used {
		if e := a.byID[id]; e != nil && at.Truncate(time.Minute).After(e.token.UsedAt) {
			used[id] = at.Truncate(time.Minute)
		}
	}
	a.mu.Unlock()
	if len(used) == 0 {
		return nil
	}
	if err := a.store.UseTokens(ctx, used); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, at := range used {
		if e := a.byID[id]; e != nil {
			e.token.UsedAt = at
		}
	}
	return nil
}
