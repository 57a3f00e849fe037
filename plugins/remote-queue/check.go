package remotequeue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// checkStarts looks after the starts that nobody asked for in a while.
func (s *stream) checkStarts() error {
	ctx, cancel := context.WithTimeout(s.fleet.ctx, 10*time.Second)
	defer cancel()
	st, err := s.fleet.js.Stream(ctx, s.fleet.names.stream())
	if err != nil {
		return err
	}
	info := st.CachedInfo()
	s.fleet.mu.Lock()
	if !s.createdAt.Equal(info.Created) {
		s.noteCreated(info.Created)
		s.fleet.mu.Unlock()
		return nil
	}
	old := make(map[lane][]*attempt)
	now := s.fleet.clock.now()
	for _, a := range s.fleet.attempts {
		quiet := now - max(a.publishedAt, a.lastNamed)
		if a.phase == waiting && a.streamSeq > 0 && quiet > time.Duration(s.fleet.queueConfig.Lapse) {
			old[a.lane] = append(old[a.lane], a)
		}
	}
	idle := s.removeIdleLanes(now)
	s.fleet.mu.Unlock()
	for _, l := range idle {
		if err := st.DeleteConsumer(ctx, l.consumer()); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return fmt.Errorf("delete consumer %s: %w", l.consumer(), err)
		}
	}
	for l, list := range old {
		if err := s.checkLaneStarts(ctx, st, info, l, list); err != nil && !errors.Is(err, errLaneRefused) {
			return err
		}
	}
	return nil
}

// removeIdleLanes takes out the lanes of routes that nobody asks for. fleet.mu is held.
func (s *stream) removeIdleLanes(now time.Duration) (idle []lane) {
	busy := make(map[lane]bool)
	for _, a := range s.fleet.attempts {
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
			delete(s.fleet.routes, l.route)
		}
	}
	return idle
}

// checkLaneStarts finds the starts that left the stream without anybody asking for them:
// a worker died between accepting and asking, or the broker forgot them.
func (s *stream) checkLaneStarts(ctx context.Context, st jetstream.Stream, info *jetstream.StreamInfo, l lane, list []*attempt) error {
	c, err := st.Consumer(ctx, l.consumer())
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		s.fleet.mu.Lock()
		delete(s.lanes, l)
		s.fleet.mu.Unlock()
		return s.ensureLane(l)
	}
	if err != nil {
		return err
	}
	delivered := c.CachedInfo().Delivered.Stream
	for _, a := range list {
		s.fleet.mu.Lock()
		seq := a.streamSeq
		s.fleet.mu.Unlock()
		if seq > delivered && seq <= info.State.LastSeq && seq >= info.State.FirstSeq {
			continue // waits for a worker
		}
		there, err := s.holdsStart(ctx, st, a, seq)
		if err != nil {
			return err
		}
		s.fleet.mu.Lock()
		if !there && a.phase == waiting && a.streamSeq == seq {
			s.fleet.log.Warn("a start left the broker and nobody asked for it: published again", "task", a.id)
			s.republish(a)
		}
		s.fleet.mu.Unlock()
	}
	return nil
}

func (s *stream) holdsStart(ctx context.Context, st jetstream.Stream, a *attempt, seq uint64) (bool, error) {
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

func (s *stream) deleteStart(w withdrawal) {
	// By request rather than through the Stream, which would be looked up first.
	data, err := json.Marshal(map[string]any{"seq": w.seq, "no_erase": true})
	if err != nil || !s.fleet.nc.IsConnected() {
		return
	}
	s.fleet.send("$JS.API.STREAM.MSG.DELETE."+s.fleet.names.stream(), data)
}
