package sdk

import (
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// How a plugin process ends.
const (
	parentEvery  = 500 * time.Millisecond // how often it looks whether its host lives
	hostlessFor  = 15 * time.Second       // without a stream, where it is not to survive
	unclaimedFor = time.Minute            // before the first stream
	idleFor      = time.Minute            // without a host and with nothing kept, where it is
	drainFor     = 10 * time.Second       // after SIGTERM, before attempts are stopped
	stopFor      = 2 * time.Second        // for attempts to return once they are stopped
	afterStopFor = time.Second            // after go-plugin's Shutdown, which kills after two
)

// Serve makes this program the plugin p and returns when the host has ended it;
// main has nothing to do after it. The process ends by itself when its host is
// gone, unless the host told it to survive. SIGINT is left to the host (a
// terminal sends it to both). SIGTERM drains for ten seconds, of which the host is
// told, so that it starts a successor; then what still runs is stopped.
//
// Unless GOGC is set, or a memory limit (GOMEMLIMIT, debug.SetMemoryLimit), Serve holds 16 MiB
// of the heap that are never touched, and so are no memory of the machine's. The garbage collector takes
// them for in use: it lets at least as much garbage gather before it runs, where it would run for each
// 4 MiB. A plugin whose own data are large notices nothing of it.
func Serve(p Plugin) {
	p.Name = filepath.Base(os.Args[0]) // as the operator has to write it
	h := Handshake()
	if os.Getenv(h.MagicCookieKey) != h.MagicCookieValue {
		fmt.Fprintf(os.Stderr, "%s %s is an executor plugin of taskhost and is started by the host, not by hand.\n"+
			"Put this file into the host's plugin_dir and name it, by its file's name, in the host's config:\n\n"+
			"\texecutor \"NAME\" {\n\t\tplugin = %q\n\t}\n\n"+
			"Whether it is fit for a host, `taskhost plugin check %s` says.\n", p.Name, p.Version, p.Name, os.Args[0])
		os.Exit(2)
	}
	ballast := gcBallast()
	defer runtime.KeepAlive(ballast)
	// A process that outlives its host would die of its next line to stderr.
	signal.Ignore(syscall.SIGPIPE)
	signal.Ignore(syscall.SIGINT)
	stderr := os.Stderr
	s := newServer(p)
	s.log = ReadableLog(hclog.New(&hclog.LoggerOptions{Name: p.Name, Level: hclog.Debug, Output: stderr, JSONFormat: true}))
	s.beforeNew = func() {
		// go-plugin reads the process's prints through pipes and a stream of its
		// own, and they block when no host takes them. Standard error is read by
		// the host as it is, and does not.
		os.Stdout = stderr
		os.Stderr = stderr
	}
	process := &process{server: s}
	go process.watch(os.Getppid())
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: h,
		Plugins:         plugin.PluginSet{PluginKey: &pluginSide{server: s}},
		GRPCServer:      process.grpcServer,
		Logger:          hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: stderr, JSONFormat: true}),
	})
	s.drain()
	s.stopAll(ErrDetach, true)
	s.waitReturned(afterStopFor)
	s.mu.Lock()
	exec := s.exec
	s.mu.Unlock()
	if c, ok := exec.(io.Closer); ok {
		if err := c.Close(); err != nil {
			s.log.Error("closing the executor", "error", err)
		}
	}
}

// gcBallast is what Serve holds of the heap. Each attempt leaves a few kilobytes behind, and a
// process that keeps little would spend a fifth of its time on collections.
func gcBallast() []byte {
	if os.Getenv("GOGC") != "" || debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return nil
	}
	return make([]byte, 16<<20)
}

// waitReturned gives attempts that were told to stop this long to return.
func (s *server) waitReturned(d time.Duration) {
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(d):
	}
}

// awaitHost gives the host, if one listens, this long to end the process: it was told
// that it drains, and would take an end before it has heard that for a death.
func (s *server) awaitHost(d time.Duration) {
	s.mu.Lock()
	sess := s.session
	s.mu.Unlock()
	if sess == nil {
		return
	}
	select {
	case <-sess.ctx.Done():
	case <-time.After(d):
	}
}

// process watches over a plugin process and ends it.
type process struct {
	server *server
	mu     sync.Mutex
	grpc   *grpc.Server
}

// grpcServer is called by go-plugin with its TLS.
func (p *process) grpcServer(opts []grpc.ServerOption) *grpc.Server {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grpc = PluginGRPCServer(opts)
	return p.grpc
}

// watch ends the process on SIGTERM, or when its host is gone. parent is the
// host's pid: a child whose parent dies gets another one. Polling sees that
// whatever way the host ended; a signal on the parent's death is sent when the
// *thread* that forked ends, which in Go may be any time.
func (p *process) watch(parent int) {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	tick := time.NewTicker(parentEvery)
	defer tick.Stop()
	var orphaned time.Time
	for {
		select {
		case <-term:
			p.server.log.Info("SIGTERM: draining", "at_most", drainFor.String())
			select {
			case <-p.server.drainUnasked():
			case <-time.After(drainFor):
			}
			p.server.awaitHost(stopFor)
			p.end()
			return
		case <-tick.C:
		}
		if os.Getppid() == parent {
			orphaned = time.Time{}
		} else if orphaned.IsZero() {
			orphaned = time.Now()
		}
		if why := p.server.shouldEnd(orphaned, time.Now()); why != "" {
			p.server.log.Info("ending", "because", why)
			p.end()
			return
		}
	}
}

// shouldEnd says why the process has no more reason to be, or "".
func (s *server) shouldEnd(orphaned, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	hostless := s.session == nil && !s.configuring
	if !s.survives() {
		switch {
		case !orphaned.IsZero():
			return "the host is gone"
		case hostless && s.hadSession && now.Sub(s.hostlessSince) > hostlessFor:
			return "the host has not come back"
		case hostless && now.Sub(s.hostlessSince) > unclaimedFor: // it died before its pid could be read
			return "no host has come"
		}
		return ""
	}
	if !orphaned.IsZero() && s.session == nil && len(s.attempts) == 0 &&
		now.Sub(orphaned) > idleFor && now.Sub(s.hostlessSince) > idleFor {
		return "the host is gone and nothing is left to keep for it"
	}
	return ""
}

// end stops the attempts, lets a host that is still there hear of it, and has
// Serve return.
func (p *process) end() {
	emptied := p.server.drain()
	p.server.mu.Lock()
	alone := p.server.session == nil
	p.server.mu.Unlock()
	p.server.stopAll(ErrDetach, alone)
	p.server.waitReturned(stopFor)
	if !alone {
		select {
		case <-emptied:
		case <-time.After(stopFor):
		}
	}
	p.mu.Lock()
	server := p.grpc
	p.mu.Unlock()
	if server != nil {
		server.Stop() // go-plugin removes its socket and returns
		time.Sleep(stopFor)
	}
	os.Exit(1) // it did not
}
