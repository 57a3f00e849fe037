package sdk

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// readControl hears the plugin. It waits for nothing but the stream: what takes
// time is done beside it.
func (c *connection) readControl() error {
	for err := c.handleFirst(); ; err = receiveFrame(c.control, pluginMessages, c.handleEncoded) {
		if err != nil {
			return err
		}
		c.frameCame.Store(true)
		if err := c.checkUnread(); err != nil {
			return err
		}
	}
}

// handleFirst does what the frame asks by which the plugin said hello.
func (c *connection) handleFirst() error {
	for _, m := range c.firstFrame.GetMessages() {
		if err := c.handle(m); err != nil {
			return err
		}
	}
	return nil
}

// handleEncoded does what one message asks, of which it keeps nothing.
func (c *connection) handleEncoded(message []byte) error {
	if c.plain.read(message) {
		c.finished(&c.plain.finished)
		return nil
	}
	m := &pb.PluginMessage{}
	if err := proto.Unmarshal(message, m); err != nil {
		return err
	}
	return c.handle(m)
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
	case *pb.PluginMessage_Spawn:
		c.report(k.Spawn.GetToken(), k.Spawn.GetSeq(), hostReport{spawn: k.Spawn})
	case *pb.PluginMessage_Changed:
		select {
		case c.changed <- struct{}{}:
		default:
		}
	case *pb.PluginMessage_Draining:
		c.drainingOnce.Do(func() { close(c.pluginDraining) })
	case *pb.PluginMessage_Unsupported:
		if t, ok := tokenOf(k.Unsupported.GetToken()); ok {
			if a := c.find(t); a != nil {
				c.endAttempt(a, protocolError("the plugin does not support this start: "+clip(k.Unsupported.GetReason(), maxText)))
			}
		}
	}
	return nil
}

// checkUnread is an error if a plugin makes its host answer and does not take the answers.
// What is said of the host's own accord is bounded by its attempts.
func (c *connection) checkUnread() error {
	if n := c.out.waiting(); n > maxAnswers && n > maxAnswers+4*uint64(c.attemptCount()) {
		return fmt.Errorf("the plugin does not read: %d messages wait for it", n)
	}
	return nil
}

// breach ends an attempt whose plugin breaks the protocol over it, and no other.
func (c *connection) breach(a *attempt, what string) {
	c.endAttempt(a, protocolError("the plugin breaks the protocol: "+what))
	c.in.forget(a.token)
	c.refuse(a.token[:], 0, what)
}

// finished takes the report of an outcome, of which it keeps nothing if all payloads stand in it.
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
	if !finishedInline(f) {
		if !a.finishing.Swap(true) { // else it is said again while its payload is on its way
			go func() { c.completeLater(a, outcomeFromWire(c.ctx, f, t, c.in), f.GetData()) }()
		}
		return
	}
	o := outcomeFromWire(c.ctx, f, t, c.in)
	if ok, _ := c.dataReached(f.GetData()); ok {
		c.endAttempt(a, o)
		return
	}
	if mark := f.GetData(); !a.finishing.Swap(true) {
		go c.completeLater(a, o, mark)
	}
}

// completeLater ends an attempt once Data has come to mark.
func (c *connection) completeLater(a *attempt, o Outcome, mark uint64) {
	c.waitData(mark)
	c.endAttempt(a, o)
}

// endAttempt ends an attempt with what the plugin reported, or with what it did wrong. One that
// was settled before is forgotten: nobody will settle it again.
func (c *connection) endAttempt(a *attempt, o Outcome) {
	a.end(o)
	a.mu.Lock()
	forget := a.settledEarly
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
		c.ackOutcome(a)
	}
}

// heartbeat ends attempts that the plugin has forgotten, and has it stop those that it
// runs and nobody here knows.
func (c *connection) heartbeat(h *pb.Heartbeat) error {
	now := time.Now()
	if n, known := len(h.GetRunning()), c.attemptCount(); n > known+maxUnknown {
		return fmt.Errorf("the plugin names %d attempts, its host knows %d", n, known)
	}
	named := make(map[Token]struct{}, len(h.GetRunning()))
	for _, b := range h.GetRunning() {
		if t, ok := tokenOf(b); ok {
			named[t] = struct{}{}
		}
	}
	c.mu.Lock()
	lost := c.forgotten(named, h.GetReceived(), now)
	unknown, news := c.unknownTooLong(named, now)
	c.mu.Unlock()
	for _, a := range lost {
		c.endAttempt(a, lostOutcome("the plugin no longer names it"))
	}
	if len(news) > 0 {
		c.log.Warn("the plugin runs attempts that nobody here knows; they are stopped", "count", len(news), "task_token", news[0].String()[:8])
	}
	for _, t := range unknown {
		c.refuse(t[:], 0, "the host knows no such attempt")
	}
	return nil
}

// forgotten are the attempts that too many heartbeats in a row have not named, after the
// plugin had counted their Start among the messages received. It needs the lock held.
func (c *connection) forgotten(named map[Token]struct{}, received uint64, now time.Time) (lost []*attempt) {
	for t, a := range c.attempts {
		if _, ok := named[t]; ok || a.ended() || !startCounted(a, received, now) {
			a.missedBeats = 0
			continue
		}
		if a.missedBeats++; a.missedBeats >= missingBeats {
			lost = append(lost, a)
		}
	}
	return lost
}

// unknownAttempt is what the plugin names and nobody here knows.
type unknownAttempt struct {
	since   time.Time // it was first named, or last refused
	refused bool
}

// unknownTooLong are the tokens that the plugin has long named and nobody here knows, again
// each time that it has gone on for as long after it was refused, and those of them that are
// news. It needs the lock held.
func (c *connection) unknownTooLong(named map[Token]struct{}, now time.Time) (unknown, news []Token) {
	for t := range c.unknown {
		if _, ok := named[t]; !ok {
			delete(c.unknown, t)
		}
	}
	for t := range named {
		if c.attempts[t] != nil {
			continue
		}
		u, ok := c.unknown[t]
		if !ok {
			c.unknown[t] = unknownAttempt{since: now}
			continue
		}
		if now.Sub(u.since) <= unknownFor {
			continue
		}
		unknown = append(unknown, t)
		if !u.refused {
			news = append(news, t)
		}
		c.unknown[t] = unknownAttempt{since: now, refused: true}
	}
	return unknown, news
}

// startCounted says whether the plugin had handled a's Start when it made the list.
// One that does not count what it received is given ten seconds for it.
func startCounted(a *attempt, received uint64, now time.Time) bool {
	if received == 0 {
		return now.Sub(a.startedAt) > 10*time.Second
	}
	return received >= a.startNumber
}

var _ HostConnection = (*connection)(nil)
