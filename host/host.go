package host

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/board"
	"github.com/taskhost/taskhost/host/config"
	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/files"
	"github.com/taskhost/taskhost/host/glance"
	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// Options are what a host is made of. DataDir is required; the rest may be zero.
type Options struct {
	// DataDir holds the store and all other state, for this user alone: it is made
	// so, or closed to others if it holds nothing else. One host at a time: a second
	// is refused.
	DataDir string
	// Listen is the TCP address of the REST side; a port of 0 has the system choose, and
	// Addr tells. Empty serves none: the program uses Tasks. It must be loopback unless there
	// are tokens or Access says otherwise who calls.
	Listen string
	// TLS has the REST side speak HTTPS.
	TLS TLSFiles
	// Access is who may call the REST side, besides those with a token.
	Access identity.Settings
	// Glance is how the tasks are served to OpenStack's clients, at /v2/tasks.
	Glance glance.Settings
	// AuditRetain is how long it is kept who changed what. 0: 90 days.
	AuditRetain time.Duration
	// Builtins are the plugins that run in this process.
	Builtins []sdk.Plugin
	// ConfigDir is the folder against which relative paths in the executors' configs are
	// meant; empty leaves them to the plugins.
	ConfigDir string
	// Place says where in the operator's file a key stands, such as executor.local.slots, for
	// errors; "" if it does not. It may be nil.
	Place func(key string) string
	// PluginDirs hold the binaries of those that run in their own.
	PluginDirs []string
	// AllowWritablePlugins takes binaries that others than their owner may write, which
	// are refused otherwise: whoever may write one runs what they like as this host.
	AllowWritablePlugins bool
	// Executors in order: the first that offers a type serves it, unless Types
	// says otherwise. None: one of each built-in, by the plugin's name.
	Executors []task.ExecutorConfig
	// Types is the operator's word on task types.
	Types map[string]task.TypeConfig
	// Quotas bound what owners may have.
	Quotas task.Quotas
	// NoBoard leaves the plugin "board" out: a worker has none. A host has one, and an
	// executor of it that is listed once a type is placed there, if no block names it.
	NoBoard bool
	// Log gets the host's lines and the plugins'; nil discards them.
	Log hclog.Logger
	// Version is shown to operators.
	Version string
	// Strict refuses to open where Check finds a fault or an executor cannot be made.
	// Without it such an executor is shown with what is wrong and tried again, and the
	// others serve.
	Strict bool
	// PluginEnv names further variables of this process that plugins may see.
	PluginEnv []string
	// AcceptOlderStore opens a store that lacks work which was acknowledged: one put
	// back from a backup, or whose write-ahead log is gone. Without it Open refuses.
	AcceptOlderStore bool
	// DrainTimeout is how long Close lets attempts finish; CancelGrace how long
	// an attempt may take to stop when asked. 0: 5 s and 10 s.
	DrainTimeout, CancelGrace time.Duration
	// MaxLogLines and MaxLogBytes bound what is kept of what one attempt logs. 0: 10,000 lines
	// and 4 MiB.
	MaxLogLines, MaxLogBytes int64
}

// Host is a running task host. Make one with Open; Run serves its REST side;
// Close ends it.
type Host struct {
	opts     Options
	log      hclog.Logger
	store    *sqlite.Store
	set      *Executors
	board    *board.Board
	engine   *engine.Engine
	access   *identity.Access
	tls      atomic.Pointer[tls.Config]
	listener net.Listener
	server   *server.Server
	closing  sync.Once
	closed   error

	endAccess  context.CancelFunc
	accessEnds chan struct{} // closed when who changed what is written
}

// Open takes the data directory, ends what a dead host left behind, starts the
// executors and begins to dispatch. What it returns must be closed. Errors say
// what is wrong with which option; a store that fails its check is refused, never replaced.
func Open(ctx context.Context, o Options) (_ *Host, err error) {
	if o.DataDir == "" {
		return nil, errors.New("host: no data directory given")
	}
	o.Log = readableLog(o.Log)
	if o, err = o.absolute(); err != nil {
		return nil, err
	}
	h := &Host{opts: o, log: o.Log}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close())
		}
	}()
	if h.store, err = sqlite.Open(ctx, o.DataDir, sqlite.Options{AcceptOlder: o.AcceptOlderStore}); err != nil {
		return nil, err
	}
	keys, err := h.loadKeys()
	if err != nil {
		return nil, err
	}
	if err := h.openAccess(ctx); err != nil {
		return nil, err
	}
	if err := h.listen(); err != nil {
		return nil, err
	}
	if !o.NoBoard {
		h.board = board.New(board.Options{Grace: o.CancelGrace})
		o = o.withBoard(h.board)
	}
	if h.set, err = OpenExecutors(o, h.store.Host().Epoch, h.url()); err != nil {
		return nil, err
	}
	h.engine = engine.New(engine.Options{
		Store: h.store, Executors: h.set.list, Types: o.Types, Quotas: o.Quotas, Board: h.board, Log: o.Log.Named("engine"), Secrets: keys,
		CancelGrace: o.CancelGrace, DrainTimeout: o.DrainTimeout, LogLines: o.MaxLogLines, LogBytes: o.MaxLogBytes,
	})
	if err := h.engine.Start(ctx); err != nil {
		return nil, err
	}
	h.serveAPI()
	return h, nil
}

// listen binds early, so that an address in use is said before anything starts.
func (h *Host) listen() error {
	if h.opts.Listen == "" {
		return nil
	}
	local := config.IsLoopback(h.opts.Listen)
	if !local && !h.access.Guarded() {
		return fmt.Errorf("listen = %q is not a loopback address, and there is no token: everyone who reaches it would be the admin; "+
			"make one with \"taskhost token create NAME --role admin --data-dir %s\", or listen on 127.0.0.1", h.opts.Listen, h.opts.DataDir)
	}
	if err := h.loadTLS(h.opts.TLS); err != nil {
		return err
	}
	if !local && h.opts.TLS.Cert == "" {
		h.log.Warn("tokens cross the network in clear: set tls, or have a proxy on this machine speak it", "listen", h.opts.Listen)
	}
	l, err := net.Listen("tcp", h.opts.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", h.opts.Listen, err)
	}
	h.listener = l
	// For those who asked for any free port, and for tools on this machine.
	return files.WriteDurable(h.addressFile(), []byte(l.Addr().String()+"\n"))
}

func (h *Host) addressFile() string { return filepath.Join(h.opts.DataDir, "address") }

func (h *Host) url() string {
	if h.listener == nil {
		return ""
	}
	if h.opts.TLS.Cert != "" {
		return "https://" + h.listener.Addr().String()
	}
	return "http://" + h.listener.Addr().String()
}

func (h *Host) serveAPI() {
	if h.listener == nil {
		return
	}
	log := slogTo(h.log.Named("api"))
	o := server.Options{Version: h.opts.Version, Log: log, Access: h.access, MaxBody: h.maxBody}
	guard := server.NewGuard(o)
	h.server = server.New(glance.NewHandler(glance.Options{Settings: h.opts.Glance, Service: h.engine, Caller: guard.Caller, MaxBody: h.maxBody, NewID: engine.NewID,
		Note: h.noteGlanceTask, Next: server.NewHandler(h.engine, o)}), log)
}

// maxBody is what a request of one task may have under the types in force.
func (h *Host) maxBody() int64 { return h.engine.MaxInput() + bodyBesideInput }

// bodyBesideInput is what a request of one task may have besides its input.
const bodyBesideInput = 1 << 20

// Addr is where the REST side listens, as host:port; "" if it does not.
func (h *Host) Addr() string {
	if h.listener == nil {
		return ""
	}
	return h.listener.Addr().String()
}

// Tasks is the life of tasks, for a program that has its own host.
func (h *Host) Tasks() server.Service { return h.engine }

// Attempts is how many attempts this host has under way, those that were handed on among them.
func (h *Host) Attempts() int { return h.engine.Attempts() }

// DefaultScope is whose tasks they are where there are no tokens.
func DefaultScope() task.Scope { return task.Scope{Owner: identity.DefaultOwner, All: true} }

// Run serves the REST side until ctx ends, and returns nil then. Call Close after.
func (h *Host) Run(ctx context.Context) error {
	if h.server == nil {
		<-ctx.Done()
		return nil
	}
	failed := make(chan error, 1)
	l := h.listener
	if h.opts.TLS.Cert != "" {
		l = tls.NewListener(l, h.tlsConfig())
	}
	go func() { failed <- h.server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", h.Addr(), err)
	case <-ctx.Done():
		return nil
	}
}

// Reload puts the task types, the quotas and the drain timeout of o in force, and reads the certificate anew. What else differs from
// how the host was opened needs a restart: nothing is changed then, and the error names it.
func (h *Host) Reload(o Options) error {
	o, err := o.absolute()
	if err != nil {
		return err
	}
	var differs []string
	for _, d := range []struct {
		what     string
		was, now any
	}{
		{"data_dir", h.opts.DataDir, o.DataDir}, {"listen", h.opts.Listen, o.Listen}, {"plugin_dir", h.opts.PluginDirs, o.PluginDirs},
		{"allow_writable_plugins", h.opts.AllowWritablePlugins, o.AllowWritablePlugins},
		{"executor blocks", h.opts.Executors, o.Executors}, {"plugin_env", h.opts.PluginEnv, o.PluginEnv},
		{"max_log_lines", h.opts.MaxLogLines, o.MaxLogLines}, {"max_log_bytes", h.opts.MaxLogBytes, o.MaxLogBytes},
		{"cancel_grace", h.opts.CancelGrace, o.CancelGrace}, {"tls", h.opts.TLS, o.TLS}, {"trusted_proxy, anonymous or tls.client_role", h.opts.Access, o.Access},
		{"audit_retain", h.opts.AuditRetain, o.AuditRetain}, {"glance", h.opts.Glance, o.Glance},
	} {
		if !reflect.DeepEqual(d.was, d.now) {
			differs = append(differs, d.what)
		}
	}
	if len(differs) > 0 {
		return fmt.Errorf("a change of %s needs a restart; the config in force stays", strings.Join(differs, ", "))
	}
	if err := h.loadTLS(o.TLS); err != nil {
		return err
	}
	if err := h.engine.SetQuotas(context.Background(), o.Quotas); err != nil {
		return err
	}
	h.engine.SetDrainTimeout(o.DrainTimeout)
	h.engine.SetTypes(o.Types)
	return nil
}

// shutdownHTTP is how long requests under way get to finish.
const shutdownHTTP = 5 * time.Second

// lastAcks is what plugin processes get to hear that the last outcomes are on record.
// Their attempts had their time before, from the engine.
const lastAcks = time.Second

// Close ends the host: no new tasks, attempts finish or are let go (those that
// outlive the host go on), plugins end, the store is closed. It is bounded, even
// with a frozen plugin: DrainTimeout, CancelGrace, and some seconds for processes that
// have to be killed. Later calls return what the first did.
func (h *Host) Close() error {
	h.closing.Do(func() { h.closed = h.close() })
	return h.closed
}

func (h *Host) close() error {
	ctx := context.Background()
	var errs []error
	if h.engine != nil {
		errs = append(errs, h.engine.Close(ctx))
	}
	if h.board != nil {
		h.board.Close()
	}
	if h.server != nil { // after the engine: those who wait for a task hear of its end
		stop, cancel := context.WithTimeout(ctx, shutdownHTTP)
		if h.server.Shutdown(stop) != nil {
			errs = append(errs, h.server.Close())
		}
		cancel()
	}
	if h.listener != nil {
		h.listener.Close()
		// The store, and with it the directory, is still this host's.
		if err := os.Remove(h.addressFile()); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if h.set != nil {
		stop, cancel := context.WithTimeout(ctx, lastAcks)
		errs = append(errs, h.set.Close(stop))
		cancel()
	}
	h.closeAccess()
	if h.store != nil {
		errs = append(errs, h.store.Close())
	}
	return errors.Join(errs...)
}
