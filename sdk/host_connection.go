package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// How the host judges what it hears, or does not hear.
const (
	watchEvery   = 250 * time.Millisecond
	missingBeats = 2               // heartbeats without a token, and it is lost
	unknownFor   = time.Minute     // until what a plugin still runs from before is given up
	dataWait     = 2 * time.Second // for the last log lines of an attempt
)

// connection is the host's half of the protocol: an Executor whose attempts run in
// another process.
type connection struct {
	options    HostOptions
	client     pb.ExecutorServiceClient
	control    grpc.BidiStreamingClient[pb.ControlRequest, pb.ControlResponse]
	data       grpc.BidiStreamingClient[pb.DataRequest, pb.DataResponse]
	firstFrame *pb.ControlResponse
	hello      PluginHello
	takesAcks  bool // by its hello
	log        hclog.Logger

	ctx            context.Context
	cancel         context.CancelCauseFunc
	out            *outbox[wireMessage] // without bytes for an Acks
	chunks         *outbox[*queuedChunk]
	in             *assembler
	plain          plainFinished // the reader's own
	frameCame      atomic.Bool   // a frame came since the watch last looked
	changed        chan struct{}
	pluginDraining chan struct{} // closed when the plugin says that it drains
	drainingOnce   sync.Once
	done           chan struct{}
	loops          sync.WaitGroup

	mu       sync.Mutex
	attempts map[Token]*attempt
	unknown  map[Token]unknownAttempt // what the plugin runs and nobody here knows
	drained  chan struct{}            // made by Drain; closed when nothing is left
	err      error                    // why it ended

	ackMu   sync.Mutex
	settled []byte // tokens of outcomes that are to be acknowledged together

	dataMu        sync.Mutex
	dataThrough   uint64        // the mark that Data has reached
	throughRaised chan struct{} // closed and replaced when it moves, if someone waits
}

var errClosed = errors.New("the connection was closed")

func newConnection(ctx context.Context, client pb.ExecutorServiceClient, o HostOptions) *connection {
	c := &connection{options: o, client: client, log: o.Config.Log, out: newOutbox[wireMessage](),
		chunks: newOutbox[*queuedChunk](), in: newAssembler(), changed: make(chan struct{}, 1), pluginDraining: make(chan struct{}), done: make(chan struct{}),
		attempts: map[Token]*attempt{}, unknown: map[Token]unknownAttempt{}}
	if c.log == nil {
		c.log = hclog.NewNullLogger()
	}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	return c
}

func (c *connection) setHello(h *pb.Hello) {
	c.takesAcks = h.GetAcks()
	c.hello = PluginHello{Instance: clip(h.GetInstance(), maxName), Name: clip(h.GetName(), maxName), Version: clip(h.GetVersion(), maxName), Pid: int(h.GetPid()),
		Running: tokensOf(h.GetRunning()), Finished: tokensOf(h.GetFinished())}
}

func tokensOf(list [][]byte) []Token {
	var out []Token
	for _, b := range list {
		if t, ok := tokenOf(b); ok {
			out = append(out, t)
		}
	}
	return out
}

// startLoops starts what runs for the life of the connection: two readers, two senders,
// the watch, and whoever cleans up when one of them ends it.
func (c *connection) startLoops() {
	for _, f := range []func() error{c.readControl, c.readData, c.sendControl, c.sendChunks, c.watch} {
		c.loops.Go(func() {
			err := f()
			if errors.Is(err, io.EOF) {
				err = errors.New("the plugin ended the stream")
			}
			if s, ok := status.FromError(err); ok && err != nil {
				err = errors.New(clip(s.Message(), maxText))
			}
			c.cancel(err)
		})
	}
	go func() {
		<-c.ctx.Done()
		err := context.Cause(c.ctx)
		if errors.Is(err, context.Canceled) { // by go-plugin, which says no more
			err = errors.New("the plugin process has ended")
		}
		c.fail(err)
		c.loops.Wait()
	}()
}

// fail ends the connection: all attempts are lost, but for those whose start never
// went out.
func (c *connection) fail(err error) {
	sent := c.out.close()
	c.chunks.close()
	c.in.close()
	c.mu.Lock()
	c.err = fmt.Errorf("executor %q: %w", c.options.Config.Executor, err)
	attempts := c.attempts
	c.attempts = nil
	if c.drained != nil {
		close(c.drained)
		c.drained = nil
	}
	c.mu.Unlock()
	for _, a := range attempts {
		if a.startNumber > sent {
			a.end(notBegun(a.rejoin, "the plugin was gone before the attempt was started"))
		} else {
			a.end(lostOutcome(err.Error()))
		}
	}
	close(c.done)
}

func (c *connection) sendControl() error {
	return c.out.drain(c.ctx.Done(), func(frame []wireMessage) error {
		c.fillAcks(frame)
		return c.sendError(c.control.SendMsg(sentFrame(frame)), c.control)
	})
}

func (c *connection) sendChunks() error {
	return c.chunks.drain(c.ctx.Done(), func(frame []*queuedChunk) error {
		chunks := c.takeChunks(frame)
		if len(chunks) == 0 {
			return nil
		}
		return c.sendError(c.data.Send(&pb.DataRequest{Chunks: chunks}), c.data)
	})
}

// takeChunks gives what of a frame is to be sent: not the chunks of attempts that are over.
func (c *connection) takeChunks(frame []*queuedChunk) []*pb.Chunk {
	c.mu.Lock()
	defer c.mu.Unlock()
	chunks := make([]*pb.Chunk, 0, len(frame))
	for _, q := range frame {
		if q.chunk != nil {
			chunks = append(chunks, q.chunk)
			q.chunk = nil
		}
	}
	return chunks
}

// sendError finds out what grpc hides behind the io.EOF of a failed Send. The
// reader has the true error, and says it when this one waits for the end.
func (c *connection) sendError(err error, s grpc.ClientStream) error {
	if errors.Is(err, io.EOF) {
		select {
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		case <-s.Context().Done():
		}
	}
	return err
}

// watch gives the connection up when nothing is heard for too long. Time in which
// this process itself stood still does not count: a tick counts as two at the most.
func (c *connection) watch() error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	last, silence := time.Now(), time.Duration(0)
	for {
		select {
		case <-c.ctx.Done():
			return nil
		case <-tick.C:
		}
		now := time.Now()
		silence += min(now.Sub(last), 2*watchEvery)
		last = now
		if c.frameCame.Swap(false) {
			silence = 0
		}
		if silence > c.options.Silence {
			return fmt.Errorf("the plugin said nothing for %s", c.options.Silence)
		}
	}
}

func (c *connection) readData() error {
	for {
		f, err := c.data.Recv()
		if err != nil {
			return err
		}
		c.frameCame.Store(true)
		c.handleData(f)
	}
}

// handleData hands on what one frame of Data carries.
func (c *connection) handleData(f *pb.DataResponse) {
	for _, ch := range f.GetChunks() {
		c.handleChunk(ch)
	}
	for _, l := range f.GetLogs() {
		if a := c.running(l.GetToken()); a != nil {
			a.log(l)
		}
	}
	for _, p := range f.GetProgress() {
		if a := c.running(p.GetToken()); a != nil {
			a.reporter.Progress(p.GetDone(), p.GetTotal(), clip(p.GetMessage(), maxText))
		}
	}
	if n := f.GetDropped(); n > 0 {
		c.log.Warn("the plugin dropped log lines or progress", "count", n)
	}
	if f.GetThrough() > 0 {
		c.dataMu.Lock()
		c.dataThrough = f.GetThrough()
		if c.throughRaised != nil {
			close(c.throughRaised)
			c.throughRaised = nil
		}
		c.dataMu.Unlock()
	}
}

// handleChunk takes part of a result, of a checkpoint or of a child's input; plugins send no others.
func (c *connection) handleChunk(ch *pb.Chunk) {
	a := c.running(ch.GetToken())
	switch {
	case a == nil:
	case ch.GetPart() != pb.Part_PART_RESULT && ch.GetPart() != pb.Part_PART_CHECKPOINT && ch.GetPart() != pb.Part_PART_INPUT:
		c.breach(a, "chunks of what a plugin does not send")
	default:
		if err := c.in.add(ch); err != nil {
			c.breach(a, err.Error())
		}
		if c.find(a.token) != a { // it was settled meanwhile, and what had come of it dropped
			c.in.forget(a.token)
		}
	}
}

// dataReached says whether Data has come to mark; if not, what to wait for.
func (c *connection) dataReached(mark uint64) (bool, <-chan struct{}) {
	if mark == 0 {
		return true, nil
	}
	c.dataMu.Lock()
	defer c.dataMu.Unlock()
	if c.dataThrough >= mark {
		return true, nil
	}
	if c.throughRaised == nil {
		c.throughRaised = make(chan struct{})
	}
	return false, c.throughRaised
}

// waitData waits, briefly, until Data has come to mark.
func (c *connection) waitData(mark uint64) {
	late := time.NewTimer(dataWait)
	defer late.Stop()
	for {
		ok, raised := c.dataReached(mark)
		if ok {
			return
		}
		select {
		case <-raised:
		case <-late.C:
			return
		case <-c.ctx.Done():
			return
		}
	}
}

// attemptCount is how many attempts are out, with those whose outcome is not yet settled.
func (c *connection) attemptCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.attempts)
}

func (c *connection) find(t Token) *attempt {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.attempts[t]
}

// running is the attempt that a log line or a progress is for, if it goes on.
func (c *connection) running(token []byte) *attempt {
	t, ok := tokenOf(token)
	if !ok {
		return nil
	}
	if a := c.find(t); a != nil && !a.ended() {
		return a
	}
	return nil
}

// Hello is what the process said of itself.
func (c *connection) Hello() PluginHello { return c.hello }

// Changed is signaled when Describe should be asked again.
func (c *connection) Changed() <-chan struct{} { return c.changed }

// Draining is closed when the process says that it drains.
func (c *connection) Draining() <-chan struct{} { return c.pluginDraining }

func (c *connection) isPluginDraining() bool {
	select {
	case <-c.pluginDraining:
		return true
	default:
		return false
	}
}

// Done is closed when the process can no longer be spoken to.
func (c *connection) Done() <-chan struct{} { return c.done }

// Err says why Done is closed.
func (c *connection) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the streams.
func (c *connection) Close() error {
	c.cancel(errClosed)
	<-c.done
	c.loops.Wait()
	return nil
}

// Drain waits until all that runs has finished and is settled.
func (c *connection) Drain(ctx context.Context) error {
	c.say(&pb.HostMessage{Kind: &pb.HostMessage_Drain{Drain: &pb.Drain{}}})
	for {
		c.mu.Lock()
		running := len(c.attempts)
		if c.drained == nil {
			c.drained = make(chan struct{})
		}
		drained, err := c.drained, c.err
		c.mu.Unlock()
		switch {
		case err != nil:
			return err
		case running == 0:
			return nil
		}
		select {
		case <-drained:
		case <-ctx.Done():
			return fmt.Errorf("drain executor %q: %d attempts still run: %w", c.options.Config.Executor, running, context.Cause(ctx))
		}
	}
}

// Detach tells the process that the host is about to let go, and waits until those
// attempts that do not outlive it have ended.
func (c *connection) Detach(ctx context.Context) error {
	c.say(&pb.HostMessage{Kind: &pb.HostMessage_Detach{Detach: &pb.Detach{}}})
	if c.options.Survive {
		return nil
	}
	return c.Drain(ctx)
}
