package identity

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

var start = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func TestRoles(t *testing.T) {
	for _, c := range []struct {
		role, least Role
		want        bool
	}{
		{Admin, Admin, true}, {Admin, Viewer, true}, {Operator, Admin, false}, {Operator, Operator, true}, {Member, Operator, false}, {Member, Member, true},
		{Viewer, Member, false}, {Viewer, Viewer, true}, {"", Viewer, false}, {"root", Viewer, false},
	} {
		if got := c.role.May(c.least); got != c.want {
			t.Errorf("%q may what needs %q: %v", c.role, c.least, got)
		}
	}
	for role, all := range map[Role]bool{Viewer: false, Member: false, Operator: true, Admin: true} {
		if s := (&Caller{Owner: "o", Role: role}).Scope(); s.All != all || s.Owner != "o" {
			t.Errorf("%s sees %+v", role, s)
		}
	}
}

func TestNewToken(t *testing.T) {
	good := Spec{Name: "ci", Owner: "ann", Role: Member}
	for name, c := range map[string]struct {
		change func(*Spec)
		field  string
	}{
		"good":              {func(*Spec) {}, ""},
		"ends":              {func(s *Spec) { s.ExpiresAt = start.Add(time.Second) }, ""},
		"no name":           {func(s *Spec) { s.Name = "" }, "name"},
		"long name":         {func(s *Spec) { s.Name = strings.Repeat("é", 101) }, "name"},
		"name of a hundred": {func(s *Spec) { s.Name = strings.Repeat("é", 100) }, ""},
		"lines":             {func(s *Spec) { s.Name = "a\nb" }, "name"},
		"spaces":            {func(s *Spec) { s.Name = " a" }, "name"},
		"no owner":          {func(s *Spec) { s.Owner = "" }, "owner"},
		"long owner":        {func(s *Spec) { s.Owner = strings.Repeat("a", 256) }, "owner"},
		"no role":           {func(s *Spec) { s.Role = "" }, "role"},
		"other role":        {func(s *Spec) { s.Role = "root" }, "role"},
		"ended":             {func(s *Spec) { s.ExpiresAt = start }, "expires_at"},
		"ends never":        {func(s *Spec) { s.ExpiresAt = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) }, "expires_at"},
	} {
		s := good
		c.change(&s)
		got, err := NewToken(task.ID{1}, s, "x", start)
		if c.field == "" {
			if err != nil || got.Name != s.Name || got.Hash != sha256.Sum256([]byte("x")) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
			continue
		}
		e, ok := err.(*task.Error)
		if !ok || e.Code != task.CodeInvalidRequest || len(e.Fields) != 1 || e.Fields[0].Path[0] != c.field {
			t.Errorf("%s: %+v, want a fault of %s", name, err, c.field)
		}
	}
}

// memory is a store in memory.
type memory struct {
	Store
	tokens []Token
	events []Event
	fail   error
}

func (m *memory) Tokens(context.Context) ([]Token, error) { return m.tokens, m.fail }
func (m *memory) InsertToken(_ context.Context, t Token) error {
	if m.fail == nil {
		m.tokens = append(m.tokens, t)
	}
	return m.fail
}
func (m *memory) DeleteToken(context.Context, task.ID) error { return m.fail }
func (m *memory) UseTokens(_ context.Context, used map[task.ID]time.Time) error {
	for id, at := range used {
		i := slices.IndexFunc(m.tokens, func(t Token) bool { return t.ID == id })
		m.tokens[i].UsedAt = at
	}
	return m.fail
}
func (m *memory) AppendEvents(_ context.Context, e []Event) error {
	if m.fail == nil {
		m.events = append(m.events, e...)
	}
	return m.fail
}
func (m *memory) ForgetEvents(context.Context, time.Time, int) (int, error) { return 0, m.fail }

// clockwork is an Access whose time is the test's.
type clockwork struct {
	*Access
	store *memory
	now   time.Time
	ids   byte
}

func newClockwork(t *testing.T, s Settings) *clockwork {
	c := &clockwork{store: &memory{}, now: start}
	a, err := NewAccess(t.Context(), c.store, Source{Now: func() time.Time { return c.now },
		ID:     func() (task.ID, error) { c.ids++; return task.ID{c.ids}, nil },
		Random: func(b []byte) (int, error) { b[0] = c.ids; return len(b), nil }}, s)
	if err != nil {
		t.Fatal(err)
	}
	c.Access = a
	return c
}

func (c *clockwork) make(t *testing.T, role Role, ends time.Time) (Token, string) {
	t.Helper()
	n, secret, err := c.Create(t.Context(), Spec{Name: fmt.Sprint("t", c.ids), Owner: "ann", Role: role, ExpiresAt: ends})
	if err != nil {
		t.Fatal(err)
	}
	return n, secret
}

func (c *clockwork) who(from, secret string) (Caller, error) {
	who, _, err := c.Caller(Credentials{Address: netip.MustParseAddr(from), Secret: secret, Header: func(string) string { return "" }})
	return who, err
}

func TestWhoCalls(t *testing.T) {
	c := newClockwork(t, Settings{})
	if who, err := c.who("127.0.0.1", ""); err != nil || who.Role != Admin || who.Owner != DefaultOwner {
		t.Errorf("an open host's machine: %+v, %v", who, err)
	}
	if _, err := c.who("192.0.2.1", ""); task.CodeOf(err) != task.CodeUnauthenticated {
		t.Errorf("a stranger at an open host: %v", err)
	}
	if _, _, err := c.Create(t.Context(), Spec{Name: "m", Owner: "ann", Role: Member}); task.CodeOf(err) != task.CodeConflict {
		t.Errorf("a first token that is no admin's: %v", err)
	}
	admin, adminSecret := c.make(t, Admin, time.Time{})
	_, ends := c.make(t, Member, start.Add(time.Hour))
	if _, err := c.who("127.0.0.1", ""); task.CodeOf(err) != task.CodeUnauthenticated {
		t.Errorf("the machine, once there is a token: %v", err)
	}
	who, err := c.who("192.0.2.1", ends)
	if err != nil || who.Owner != "ann" || who.Role != Member || who.By != ByToken {
		t.Errorf("a token: %+v, %v", who, err)
	}
	for _, wrong := range []string{ends[:len(ends)-1], ends + "0", strings.ToUpper(ends), "x"} {
		if _, err := c.who("192.0.2.1", wrong); task.CodeOf(err) != task.CodeUnauthenticated {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	c.now = start.Add(time.Hour)
	if _, err := c.who("192.0.2.1", ends); task.CodeOf(err) != task.CodeUnauthenticated {
		t.Errorf("a token that has ended: %v", err)
	}
	if err := c.Revoke(t.Context(), admin.ID); task.CodeOf(err) != task.CodeConflict {
		t.Errorf("the last admin's is revoked: %v", err)
	}
	other, _ := c.make(t, Admin, time.Time{})
	if who, err = c.who("192.0.2.1", adminSecret); err != nil {
		t.Fatal(err)
	}
	if err := c.Revoke(t.Context(), admin.ID); err != nil || who.Life.Err() == nil {
		t.Errorf("an admin's is revoked: %v, and what it held goes on", err)
	}
	if _, err := c.who("192.0.2.1", adminSecret); task.CodeOf(err) != task.CodeUnauthenticated {
		t.Errorf("a revoked token: %v", err)
	}
	if err := c.Revoke(t.Context(), other.ID); task.CodeOf(err) != task.CodeConflict {
		t.Errorf("the last admin's is revoked: %v", err)
	}
}

func TestAnonymous(t *testing.T) {
	c := newClockwork(t, Settings{AnonymousLoopback: true})
	c.make(t, Admin, time.Time{})
	if who, err := c.who("::1", ""); err != nil || who.By != ByMachine {
		t.Errorf("the machine: %+v, %v", who, err)
	}
	if _, err := c.who("127.0.0.1", Secret([SecretBytes]byte{9})); task.CodeOf(err) != task.CodeUnauthenticated {
		t.Errorf("a wrong secret from the machine: %v", err)
	}
	if _, err := c.who("192.0.2.1", ""); task.CodeOf(err) != task.CodeUnauthenticated {
		t.Errorf("a stranger: %v", err)
	}
}

func TestCertificates(t *testing.T) {
	c := newClockwork(t, Settings{Certificates: true, CertificateRole: Member, CertificateRoles: map[string]Role{"ops": Admin}})
	for name, want := range map[string]Role{"ops": Admin, "ann": Member} {
		who, _, err := c.Caller(Credentials{Address: netip.MustParseAddr("192.0.2.1"), Certificate: name})
		if err != nil || who.Owner != name || who.Role != want || who.By != ByCertificate {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
	if _, err := c.who("127.0.0.1", ""); task.CodeOf(err) != task.CodeUnauthenticated {
		t.Errorf("who shows none, on the machine: %v", err)
	}
}

// Wrong secrets are answered later and later, by address; who knows one never waits.
func TestGuessesAreSlowed(t *testing.T) {
	c := newClockwork(t, Settings{})
	_, secret := c.make(t, Admin, time.Time{})
	guess := func(from, secret string) time.Duration {
		_, wait, _ := c.Caller(Credentials{Address: netip.MustParseAddr(from), Secret: secret})
		return wait
	}
	var waits []time.Duration
	for range 14 {
		waits = append(waits, guess("2001:db8::1", "wrong"))
	}
	ms := time.Millisecond
	if want := []time.Duration{0, 0, 0, 0, 0, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5000 * ms, 5000 * ms, 5000 * ms}; !slices.Equal(waits, want) {
		t.Errorf("waits %v, want %v", waits, want)
	}
	for _, c := range []struct {
		from, secret string
		slow         bool
	}{{"2001:db8::2", "wrong", true}, {"2001:db8:0:1::1", "wrong", false}, {"2001:db8::1", secret, false}, {"192.0.2.1", "wrong", false}} {
		if got := guess(c.from, c.secret) > 0; got != c.slow {
			t.Errorf("%s is slowed: %v", c.from, got)
		}
	}
	c.now = c.now.Add(forgetAfter + time.Second)
	if guess("2001:db8::1", "wrong") != 0 {
		t.Error("guesses are remembered for ever")
	}
	for i := range 3 * maxGuessers {
		guess(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String(), "wrong")
	}
	if n := len(c.throttle.by); n > maxGuessers {
		t.Errorf("%d addresses are remembered", n)
	}
}

// What could not be written is written later, what waits when the end comes then, and the
// use of a token once a minute.
func TestEventsAreWritten(t *testing.T) {
	c := newClockwork(t, Settings{})
	_, secret := c.make(t, Admin, time.Time{})
	if _, err := c.who("192.0.2.1", secret); err != nil {
		t.Fatal(err)
	}
	c.store.fail = task.Errorf(task.CodeStoreFull, "no")
	warned := make(chan error, 10)
	ticks := make(chan time.Time)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); c.Run(ctx, ticks, time.Hour, func(err error) { warned <- err }) }()
	for i := range 3 {
		if err := c.Note(t.Context(), Event{Action: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			<-warned
		}
	}
	c.store.fail = nil
	ticks <- start
	ticks <- start // what the first asked for is done
	if err := c.Note(t.Context(), Event{Action: "last"}); err != nil {
		t.Fatal(err)
	}
	stop()
	<-ended
	var got []string
	for _, e := range c.store.events {
		got = append(got, e.Action)
	}
	if !slices.Equal(got, []string{"0", "1", "2", "last"}) {
		t.Errorf("written: %q", got)
	}
	if used := c.store.tokens[0].UsedAt; !used.Equal(start) {
		t.Errorf("the token was used at %v", used)
	}
}
