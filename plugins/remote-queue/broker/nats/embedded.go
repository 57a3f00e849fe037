package natsbroker

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/taskhost/taskhost/plugins/remote-queue/config"
)

// maxPayload is what a message of the embedded broker may hold: enough for a
// checkpoint of full size with all around it. Other brokers have their own bound.
const maxPayload = 4 << 20

// embeddedServer is the embedded NATS server.
type embeddedServer struct {
	server *server.Server
	secret string // of the host's own connection; changes with each start
}

// startServer runs a server in this process, its data in dir, and writes the join
// file there.
func startServer(c *config.Executor, dir string, log hclog.Logger) (*embeddedServer, error) {
	join, err := config.ReadJoin(filepath.Join(dir, config.JoinFile))
	if err != nil {
		join = config.JoinInfo{Token: rand.Text()} // a new directory, or a file that nobody could join by
	}
	b := &embeddedServer{secret: rand.Text()}
	auth := &workerAuth{names: Subjects{c.Queue}, hostSecret: b.secret, joinToken: join.Token,
		sharedToken: c.Token, tokenByName: c.WorkerTokens}
	auth.openToAll = c.OpenToAll()
	opts := &server.Options{
		ServerName: "taskhost-" + c.Queue, NoSigs: true, MaxPayload: maxPayload, MaxPending: 256 << 20,
		JetStream: true, StoreDir: filepath.Join(dir, "jetstream"), JetStreamMaxMemory: max(c.MaxBytes, 1<<30),
		JetStreamMaxStore: 1 << 30, CustomClientAuthentication: auth,
	}
	if opts.TLSConfig, err = serverTLS(c); err != nil {
		return nil, err
	}
	if err := b.listen(c, opts, join, log); err != nil {
		return nil, err
	}
	join.Queue, join.URL, join.CA = c.Queue, b.joinURL(opts.TLSConfig != nil), c.CA
	if err := config.WriteJoin(filepath.Join(dir, config.JoinFile), join); err != nil {
		b.stop()
		return nil, err
	}
	return b, nil
}

// listen starts the server where the config says, or else on the loopback port it
// had before, so that workers find it again, or else on any.
func (b *embeddedServer) listen(c *config.Executor, opts *server.Options, last config.JoinInfo, log hclog.Logger) error {
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
	opts.Host = "127.0.0.1"
	opts.Port = server.RANDOM_PORT
	if _, port, err := net.SplitHostPort(config.WithoutScheme(last.URL)); err == nil {
		if l, err := net.Listen("tcp", net.JoinHostPort(opts.Host, port)); err == nil {
			_ = l.Close() // only to see that it is free
			opts.Port, _ = strconv.Atoi(port)
		}
	}
	return b.start(opts, log)
}

func (b *embeddedServer) start(opts *server.Options, log hclog.Logger) error {
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
	srv.SetLoggerV2(&serverLog{log}, false, false, false)
	srv.Start()
	if !srv.ReadyForConnections(20 * time.Second) {
		srv.Shutdown()
		srv.WaitForShutdown()
		return errors.New("embedded broker: it did not begin to listen; its log says why")
	}
	b.server = srv
	return nil
}

func (b *embeddedServer) joinURL(secure bool) string {
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

func (b *embeddedServer) stop() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

func serverTLS(c *config.Executor) (*tls.Config, error) {
	if c.Cert == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(string(c.Cert), string(c.Key))
	if err != nil {
		return nil, fmt.Errorf("cert and key: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}

// serverLog passes the server's lines on. Its notices are of interest only to
// those who look for a fault.
type serverLog struct{ log hclog.Logger }

func (l *serverLog) Noticef(f string, v ...any) { l.log.Trace("broker: " + fmt.Sprintf(f, v...)) }
func (l *serverLog) Warnf(f string, v ...any)   { l.log.Warn("broker: " + fmt.Sprintf(f, v...)) }
func (l *serverLog) Fatalf(f string, v ...any)  { l.log.Error("broker: " + fmt.Sprintf(f, v...)) }
func (l *serverLog) Errorf(f string, v ...any)  { l.log.Error("broker: " + fmt.Sprintf(f, v...)) }
func (l *serverLog) Debugf(f string, v ...any)  { l.log.Trace("broker: " + fmt.Sprintf(f, v...)) }
func (l *serverLog) Tracef(f string, v ...any)  { l.log.Trace("broker: " + fmt.Sprintf(f, v...)) }
