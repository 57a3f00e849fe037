package sdk

import (
	"fmt"
	"time"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// readControl hears the plugin. It waits for nothing but the stream: what takes
// time is done beside it.
func (c *connection) readControl() error {
	for frame, err := c.first, error(nil); ; frame, err = c.control.Recv() {
		if err != nil {
			return err
		}
		c.heard.Store(true)
		for _, m := range frame.GetMessages() {
			if err := c.handle(m); err != nil {
				return err
			}
		}
		if err := c.unread(); err != nil {
			return err
		}
	}
}

// handle does what one message asks. An error ends the connection: what the plugin did
// wrong is no attempt's.
func (c *connection) handle(m *pb.PluginMessage) error {
	switch k := m.GetKind().(type) {
	case *pb.PluginMessage_Finished:
		c.finished(k.Finished)
	case *pb.PluginMessage_Heartbeat:
		return c.heartbeat(k.Heartbeat)
	case *pb.PluginMessage_Started:
		c.report(k.Started.GetToken(), k.Started.GetSeq(), hostReport{started: k.Started})
	case *pb.PluginMessage_Checkpoint:
		c.report(k.Checkpoint.GetToken(), k.Checkpoint.GetSeq(), hostReport{checkpoint: k.Checkpoint})
	case *pb.PluginMessage_Changed:
		select {
		case c.changed <- struct{}{}:
		default:
		}
	case *pb.PluginMessage_Draining:
		c.left.Do(func() { close(c.leaving) })
	case *pb.PluginMessage_Unsupported:
		if t, ok := tokenOf(k.Unsupported.GetToken()); ok {
			if a := c.find(t); a != nil {
				a.end(protocolError("the plugin does not support this start: " + clip(k.Unsupported.GetReason(), maxText)))
			}
		}
	}
	return nil
}

// unread is an error if a plugin makes its host answer and does not take the answers.
// What is said of the host's own accord is bounded by its attempts.
func (c *connection) unread() error {
	if n := c.out.waiting(); n > maxAnswers && n > maxAnswers+4*uint64(c.count()) {
		return fmt.Errorf("the plugin does not read: %d messages wait for it", n)
	}
	return nil
}

// breach ends an attempt whose plugin breaks the protocol over it, and no other.
func (c *connection) breach(a *attempt, what string) {
	a.end(protocolError("the plugin breaks the protocol: " + what))
	c.in.forget(a.token)
	c.refuse(a.token[:], 0, what)
}

// finished takes the report of an outcome.
func (c *connection) finished(f *pb.Finished) {
	t, ok := tokenOf(f.GetToken())
	if !ok {
		return
	}
	a := c.find(t)
	if a == nil {
		c.log.Debug("a report of an attempt that is not known here", "task_token", t.String()[:8])
		c.refuse(f.GetToken(), 0, "the attempt is not known")
		return
	}
	a.seq.Store(f.GetSeq())
	if a.ended() { // said again, and acked once it is settled; or left to the next host
		return
	}
	if ok, _ := c.reached(f.GetData()); ok && finishedInline(f) {
		c.complete(a, outcomeFromWire(c.ctx, f, t, c.in))
		return
	}
	if a.taking.Swap(true) { // said again while its payload is on its way
		return
	}
	go func() {
		o := outcomeFromWire(c.ctx, f, t, c.in)
		c.waitData(f.GetData())
		c.complete(a, o)
	}()
}

// complete ends an attempt with what the plugin reported.
func (c *connection) complete(a *attempt, o Outcome) {
	a.end(o)
	a.mu.Lock()
	forget := a.forget
	a.mu.Unlock()
	if !forget {
		return
	}
	c.mu.Lock()
	known := c.attempts[a.token] == a
	if known {
		c.remove(a.token)
	}
	c.mu.Unlock()
	if known {
		c.ack(a.token[:], a.seq.Load())
	}
}

// heartbeat looks for attempts that the plugin has forgotten, and for those that it
// runs and nobody here knows.
func (c *connection) heartbeat(h *pb.Heartbeat) error {
	now := time.Now()
	if n, known := len(h.GetRunning()), c.count(); n > known+maxUnknown {
		return fmt.Errorf("the plugin names %d attempts, its host knows %d", n, known)
	}
	named := make(map[Token]struct{}, len(h.GetRunning()))
	for _, b := range h.GetRunning() {
		if t, ok := tokenOf(b); ok {
			named[t] = struct{}{}
		}
	}
	var lost []*attempt
	var strangers []Token
	c.mu.Lock()
	for t, a := range c.attempts {
		if _, ok := named[t]; ok || a.ended() || !startHandled(a, h.GetReceived(), now) {
			a.missing = 0
			continue
		}
		if a.missing++; a.missing >= missingBeats {
			lost = append(lost, a)
		}
	}
	for t := range c.unclaimed {
		if _, ok := named[t]; !ok {
			delete(c.unclaimed, t)
		}
	}
	for t := range named {
		if c.attempts[t] != nil {
			continue
		}
		if since, ok := c.unclaimed[t]; !ok {
			c.unclaimed[t] = now
		} else if now.Sub(since) > unclaimedFor {
			strangers = append(strangers, t)
		}
	}
	c.mu.Unlock()
	for _, a := range lost {
		a.end(lostOutcome("the plugin no longer names it"))
	}
	if len(strangers) > 0 {
		c.log.Warn("the plugin runs attempts that nobody here knows; they are stopped", "count", len(strangers), "task_token", strangers[0].String()[:8])
	}
	for _, t := range strangers {
		c.refuse(t[:], 0, "the host knows no such attempt")
	}
	return nil
}

// startHandled says whether the plugin had handled a's Start when it made the list.
// One that does not count what it received is given ten seconds for it.
func startHandled(a *attempt, received uint64, now time.Time) bool {
	if received == 0 {
		return now.Sub(a.begun) > 10*time.Second
	}
	return received >= a.start
}

var _ HostConnection = (*connection)(nil)
