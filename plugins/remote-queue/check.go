package remotequeue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// check looks after the starts that nobody asked for in a while.
func (s *stream) check() error {
	ctx, cancel := context.WithTimeout(s.f.ctx, 10*time.Second)
	defer cancel()
	st, err := s.f.js.Stream(ctx, s.f.names.stream())
	if err != nil {
		return err
	}
	info := st.CachedInfo()
	s.f.mu.Lock()
	if !s.created.Equal(info.Created) {
		s.renewed(info.Created)
		s.f.mu.Unlock()
		return nil
	}
	old := make(map[lane][]*attempt)
	now := s.f.clock.now()
	for _, a := range s.f.attempts {
		quiet := now - max(a.published, a.seen)
		if a.phase == waiting && a.seq > 0 && quiet > time.Duration(s.f.conf.Lapse) {
			old[a.lane] = append(old[a.lane], a)
		}
	}
	idle := s.idleLanes(now)
	s.f.mu.Unlock()
	for _, l := range idle {
		if err := st.DeleteConsumer(ctx, l.consumer()); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return fmt.Errorf("delete consumer %s: %w", l.consumer(), err)
		}
	}
	for l, list := range old {
		if err := s.checkLane(ctx, st, info, l, list); err != nil && !errors.Is(err, errLane) {
			return err
		}
	}
	return nil
}

// idleLanes takes out the lanes of routes that nobody asks for. fleet.mu is held.
func (s *stream) idleLanes(now time.Duration) (idle []lane) {
	busy := make(map[lane]bool)
	for _, a := range s.f.attempts {
		busy[a.lane] = true
	}
	used := make(map[string]bool)
	for l, last := range s.lanes {
		if l.route == anyRoute || busy[l] || now-last < routeIdle {
			used[l.route] = true
			continue
		}
		idle = append(idle, l)
		delete(s.lanes, l)
	}
	for _, l := range idle {
		if !used[l.route] {
			delete(s.f.routes, l.route)
		}
	}
	return idle
}

// checkLane finds the starts that left the stream without anybody asking for them:
// a worker died between accepting and asking, or the broker forgot them.
func (s *stream) checkLane(ctx context.Context, st jetstream.Stream, info *jetstream.StreamInfo, l lane, list []*attempt) error {
	c, err := st.Consumer(ctx, l.consumer())
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		s.f.mu.Lock()
		delete(s.lanes, l)
		s.f.mu.Unlock()
		return s.ensure(l)
	}
	if err != nil {
		return err
	}
	delivered := c.CachedInfo().Delivered.Stream
	for _, a := range list {
		s.f.mu.Lock()
		seq := a.seq
		s.f.mu.Unlock()
		if seq > delivered && seq <= info.State.LastSeq && seq >= info.State.FirstSeq {
			continue // waits for a worker
		}
		there, err := s.holds(ctx, st, a, seq)
		if err != nil {
			return err
		}
		s.f.mu.Lock()
		if !there && a.phase == waiting && a.seq == seq {
			s.f.log.Warn("a start left the broker and nobody asked for it: published again", "task", a.id)
			s.again(a)
		}
		s.f.mu.Unlock()
	}
	return nil
}

func (s *stream) holds(ctx context.Context, st jetstream.Stream, a *attempt, seq uint64) (bool, error) {
	m, err := st.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	start, err := decodeStart(m.Data)
	return err == nil && start.task.Token == a.token, nil
}

func (s *stream) erase(w withdrawn) {
	// By request rather than through the Stream, which would be looked up first.
	data, err := json.Marshal(map[string]any{"seq": w.seq, "no_erase": true})
	if err != nil || !s.f.nc.IsConnected() {
		return
	}
	s.f.send("$JS.API.STREAM.MSG.DELETE."+s.f.names.stream(), data)
}
