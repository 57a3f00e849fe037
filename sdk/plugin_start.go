package sdk

import (
	"fmt"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// begunAttempt is an attempt that is to be run.
type begunAttempt struct {
	run       *run
	session   *session
	start     *pb.Start // whose payloads are awaited; nil if the task is there
	task      Task
	taskError error // why there is none
	reverts   bool
	executor  Executor
	maxResult int64
}

// start begins an attempt, or joins the one that goes by the same token. What is to be run is
// added to those that the frame has begun. Of m it keeps nothing if startInline(m).
func (s *server) start(sess *session, m *pb.Start) {
	token, ok := tokenOf(m.GetToken())
	if !ok || (m.GetAction() != pb.Action_ACTION_UNSPECIFIED && m.GetAction() != pb.Action_ACTION_REVERT) {
		sess.say(&pb.PluginMessage{Kind: &pb.PluginMessage_Unsupported{Unsupported: &pb.Unsupported{
			Token: m.GetToken(), Reason: fmt.Sprintf("no such start: token of %d bytes, action %d", len(m.GetToken()), m.GetAction())}}})
		if ok {
			sess.dropChunks(token, m)
		}
		return
	}
	s.mu.Lock()
	if s.session != sess { // another host has taken over meanwhile
		s.mu.Unlock()
		return
	}
	if r := s.attempts[token]; r != nil {
		r.listener = sess
		s.mu.Unlock()
		sess.dropChunks(token, m)
		r.report(sess)
		return
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
		sess.dropChunks(token, m)
		r.finish(notBegun(m.GetRejoin(), "the plugin is draining and did not start it"))
	case m.GetRejoin() && !info.Outlives && !info.Deferred:
		s.running.Done()
		sess.dropChunks(token, m)
		r.finish(lostOutcome("this process does not know it"))
	default:
		a := begunAttempt{run: r, session: sess, executor: exec, maxResult: info.MaxResult, reverts: m.GetAction() == pb.Action_ACTION_REVERT}
		if startInline(m) {
			a.readTask(m)
		} else {
			a.start = m
		}
		sess.begun = append(sess.begun, a)
	}
}

// dropChunks drops the chunks of a Start whose payloads nobody waits for, before they come, too:
// the attempt may be forgotten by then.
func (s *session) dropChunks(token Token, m *pb.Start) {
	if startChunked(m) {
		s.in.refuse(token)
	} else {
		s.in.forget(token)
	}
}

// newRun makes an attempt whose time begins now.
func newRun(s *server, token Token, m *pb.Start) *run {
	r := &run{server: s, token: token}
	if m.GetRemaining() != nil {
		r.ctx.Limit(m.GetRemaining().AsDuration(), nil)
	}
	return r
}

// readTask makes the task of the attempt's Start. It waits for payloads that are chunked.
func (a *begunAttempt) readTask(m *pb.Start) {
	deadline, _ := a.run.ctx.Deadline()
	a.task, a.taskError = taskFromWire(&a.run.ctx, m, a.run.token, deadline, a.session.in)
	a.run.payloadsComplete.Store(true)
}

// execute is an attempt's turn in its goroutine.
func (a *begunAttempt) execute() {
	r := a.run
	if a.start != nil {
		a.readTask(a.start)
	}
	if a.taskError != nil {
		a.session.in.refuse(r.token)
		r.end(notBegun(a.task.Rejoin, "its input did not arrive: "+a.taskError.Error()))
		return
	}
	async, isAsync := a.executor.(AsyncExecutor)
	switch {
	case a.reverts:
		r.executed(Result{}, Revert(&r.ctx, a.executor, a.task, r), a.maxResult)
	case isAsync:
		maxResult := a.maxResult
		ExecuteAsync(&r.ctx, async, a.task, r, func(res Result, err error) { r.executed(res, err, maxResult) })
	default:
		res, err := Execute(&r.ctx, a.executor, a.task, r)
		r.executed(res, err, a.maxResult)
	}
}

// executed takes what the executor returned.
func (r *run) executed(res Result, err error, maxResult int64) {
	r.end(bounded(OutcomeOf(&r.ctx, res, err), maxResult))
}

// end is the end of an attempt that was begun.
func (r *run) end(o Outcome) {
	r.finish(o)
	r.server.running.Done()
}
