package remotequeue

import (
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/nats-io/nats-server/v2/server"
)

// maxPayload is what a message of the embedded broker may hold: enough for a
// checkpoint of full size with all around it. Other brokers have their own bound.
const maxPayload = 4 << 20

// hostUser is how the host itself logs in to its embedded broker.
const hostUser = "taskhost"

// embeddedBroker is the embedded NATS server.
type embeddedBroker struct {
	server *server.Server
	secret string // of the host's own connection; changes with each start
}

// startBroker runs a server in this process, its data in dir, and writes the join
// file there.
func startBroker(c *config, dir string, log hclog.Logger) (*embeddedBroker, error) {
	join, err := readJoin(filepath.Join(dir, joinFile))
	if err != nil {
		join = joinInfo{Token: rand.Text()} // a new directory, or a file that nobody could join by
	}
	b := &embeddedBroker{secret: rand.Text()}
	auth := &workerAuth{names: subjects{c.Queue}, hostSecret: b.secret, joinToken: join.Token,
		sharedToken: c.Token, tokenByName: c.WorkerTokens}
	auth.openToAll = c.openToAll()
	opts := &server.Options{
		ServerName: "taskhost-" + c.Queue, NoSigs: true, MaxPayload: maxPayload, MaxPending: 256 << 20,
		JetStream: true, StoreDir: filepath.Join(dir, "jetstream"), JetStreamMaxMemory: 64 << 20,
		JetStreamMaxStore: max(c.MaxBytes, 1<<30), CustomClientAuthentication: auth,
	}
	if opts.TLSConfig, err = serverTLS(c); err != nil {
		return nil, err
	}
	if err := b.listen(c, opts, join, log); err != nil {
		return nil, err
	}
	join.Queue, join.URL, join.CA = c.Queue, b.joinURL(opts.TLSConfig != nil), c.CA
	if err := writeJoin(filepath.Join(dir, joinFile), join); err != nil {
		b.stop()
		return nil, err
	}
	return b, nil
}

// listen starts the server where the config says, or else on the loopback port it
// had before, so that workers find it again, or else on any.
func (b *embeddedBroker) listen(c *config, opts *server.Options, last joinInfo, log hclog.Logger) error {
	if c.Listen != "" {
		host, port, err := net.SplitHostPort(c.Listen)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		if opts.Port, err = strconv.Atoi(port); err != nil {
			return fmt.Errorf("listen %q: the port is no number", c.Listen)
		}
		if opts.Host = host; opts.Port == 0 {
			opts.Port = server.RANDOM_PORT
		}
		return b.start(opts, log)
	}
	opts.Host, opts.Port = "127.0.0.1", server.RANDOM_PORT
	if _, port, err := net.SplitHostPort(withoutScheme(last.URL)); err == nil {
		if l, err := net.Listen("tcp", net.JoinHostPort(opts.Host, port)); err == nil {
			_ = l.Close() // only to see that it is free
			opts.Port, _ = strconv.Atoi(port)
		}
	}
	return b.start(opts, log)
}

func (b *embeddedBroker) start(opts *server.Options, log hclog.Logger) error {
	// A port that is taken is fatal to the server, which says so to its logger
	// only, long after it began: ask first.
	if opts.Port > 0 {
		l, err := net.Listen("tcp", net.JoinHostPort(opts.Host, strconv.Itoa(opts.Port)))
		if err != nil {
			return fmt.Errorf("embedded broker: %w", err)
		}
		_ = l.Close()
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("embedded broker: %w", err)
	}
	srv.SetLoggerV2(&brokerLog{log}, false, false, false)
	srv.Start()
	if !srv.ReadyForConnections(20 * time.Second) {
		srv.Shutdown()
		srv.WaitForShutdown()
		return errors.New("embedded broker: it did not begin to listen; its log says why")
	}
	b.server = srv
	return nil
}

func (b *embeddedBroker) joinURL(secure bool) string {
	host, port, _ := net.SplitHostPort(b.server.Addr().String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "nats://"
	if secure {
		scheme = "tls://"
	}
	return scheme + net.JoinHostPort(host, port)
}

func (b *embeddedBroker) stop() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

func serverTLS(c *config) (*tls.Config, error) {
	if c.Cert == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("cert and key: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}

func withoutScheme(url string) string {
	_, rest, ok := strings.Cut(url, "://")
	if !ok {
		return url
	}
	return rest
}

// workerAuth lets workers in and holds each to the subjects of its name: one can
// neither speak as another nor read what another is told.
type workerAuth struct {
	names       subjects
	hostSecret  string            // the host's own secret
	joinToken   string            // the join file's: any name
	sharedToken string            // any name
	tokenByName map[string]string // that name only
	openToAll   bool              // loopback without any token: any name
}

// Check is the server's question about a new connection. A worker's user is its
// name and its password the token.
func (a *workerAuth) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	if equalSecrets(o.Password, a.hostSecret) && o.Username == hostUser {
		return true
	}
	if !workerName.MatchString(o.Username) {
		return false
	}
	own, named := a.tokenByName[o.Username]
	switch {
	case equalSecrets(o.Password, a.joinToken), a.openToAll:
	case named && equalSecrets(o.Password, own):
	case !named && a.sharedToken != "" && equalSecrets(o.Password, a.sharedToken):
	default:
		return false
	}
	c.RegisterUser(&server.User{Username: o.Username, Permissions: a.permissions(o.Username)})
	return true
}

// permissions are all that a worker needs: it manages neither stream nor consumers.
func (a *workerAuth) permissions(worker string) *server.Permissions {
	n := a.names
	pub := append([]string{n.up(peer{worker, "*"}, "*"), n.pull("*")}, n.acks()...)
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: pub},
		Subscribe: &server.SubjectPermission{Allow: []string{n.down(peer{worker, "*"}), n.inbox(worker) + ".>"}},
	}
}

// equalSecrets compares secrets in constant time; an empty one matches nothing.
func equalSecrets(given, want string) bool {
	return want != "" && subtle.ConstantTimeCompare([]byte(given), []byte(want)) == 1
}

// brokerLog passes the server's lines on. Its notices are of interest only to
// those who look for a fault.
type brokerLog struct{ log hclog.Logger }

func (l *brokerLog) Noticef(f string, v ...any) { l.log.Debug("broker: " + fmt.Sprintf(f, v...)) }
func (l *brokerLog) Warnf(f string, v ...any)   { l.log.Warn("broker: " + fmt.Sprintf(f, v...)) }
func (l *brokerLog) Fatalf(f string, v ...any)  { l.log.Error("broker: " + fmt.Sprintf(f, v...)) }
func (l *brokerLog) Errorf(f string, v ...any)  { l.log.Error("broker: " + fmt.Sprintf(f, v...)) }
func (l *brokerLog) Debugf(f string, v ...any)  { l.log.Trace("broker: " + fmt.Sprintf(f, v...)) }
func (l *brokerLog) Tracef(f string, v ...any)  { l.log.Trace("broker: " + fmt.Sprintf(f, v...)) }
