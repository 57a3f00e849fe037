package sdk

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// HostOptions is what the host tells a plugin process when it connects.
type HostOptions struct {
	Config Config // with the block's attributes, as NewConfig made it
	// Check is asked before the plugin is configured, with what it says of itself; its
	// error refuses the config. nil refuses none.
	Check func(Metadata) error
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

// HostConnection is an executor in another process, as the host holds it. An
// attempt ends with ErrLost when the process dies or stops naming its token.
type HostConnection interface {
	AsyncExecutor
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

// PluginHello is what a plugin process says of itself when it is connected to.
type PluginHello struct {
	Instance string // chosen by the process at random when it began
	Name     string
	Version  string
	Pid      int
	Running  []Token // attempts from before this connection that go on
	Finished []Token // attempts whose outcome is not yet acknowledged
}

// ErrConfigRefused is wrapped by the error of connecting to a plugin that refused its
// config, with the plugin's words after it: starting it again is no use before the
// config changes.
var ErrConfigRefused = errors.New("config refused")

// HostSide is the host's half as go-plugin takes it: dispense PluginKey, and what
// comes is a HostConnection, configured and with its streams open. A refused config is
// an error that wraps ErrConfigRefused. Dial with HostDialOptions.
func HostSide(o HostOptions) plugin.PluginSet {
	return plugin.PluginSet{PluginKey: &hostSide{options: o}}
}

// MetadataSide is the host's half where a plugin is only to say what it is, and gets no
// config: dispense PluginKey, and what comes is its Metadata. A plugin that is too old to be
// asked gives the zero value. wait bounds the answer.
func MetadataSide(wait time.Duration) plugin.PluginSet {
	return plugin.PluginSet{PluginKey: &metadataSide{hostSide: hostSide{}, wait: wait}}
}

type metadataSide struct {
	hostSide
	wait time.Duration
}

func (m *metadataSide) GRPCClient(ctx context.Context, _ *plugin.GRPCBroker, cc *grpc.ClientConn) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, m.wait)
	defer cancel()
	return askMetadata(ctx, pb.NewExecutorServiceClient(cc))
}

type hostSide struct {
	plugin.NetRPCUnsupportedPlugin
	options HostOptions
}

func (h *hostSide) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("this is the host's side; plugins serve PluginSide")
}

func (h *hostSide) GRPCClient(ctx context.Context, _ *plugin.GRPCBroker, cc *grpc.ClientConn) (any, error) {
	c, err := connect(ctx, cc, h.options)
	if err != nil {
		return nil, err // and not a nil *connection in an interface
	}
	return c, nil
}

// HostDialOptions are the protocol's bounds, as PluginGRPCServer has them, for the host's side
// of a connection.
func HostDialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithInitialWindowSize(streamWindow), grpc.WithInitialConnWindowSize(connWindow),
		grpc.WithWriteBufferSize(ioBuffer), grpc.WithReadBufferSize(ioBuffer),
	}
}
