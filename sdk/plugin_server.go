package sdk

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// detachGrace is how long attempts go on without a host before they are told to
// stop, where the process is not to survive it.
const detachGrace = 3 * time.Second

// server is the plugin's half of the protocol: it keeps one executor and the
// attempts that run on it. A host that comes later, or comes again, takes it over.
type server struct {
	pb.UnimplementedExecutorServiceServer

	plugin   Plugin
	instance string
	log      hclog.Logger
	// beforeNew is called once, before the executor is made.
	beforeNew func()
	data      *dataQueue
	running   sync.WaitGroup // attempts whose executor has not returned
	configure sync.Mutex     // one Configure at a time

	mu              sync.Mutex
	epoch           uint64 // the highest seen
	config          *pb.ConfigureRequest
	exec            Executor
	info            Info // as last described
	session         *session
	configuring     bool      // a host's Configure is under way
	hadSession      bool      // there was one
	hostlessSince   time.Time // when the last session or Configure ended, or the process began; zero while there is a session
	attempts        map[Token]*run
	draining        bool
	drainingUnasked bool          // draining because somebody else than the host told it to
	emptied         chan struct{} // closed when draining and nothing is left
}

func newServer(p Plugin) *server {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand says so)
	return &server{plugin: p, instance: hex.EncodeToString(id[:]), log: hclog.NewNullLogger(),
		beforeNew: func() {}, data: newDataQueue(), hostlessSince: time.Now(), attempts: map[Token]*run{}, emptied: make(chan struct{})}
}

// Metadata tells what the plugin is, whatever its config.
func (s *server) Metadata(context.Context, *pb.MetadataRequest) (*pb.MetadataResponse, error) {
	w := metadataToWire(s.plugin.Metadata())
	if err := boundedMetadata(w); err != nil {
		return nil, status.Error(codes.ResourceExhausted, err.Error())
	}
	return w, nil
}

// Configure makes the executor. A host that comes back to a process which
// survived must bring the same config: a running executor is not made anew.
func (s *server) Configure(ctx context.Context, req *pb.ConfigureRequest) (*pb.ConfigureResponse, error) {
	s.configure.Lock()
	defer s.configure.Unlock()
	s.setConfiguring(true)
	defer s.setConfiguring(false)
	s.mu.Lock()
	err := s.raiseEpoch(req.GetEpoch())
	old := s.config
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if old != nil {
		if !bytes.Equal(old.GetConfig(), req.GetConfig()) || old.GetExecutor() != req.GetExecutor() {
			return nil, status.Errorf(codes.FailedPrecondition,
				"this process runs executor %q with another config; it must be started anew", old.GetExecutor())
		}
		s.mu.Lock()
		s.config = req
		s.mu.Unlock()
		return &pb.ConfigureResponse{}, nil
	}
	s.beforeNew()
	cfg := NewConfig(req.GetExecutor(), req.GetConfig(), s.changed)
	cfg.DataDir = req.GetDataDir()
	cfg.Dir = req.GetConfigDir()
	cfg.HostURL = req.GetHostUrl()
	cfg.Slots = int(req.GetSlots())
	cfg.Log = s.log.With("executor", req.GetExecutor())
	exec, err := s.newExecutor(cfg)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, clip(err.Error(), maxText))
	}
	// Its limits and abilities bind this half too, whether or when the host asks. An
	// error is for the host to see when it does.
	info, err := describe(ctx, exec)
	if err != nil {
		info = Info{}
	}
	s.mu.Lock()
	s.config = req
	s.exec = exec
	s.info = info
	s.mu.Unlock()
	return &pb.ConfigureResponse{}, nil
}

// setConfiguring notes that a host's Configure begins or ends: there is a host.
func (s *server) setConfiguring(configuring bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.configuring = configuring
	if s.session == nil {
		s.hostlessSince = time.Now()
	}
}

// newExecutor guards against a New that is missing, gives nothing, or panics.
func (s *server) newExecutor(cfg Config) (exec Executor, err error) {
	defer func() {
		if v := recover(); v != nil {
			exec, err = nil, fmt.Errorf("plugin %q panicked over its config: %v", s.plugin.Name, v)
		}
	}()
	if s.plugin.New == nil {
		return nil, fmt.Errorf("plugin %q has no New", s.plugin.Name)
	}
	if exec, err = s.plugin.New(cfg); err == nil && exec == nil {
		err = fmt.Errorf("plugin %q made no executor and no error", s.plugin.Name)
	}
	return exec, tried(err)
}

// Describe asks the executor and remembers what its answer binds it to.
func (s *server) Describe(ctx context.Context, _ *pb.DescribeRequest) (*pb.DescribeResponse, error) {
	s.mu.Lock()
	exec := s.exec
	s.mu.Unlock()
	if exec == nil {
		return nil, errNotConfigured
	}
	info, err := describe(ctx, exec)
	if err != nil {
		return nil, status.Error(codes.Unavailable, clip(err.Error(), maxText))
	}
	w := infoToWire(info)
	if err := boundedInfo(w); err != nil {
		return nil, status.Error(codes.ResourceExhausted, err.Error())
	}
	s.mu.Lock()
	s.info = info
	s.mu.Unlock()
	return &pb.DescribeResponse{Info: w}, nil
}

func describe(ctx context.Context, exec Executor) (info Info, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("describe: %w", panicError(v))
		}
	}()
	info, err = exec.Describe(ctx)
	return info, tried(err)
}

// ControlNode passes on to an executor that says it can.
func (s *server) ControlNode(ctx context.Context, req *pb.ControlNodeRequest) (*pb.ControlNodeResponse, error) {
	s.mu.Lock()
	exec, able := s.exec, s.info.ControlsNodes
	s.mu.Unlock()
	if exec == nil {
		return nil, errNotConfigured
	}
	c, ok := exec.(NodeController)
	if !ok || !able {
		return nil, status.Error(codes.Unimplemented, "this executor does not control nodes")
	}
	err := controlNode(ctx, c, req.GetNode(), req.GetAction())
	if err == nil {
		return &pb.ControlNodeResponse{}, nil
	}
	code := codes.Unknown
	switch {
	case errors.Is(err, ErrUnknownNode):
		code = codes.NotFound
	case errors.Is(err, ErrUnknownAction):
		code = codes.InvalidArgument
	case errors.Is(err, ErrNodeUnchanged):
		code = codes.AlreadyExists
	}
	return nil, status.Error(code, clip(err.Error(), maxText))
}

func controlNode(ctx context.Context, c NodeController, node, action string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("control node: %w", panicError(v))
		}
	}()
	return tried(c.ControlNode(ctx, node, action))
}

var errNotConfigured = status.Error(codes.FailedPrecondition, "Configure must come first")

// raiseEpoch refuses all but the highest epoch; it needs the lock held.
func (s *server) raiseEpoch(epoch uint64) error {
	if epoch < s.epoch {
		return status.Errorf(codes.PermissionDenied,
			"epoch %d is over: a host with epoch %d has taken this plugin", epoch, s.epoch)
	}
	s.epoch = epoch
	return nil
}

// survives says whether attempts go on without a host; it needs the lock held.
func (s *server) survives() bool { return s.config.GetSurvive() }

// changed is what Config.Changed calls.
func (s *server) changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session != nil { // else the next host asks anyway
		s.session.say(&pb.PluginMessage{Kind: &pb.PluginMessage_Changed{Changed: &pb.Changed{}}})
	}
}

// drain takes no more starts. The channel closes when all that ran is over and acked.
func (s *server) drain() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.draining {
		s.draining = true
		s.checkEmpty()
	}
	return s.emptied
}

// drainUnasked is drain at somebody else's word, of which the host hears: it would go on
// sending starts, and get each of them back.
func (s *server) drainUnasked() <-chan struct{} {
	s.mu.Lock()
	if !s.drainingUnasked {
		s.drainingUnasked = true
		if s.session != nil { // else it is said after the next Hello
			s.session.say(drainingMessage())
		}
	}
	s.mu.Unlock()
	return s.drain()
}

func drainingMessage() *pb.PluginMessage {
	return &pb.PluginMessage{Kind: &pb.PluginMessage_Draining{Draining: &pb.Draining{}}}
}

// checkEmpty needs the lock held.
func (s *server) checkEmpty() {
	if s.draining && len(s.attempts) == 0 {
		select {
		case <-s.emptied:
		default:
			close(s.emptied)
		}
	}
}

// runs is a copy of the attempts, to be walked without the lock.
func (s *server) runs() []*run {
	s.mu.Lock()
	defer s.mu.Unlock()
	runs := make([]*run, 0, len(s.attempts))
	for _, r := range s.attempts {
		runs = append(runs, r)
	}
	return runs
}

// stopAll ends every attempt's context with cause. With hopeless, no host will
// answer either: whatever waits for one goes on with an error.
func (s *server) stopAll(cause error, hopeless bool) {
	for _, r := range s.runs() {
		r.ctx.End(cause)
		if hopeless {
			r.abandon()
		}
	}
}

// settled drops attempts whose outcomes are on record, by their tokens one after another.
func (s *server) settled(tokens []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for b := range slices.Chunk(tokens, len(Token{})) {
		if t, ok := tokenOf(b); ok {
			if r := s.attempts[t]; r != nil && r.isFinished() {
				delete(s.attempts, t)
			}
		}
	}
	s.checkEmpty()
}

// forget drops an attempt that is over.
func (s *server) forget(r *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.attempts[r.token] == r {
		delete(s.attempts, r.token)
		s.checkEmpty()
	}
}
