package sdk

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/go-plugin"
)

// Plugin is an executor's code under a name: the same value is handed to Serve
// by a program of its own, or to the host to be built in.
type Plugin struct {
	// Name is what the operator writes as plugin = "name".
	Name string
	// Version is shown to operators.
	Version string
	// New makes an executor of one block of config. An error refuses the config
	// and should name the key at fault.
	New func(Config) (Executor, error)
	// Check says what is wrong with a config and makes nothing; nil if only New
	// can know. `taskhost config validate` asks it of built-ins.
	Check func(Config) error
}

// Handshake is what host and plugin say to one another before they speak gRPC:
// it keeps a plugin from being run by hand by mistake, and names the protocol's
// version. It is no secret.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{
		ProtocolVersion:  1,
		MagicCookieKey:   "TASKHOST_PLUGIN",
		MagicCookieValue: "3d6a5b0e-executor",
	}
}

// PluginKey is the name under which a plugin process serves its executor.
const PluginKey = "executor"

// HostConnection is an executor in another process, as the host holds it. Its
// Execute blocks for the life of the attempt, as any executor's does, and
// returns Lost when the process dies or stops naming the attempt's token.
type HostConnection interface {
	Executor
	Settler
	// A plugin whose Info does not say ControlsNodes refuses each ControlNode.
	NodeController
	// Hello is what the process said of itself.
	Hello() PluginHello
	// Changed is signaled when Describe should be asked again.
	Changed() <-chan struct{}
	// Draining is closed when the process says that somebody else told it to stop: it
	// finishes what runs, gives every further start back, and ends.
	Draining() <-chan struct{}
	// Drain tells the process that no start will come and waits until all that
	// runs has finished, or ctx ends.
	Drain(ctx context.Context) error
	// Detach lets go: attempts that outlive the host go on, local ones stop.
	Detach(ctx context.Context) error
	// Done is closed when the process can no longer be spoken to; Err says why.
	Done() <-chan struct{}
	Err() error
	// Close ends the streams. It does not end the process.
	Close() error
}

// A Settler wants to hear that an attempt's outcome is on record. The host asks
// every executor for it by type assertion: those in its own process have no need.
type Settler interface {
	// Settled says that what Execute or Revert returned for t is committed, or
	// will never be wanted: whoever keeps it may forget it. Call it once after
	// each Execute or Revert that returned, also one that nobody waits for any
	// more. Called before they return, it forgets whatever will be reported. For
	// a token of Hello that is not wanted it does the same. It never blocks.
	Settled(t Token)
}

// PluginHello is what a plugin process says of itself when it is connected to.
type PluginHello struct {
	Instance string // chosen by the process at random when it began
	Name     string
	Version  string
	Pid      int
	Running  []Token // attempts that go on, from before this connection
	Finished []Token // … and those whose outcome is not yet acknowledged
}

// HostOptions is what the host tells a plugin process when it connects.
type HostOptions struct {
	Config Config // with the block's attributes, as NewConfig made it
	// Epoch is the store's; a plugin obeys only the highest it has seen.
	Epoch uint64
	// Survive tells the process to go on when this host ends, and to keep running
	// attempts and unacknowledged outcomes for the next one. Info.Outlives is then
	// true whatever the executor says, and an Execute whose context ends with
	// ErrDetach returns ErrDetach at once and leaves its attempt running.
	Survive bool
	// Grace is what the host waits after a context ended before it acts; it is
	// told to the plugin with each cancel.
	Grace time.Duration
	// Start bounds Configure and the first Hello; 0 means 30 seconds.
	Start time.Duration
	// Silence is how long a plugin may say nothing before the connection is given
	// up; 0 means 5 seconds. Plugins send a heartbeat each second.
	Silence time.Duration
}

// ErrConfigRefused is wrapped by the error of connecting to a plugin that refused its
// config, with the plugin's words after it: starting it again is no use before the
// config changes.
var ErrConfigRefused = errors.New("config refused")
