package sdk

import (
	"context"
	"fmt"
	"time"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// begunAttempt is an attempt that is to be run.
type begunAttempt struct {
	run       *run
	session   *session
	start     *pb.Start
	executor  Executor
	maxResult int64
}

// start begins an attempt, or joins the one that goes by the same token. It gives what is to
// be run, if anything.
func (s *server) start(sess *session, m *pb.Start) (a begunAttempt, ok bool) {
	token, ok := tokenOf(m.GetToken())
	if !ok || (m.GetAction() != pb.Action_ACTION_UNSPECIFIED && m.GetAction() != pb.Action_ACTION_REVERT) {
		sess.out.put(&pb.PluginMessage{Kind: &pb.PluginMessage_Unsupported{Unsupported: &pb.Unsupported{
			Token: m.GetToken(), Reason: fmt.Sprintf("no such start: token of %d bytes, action %d", len(m.GetToken()), m.GetAction())}}}, 0)
		return a, false
	}
	s.mu.Lock()
	if s.session != sess { // another host has taken over meanwhile
		s.mu.Unlock()
		return a, false
	}
	if r := s.attempts[token]; r != nil {
		r.listener = sess
		s.mu.Unlock()
		sess.in.forget(token)
		r.report(sess)
		return a, false
	}
	r := newRun(s, token, m)
	r.listener = sess
	s.attempts[token] = r
	draining, exec, info := s.draining, s.exec, s.info
	if !draining {
		s.running.Add(1)
	}
	s.mu.Unlock()
	switch {
	case draining:
		r.finish(Outcome{Kind: OutcomeReleased, Message: "the plugin is draining and did not start it"})
	case m.GetRejoin() && !info.Outlives && !info.Deferred:
		s.running.Done()
		r.finish(lostOutcome("this process does not know it"))
	default:
		return begunAttempt{run: r, session: sess, start: m, executor: exec, maxResult: info.MaxResult}, true
	}
	return a, false
}

// newRun makes an attempt whose time begins now.
func newRun(s *server, token Token, m *pb.Start) *run {
	r := &run{server: s, token: token}
	r.ctx.Context, r.cancel = context.WithCancelCause(context.Background())
	if m.GetRemaining() != nil {
		d := m.GetRemaining().AsDuration()
		r.ctx.deadline = time.Now().Add(d)
		r.late = time.AfterFunc(d, func() { r.cancel(ErrTimeout) })
	}
	return r
}

// execute is an attempt's turn in its goroutine.
func (a *begunAttempt) execute() {
	r := a.run
	defer r.server.running.Done()
	t, err := taskFromWire(&r.ctx, a.start, r.token, r.ctx.deadline, a.session.in)
	r.payloadsComplete.Store(true)
	if err != nil {
		r.finish(Outcome{Kind: OutcomeReleased, Message: "its input did not arrive: " + err.Error()})
		return
	}
	var res Result
	if a.start.GetAction() == pb.Action_ACTION_REVERT {
		err = Revert(&r.ctx, a.executor, t, r)
	} else {
		res, err = Execute(&r.ctx, a.executor, t, r)
	}
	r.finish(bounded(OutcomeOf(&r.ctx, res, err), a.maxResult))
}

// attemptContext is what a script is given. An attempt that is out of time hears of it as of
// any other end: by the cause.
type attemptContext struct {
	context.Context
	deadline time.Time // zero if there is none
}

// Deadline is when the attempt times out.
func (c *attemptContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }
