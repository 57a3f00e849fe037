package remotequeue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/taskhost/taskhost/sdk"
)

// refusal is a lane that the broker does not make.
type refusal struct {
	tries int
	until time.Time // not tried again before
}

// errLane is a lane that the broker refuses; the others go on.
var errLane = errors.New("the broker refuses a lane")

const (
	// maxRefusals is how often a start or its lane may be refused before the attempt
	// is given back: it costs nothing, and says why.
	maxRefusals    = 5
	maxRefusalWait = time.Minute
)

// refuse sets a lane aside for a while, and gives back what waits in it once that is
// no exception any more. A broker that does not answer, as one does that denies it,
// holds up all others with each try: it is tried rarely. fleet.mu is held.
func (s *stream) refuse(l lane, err error) {
	r := s.refused[l]
	if r == nil {
		r = &refusal{}
		s.refused[l] = r
		s.f.log.Warn("the broker refuses a lane; it is tried again", "type", l.typ, "route", l.route, "error", err)
	}
	r.tries++
	wait := retryPause << min(r.tries, 10)
	if errors.Is(err, context.DeadlineExceeded) {
		r.tries += maxRefusals / 2
		wait = maxRefusalWait / 4 << min(r.tries, 10)
	}
	wait = min(wait, maxRefusalWait)
	r.until = time.Now().Add(wait)
	time.AfterFunc(wait, s.wake)
	if r.tries < maxRefusals {
		return
	}
	for _, a := range s.f.attempts {
		if a.lane == l && a.phase == waiting {
			s.f.takeBack(a, fmt.Sprintf("the broker refuses to make the queue of type %q for this route: %s", l.typ, err))
		}
	}
}

// publishQueued publishes all that is queued, and keeps what it could not: what the
// broker refuses does not hold up the rest.
func (s *stream) publishQueued() error {
	s.f.mu.Lock()
	if time.Now().Before(s.until) {
		s.f.mu.Unlock()
		return nil
	}
	queue := s.queue
	s.queue = nil
	s.f.mu.Unlock()
	var kept []*attempt
	var err error
	for i, a := range queue {
		err = s.publish(a)
		if errors.Is(err, errLane) {
			kept, err = append(kept, a), nil
		}
		if err != nil {
			kept = append(kept, queue[i:]...)
			break
		}
	}
	s.f.mu.Lock()
	s.queue = append(kept, s.queue...)
	s.f.mu.Unlock()
	return s.failed(err)
}

func (s *stream) publish(a *attempt) error {
	s.f.mu.Lock()
	gone := a.phase != waiting
	s.f.mu.Unlock()
	if gone {
		return nil
	}
	if err := s.ensure(a.lane); err != nil {
		return err
	}
	if !s.f.owner.sure() {
		return errNotOurs
	}
	s.f.mu.Lock()
	if a.phase != waiting {
		s.f.mu.Unlock()
		return nil
	}
	if err := s.f.encode(a); err != nil { // admitted before the broker said what it carries
		s.f.finish(a, tooMuch(err))
		s.f.mu.Unlock()
		return nil
	}
	a.published = s.f.clock.now()
	s.lanes[a.lane] = a.published
	id := a.token.String()
	if a.copies > 0 { // else the broker would take it for the one it lost
		id = fmt.Sprintf("%s.%d", id, a.copies)
	}
	body := a.body
	s.f.mu.Unlock()
	msg := nats.NewMsg(s.f.names.starts(a.lane))
	msg.Data = body
	msg.Header.Set(nats.MsgIdHdr, id)
	if _, err := s.f.js.PublishMsgAsync(msg); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// published notes where the broker put a start.
func (s *stream) published(_ jetstream.JetStream, m *nats.Msg, ack *jetstream.PubAck) {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	s.pause = 0
	a := s.attemptOf(m)
	if a != nil {
		a.seq = ack.Sequence
	}
	if a == nil || a.phase == over { // taken back before the broker answered
		s.withdraw(ack.Sequence)
	}
}

// unpublished tries again what the broker did not take, or did not answer to: it
// may be full or between two leaders. The attempt stays dispatched and costs nothing.
// One that it refuses again and again is given back, one that it never takes fails.
func (s *stream) unpublished(_ jetstream.JetStream, m *nats.Msg, err error) {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	a := s.attemptOf(m)
	if errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum) {
		if a != nil && a.phase == waiting {
			s.f.finish(a, tooMuch(err))
		}
		return
	}
	if s.pause == 0 {
		s.f.log.Warn("the broker does not take what is dispatched; it is tried again", "error", err)
	}
	if now := time.Now(); now.After(s.until) {
		s.pause = min(max(2*s.pause, retryPause), maxPause)
		s.until = now.Add(s.pause)
		time.AfterFunc(s.pause, s.wake)
	}
	if noStream(err) {
		s.ready = false
	}
	if a == nil || a.phase != waiting || a.seq != 0 {
		return
	}
	if refused := (*jetstream.APIError)(nil); errors.As(err, &refused) && !noStream(err) {
		a.refusals++
	}
	if a.refusals >= 4*maxRefusals {
		s.f.finish(a, released("the broker does not take the task: "+err.Error()))
		return
	}
	s.queue = append(s.queue, a)
}

// attemptOf is the attempt that a published start belongs to. fleet.mu is held.
func (s *stream) attemptOf(m *nats.Msg) *attempt {
	id, _, _ := strings.Cut(m.Header.Get(nats.MsgIdHdr), ".")
	t, err := sdk.ParseToken(id)
	if err != nil {
		return nil
	}
	return s.f.attempts[t]
}
