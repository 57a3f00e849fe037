package fleet

import (
	"slices"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// startMessage is one message of the broker's with the starts of some attempts of a lane: of
// many where many are to be published at once, for most of what a start costs is what a
// message does. Each attempt in it goes its own way once a worker has it. It is guarded by the
// fleet's mu.
type startMessage struct {
	// token is that of its first start, by which the broker names it.
	token    sdk.Token
	attempts []*attempt
	// position is where the broker has it; 0 until it was confirmed.
	position uint64
	// withdrawn is how many of its attempts were taken back before somebody asked for them.
	withdrawn int
}

// placed is the message as the broker knows it. fleet.mu is held.
func (m *startMessage) placed() broker.PlacedStart {
	return broker.PlacedStart{Token: m.token, Position: m.position}
}

// takeBack forgets that the message was published: the broker does not have it. Waiting are
// those of its attempts that have to be published again. fleet.mu is held.
func (m *startMessage) takeBack() (waits []*attempt) {
	for _, a := range m.attempts {
		if a.message == m && a.phase == waiting {
			a.message = nil
			waits = append(waits, a)
		}
	}
	return waits
}

// maxJoined is what a message of several starts holds in bytes.
const maxJoined = 64 << 10

// startsPerMessage is how many starts of a lane a message may have, if so many wait to be
// published: what every worker that takes from the lane can take, and little enough that each
// of several workers gets some. fleet.mu is held.
func (s *startQueue) startsPerMessage(l wire.Lane, queued int) int {
	n, workers := wire.MaxStarts, 0
	for _, w := range s.fleet.workers {
		if s.fleet.takesFrom(w, l) {
			workers++
			n = min(n, w.info.Starts)
		}
	}
	if workers > 1 {
		n = min(n, queued/(4*workers))
	}
	return max(n, 1)
}

// takesFrom says that a worker takes what is in a lane. f.mu is held.
func (f *fleet) takesFrom(w *remoteWorker, l wire.Lane) bool {
	return w.described && !f.draining(w) && slices.Contains(w.types, l.Type) && f.mayServe(w, l)
}

// nextMessage makes a message of the first attempts of a list that still wait, most at the
// most, and says how many it went through; nil if none of them does. fleet.mu is held.
func (s *startQueue) nextMessage(list []*attempt, most int) (m *startMessage, body []byte, took int) {
	starts, written := s.starts[:0], s.written[:0]
	size, limit := 0, min(s.joinedBytes, s.fleet.maxStart())
	for _, a := range list {
		if a.phase != waiting {
			took++
			continue
		}
		from := len(written)
		var err error
		if written, err = s.fleet.appendStart(written, a.action, &a.task); err != nil { // admitted before the broker said what it carries
			s.fleet.endAttempt(a, notCarried(err))
			took++
			continue
		}
		size += len(written) - from + startOverhead
		if len(starts) > 0 && (a.alone || size > limit) {
			break
		}
		took++
		if m == nil {
			m = &startMessage{token: a.token}
		}
		m.attempts = append(m.attempts, a)
		starts = append(starts, written[from:])
		if a.alone || len(starts) >= most {
			break
		}
	}
	defer s.keepRoom(starts, written)
	if m == nil {
		return nil, nil, took
	}
	for _, a := range m.attempts {
		a.message = m
		a.publishedAt = s.fleet.clock.now()
	}
	s.unconfirmed[m.token] = append(s.unconfirmed[m.token], m)
	return m, wire.JoinStarts(starts), took
}

// keepRoom keeps the room in which starts were written for the next message, unless it is much.
func (s *startQueue) keepRoom(starts [][]byte, written []byte) {
	clear(starts)
	s.starts = starts
	s.written = nil
	if cap(written) <= 2*maxJoined {
		s.written = written
	}
}

// startOverhead is more than a start takes in a message beside itself.
const startOverhead = 16

// answered is the message of that token for which the broker answers now; nil if there is none.
// fleet.mu is held.
func (s *startQueue) answered(t sdk.Token) *startMessage {
	waits := s.unconfirmed[t]
	switch len(waits) {
	case 0:
		return nil
	case 1:
		delete(s.unconfirmed, t)
	default:
		s.unconfirmed[t] = waits[1:]
	}
	return waits[0]
}

// republishJoined publishes again what waits in messages of several starts, if w is a worker
// of an earlier version, which takes the first start of a message alone. While it is here each
// start goes in a message of its own. fleet.mu is held.
func (s *startQueue) republishJoined(w *remoteWorker) {
	if w.info.Starts > 0 {
		return
	}
	for _, a := range s.fleet.attempts {
		if a.phase == waiting && a.message != nil && len(a.message.attempts) > 1 && s.fleet.takesFrom(w, a.lane) {
			s.republish(a)
		}
	}
}
