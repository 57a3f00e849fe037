package sdk

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// attempt is one Execute or Revert as the host's half keeps it: from the Start
// until its outcome is settled.
type attempt struct {
	token       Token
	reporter    Reporter
	startNumber uint64 // of its Start among the messages of the stream, from 1
	startedAt   time.Time
	missedBeats int          // heartbeats in a row that did not name it; the reader's own
	unsent      *queuedChunk // its chunks, the last first; under the connection's lock

	rejoin    bool          // see Task.Rejoin
	hasEnded  atomic.Bool   // result and err are what became of it; changed under mu
	seq       atomic.Uint64 // of the Finished
	finishing atomic.Bool   // its Finished has come, and what belongs to it is awaited

	mu           sync.Mutex
	callers      []func(Result, error) // who waits for its end
	result       Result
	err          error // ErrDetach: the host lets go of it, and its reports are for the next one
	settledEarly bool  // settled before it ended: whatever comes is acked unheard
	reports      []hostReport
	answering    bool // a goroutine of answerReports runs
}

// queuedChunk is a chunk of an attempt that waits for the stream. The attempt's end takes it out:
// the plugin would have to hold it for nobody, and so would the host, for a plugin that reads slowly.
type queuedChunk struct {
	chunk *pb.Chunk    // nil when it is sent or not to be; under the connection's lock
	next  *queuedChunk // of the same attempt
}

// hostReport is a Started, a Checkpoint or a Spawn of a plugin.
type hostReport struct {
	started    *pb.Started
	checkpoint *pb.Checkpoint
	spawn      *pb.Spawn
}

// end ends the attempt with an outcome, unless it has ended.
func (a *attempt) end(o Outcome) {
	if o.Kind == OutcomeSucceeded {
		a.endWith(o.Result, nil)
	} else {
		a.endWith(Result{}, FailedWith(o))
	}
}

// endWith ends the attempt, unless it has ended, with what its callers are given.
func (a *attempt) endWith(res Result, err error) {
	a.mu.Lock()
	if a.hasEnded.Load() {
		a.mu.Unlock()
		return
	}
	a.result, a.err = res, err
	a.hasEnded.Store(true)
	callers := a.callers
	a.callers = nil
	a.mu.Unlock()
	for _, done := range callers {
		done(res, err)
	}
}

func (a *attempt) ended() bool { return a.hasEnded.Load() }

// wait has done called with the attempt's end.
func (a *attempt) wait(done func(Result, error)) {
	a.mu.Lock()
	ended := a.hasEnded.Load()
	if !ended {
		a.callers = append(a.callers, done)
	}
	a.mu.Unlock()
	if ended {
		done(a.result, a.err)
	}
}

// ExecuteAsync runs one attempt in the plugin process.
func (c *connection) ExecuteAsync(ctx context.Context, t Task, r Reporter, done func(Result, error)) {
	c.run(ctx, &t, r, pb.Action_ACTION_UNSPECIFIED, done)
}

// Execute runs one attempt there and waits for it.
func (c *connection) Execute(ctx context.Context, t Task, r Reporter) (Result, error) {
	return Await(func(done func(Result, error)) { c.run(ctx, &t, r, pb.Action_ACTION_UNSPECIFIED, done) })
}

// Revert undoes one there.
func (c *connection) Revert(ctx context.Context, t Task, r Reporter) error {
	_, err := Await(func(done func(Result, error)) { c.run(ctx, &t, r, pb.Action_ACTION_REVERT, done) })
	return err
}

func (c *connection) run(ctx context.Context, t *Task, r Reporter, action pb.Action, done func(Result, error)) {
	a, err := c.startOrJoin(t, r, action)
	if err != nil {
		done(Result{}, err)
		return
	}
	unwatch := AfterFunc(ctx, func() { c.stop(a, context.Cause(ctx)) })
	a.wait(func(res Result, err error) {
		unwatch()
		done(res, err)
	})
}

// stop has the plugin stop an attempt, or leaves it to the next host, because the context of one
// of its callers has ended. The host has its own bound, and may stop waiting for the plugin.
func (c *connection) stop(a *attempt, cause error) {
	switch {
	case a.ended():
	case errors.Is(cause, ErrDetach) && c.options.Survive:
		a.endWith(Result{}, ErrDetach)
	default:
		c.say(&pb.HostMessage{Kind: &pb.HostMessage_Cancel{Cancel: &pb.Cancel{
			Token: a.token[:], Cause: causeToWire(cause), Grace: durationToWire(c.options.Grace)}}})
	}
}

// startOrJoin sends the Start and enters the attempt, or finds the one that is there.
func (c *connection) startOrJoin(t *Task, r Reporter, action pb.Action) (*attempt, error) {
	children := EncodeChildren(t.Children)
	for _, p := range [][]byte{t.Input, t.Checkpoint, children} {
		if len(p) > maxPayload {
			return nil, FailedWith(Outcome{Kind: OutcomeFailed, Code: CodeExecutorFailed, Permanent: true,
				Message: fmt.Sprintf("a payload of %d bytes is more than the %d that reach a plugin", len(p), maxPayload)})
		}
	}
	now := time.Now()
	start, chunks := startToWire(t, children, action, now)
	a := &attempt{token: t.Token, rejoin: t.Rejoin, reporter: r, startedAt: now}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attempts == nil {
		return nil, notSent(t)
	}
	if old := c.attempts[t.Token]; old != nil {
		return old, nil // it is joined, as it is where the attempt runs
	}
	if c.isPluginDraining() && !t.Rejoin { // it would give it back
		return nil, ErrReleased
	}
	// Under the lock, so that a failing connection sees the attempt with its number.
	if a.startNumber = c.out.put(start, start.size()); a.startNumber == 0 {
		return nil, notSent(t)
	}
	c.attempts[t.Token] = a
	delete(c.unknown, t.Token)
	for _, ch := range chunks {
		a.unsent = &queuedChunk{chunk: ch, next: a.unsent}
		c.chunks.put(a.unsent, len(ch.Data))
	}
	return a, nil
}

// notSent is the error of an attempt whose Start does not go out.
func notSent(t *Task) error {
	if t.Rejoin { // it ran before
		return ErrLost
	}
	return ErrReleased
}

// Settled acknowledges an outcome, so that the plugin may forget it.
func (c *connection) Settled(t Token) {
	c.mu.Lock()
	a := c.attempts[t]
	if a != nil && !a.ended() {
		a.mu.Lock()
		a.settledEarly = true
		a.mu.Unlock()
		if !a.ended() { // else it ended just now, and nobody else will ack it
			c.mu.Unlock()
			return
		}
	}
	left := a != nil && a.isLeftToNextHost()
	if !left {
		c.remove(t)
	}
	c.mu.Unlock()
	switch {
	case left: // its outcome is for the next host
	case a == nil: // one of Hello: nothing of it is wanted
		c.refuse(t[:], 0, "it is settled")
	default:
		c.ackOutcome(a)
	}
}

// remove needs the lock held.
func (c *connection) remove(t Token) {
	if a := c.attempts[t]; a != nil {
		for q := a.unsent; q != nil; q = q.next {
			q.chunk = nil
		}
	}
	delete(c.attempts, t)
	c.in.forget(t)
	if len(c.attempts) == 0 && c.drained != nil {
		close(c.drained)
		c.drained = nil
	}
}

// say queues a message. One that cannot be written ends the connection.
func (c *connection) say(m *pb.HostMessage) {
	message, err := encodeMessage(hostMessages, m)
	if err != nil {
		c.cancel(err)
		return
	}
	c.out.put(message, message.size())
}

func (c *connection) ack(token []byte, seq uint64) {
	c.say(&pb.HostMessage{Kind: &pb.HostMessage_Ack{Ack: &pb.Ack{Token: token, Seq: seq}}})
}

// maxAcks is how many outcomes are acknowledged in one message.
const maxAcks = 4096

// ackOutcome acknowledges an attempt's outcome: with others that are settled before the stream
// is free, if the plugin takes them together.
func (c *connection) ackOutcome(a *attempt) {
	if !c.takesAcks {
		c.ack(a.token[:], a.seq.Load())
		return
	}
	c.ackMu.Lock()
	first := len(c.settled) == 0
	c.settled = append(c.settled, a.token[:]...)
	c.ackMu.Unlock()
	if first {
		c.putAcks()
	}
}

// putAcks queues the place of an Acks, which is written when it is sent.
func (c *connection) putAcks() { c.out.put(wireMessage{}, 0) }

// fillAcks writes the Acks of a frame that is about to be sent: of what is settled by now.
func (c *connection) fillAcks(frame sentFrame) {
	for i, m := range frame {
		if m.head != nil {
			continue
		}
		c.ackMu.Lock()
		n := min(len(c.settled), maxAcks*len(Token{}))
		w := newMessage(n + messageHead)
		w.bytes(1, c.settled[:n])
		c.settled = append(c.settled[:0], c.settled[n:]...)
		more := len(c.settled) > 0
		c.ackMu.Unlock()
		frame[i] = w.done(hostMessages, 8)
		if more {
			c.putAcks()
		}
	}
}

func (c *connection) refuse(token []byte, seq uint64, reason string) {
	c.say(&pb.HostMessage{Kind: &pb.HostMessage_Refuse{Refuse: &pb.Refuse{Token: token, Seq: seq, Reason: clip(reason, maxText)}}})
}

// refuseFor says why a report was refused, and whether it is worth another try.
func (c *connection) refuseFor(token []byte, seq uint64, err error) {
	o := OutcomeOf(context.Background(), Result{}, err)
	c.say(&pb.HostMessage{Kind: &pb.HostMessage_Refuse{Refuse: &pb.Refuse{Token: token, Seq: seq,
		Reason: clip(err.Error(), maxText), Permanent: o.Permanent, RetryAfter: durationToWire(o.RetryAfter)}}})
}

// report queues a Started, Checkpoint or Spawn for the attempt's reporter. The host's
// store may be slow, and the reader has other attempts to hear.
func (c *connection) report(token []byte, seq uint64, rep hostReport) {
	t, ok := tokenOf(token)
	a := c.find(t)
	if !ok || a == nil || a.ended() {
		if a == nil || !a.isLeftToNextHost() {
			c.refuse(token, seq, "the attempt is over or not known")
		}
		return
	}
	a.mu.Lock()
	full := len(a.reports) >= maxReports
	if !full {
		a.reports = append(a.reports, rep)
		if !a.answering {
			a.answering = true
			go c.answerReports(a)
		}
	}
	a.mu.Unlock()
	if full {
		c.breach(a, fmt.Sprintf("more than %d Started, Checkpoints and Spawns of an attempt wait for their answer", maxReports))
	}
}

func (a *attempt) isLeftToNextHost() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err == ErrDetach
}

func (c *connection) answerReports(a *attempt) {
	for {
		a.mu.Lock()
		if len(a.reports) == 0 {
			a.answering = false
			a.mu.Unlock()
			return
		}
		rep := a.reports[0]
		a.reports = a.reports[1:]
		a.mu.Unlock()
		c.answer(a, rep)
	}
}

// answer has the attempt's reporter take one report, and says what came of it.
func (c *connection) answer(a *attempt, rep hostReport) {
	var err error
	var seq uint64
	switch {
	case rep.spawn != nil:
		c.answerSpawn(a, rep.spawn)
		return
	case rep.started != nil:
		s := rep.started
		seq = s.GetSeq()
		if len(s.GetHandle()) > maxHandle {
			err = fmt.Errorf("the handle has %d bytes, at most %d are kept", len(s.GetHandle()), maxHandle)
		} else {
			err = a.reporter.Started(s.GetHandle(), clip(s.GetNode(), maxName))
		}
	default:
		var data []byte
		seq = rep.checkpoint.GetSeq()
		data, err = c.in.unpack(c.ctx, rep.checkpoint.GetData(), chunkKey{a.token, pb.Part_PART_CHECKPOINT, seq})
		if err == nil {
			err = a.reporter.Checkpoint(data)
		}
	}
	if err != nil {
		c.refuseFor(a.token[:], seq, err)
	} else {
		c.ack(a.token[:], seq)
	}
}

// answerSpawn has the attempt's reporter make a child.
func (c *connection) answerSpawn(a *attempt, s *pb.Spawn) {
	input, err := c.in.unpack(c.ctx, s.GetInput(), chunkKey{a.token, pb.Part_PART_INPUT, s.GetSeq()})
	if err != nil {
		c.refuseFor(a.token[:], s.GetSeq(), fmt.Errorf("its input did not arrive: %w", err))
		return
	}
	id, err := a.reporter.Spawn(c.ctx, childFromWire(s, input))
	if err != nil {
		c.refuseFor(a.token[:], s.GetSeq(), err)
		return
	}
	c.say(&pb.HostMessage{Kind: &pb.HostMessage_Spawned{Spawned: &pb.Spawned{Token: a.token[:], Seq: s.GetSeq(), Id: id}}})
}

// log hands a line of the plugin's on.
func (a *attempt) log(l *pb.LogLine) {
	texts := l.GetArgs()
	args := make([]any, min(len(texts), maxLogArgs))
	for i := range args {
		args[i] = clip(texts[i], maxLogArg)
	}
	level := hclog.Level(l.GetLevel())
	if level < hclog.Trace || level > hclog.Error {
		level = hclog.Info
	}
	a.reporter.Log().Log(level, clip(l.GetMessage(), maxText), args...)
}
