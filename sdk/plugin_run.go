package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// run is one attempt in a plugin process, from its Start until its outcome is
// acknowledged. To the executor it is the Reporter.
type run struct {
	server           *server
	token            Token
	ctx              AttemptContext
	listener         *session    // that may hear of it; under the server's lock
	payloadsComplete atomic.Bool // all its payloads have come
	returned         atomic.Bool // Execute has returned
	logger           atomic.Pointer[lineLogger]
	dataMark         itemMark // of what it has on Data

	mu         sync.Mutex
	reportTurn chan struct{} // made with the first report: one Started, Checkpoint or Spawn waits for its answer at a time
	seq        uint64
	reports    map[uint64]*report // started, checkpoints and spawns that wait for their answer
	outcome    *Outcome           // when finished
	refused    bool
	abandoned  chan struct{} // made with the first report; closed when nobody will answer
	repeatAt   time.Time     // when to report the outcome again
	repeatWait time.Duration
}

// report is a Started, a Checkpoint or a Spawn on its way.
type report struct {
	seq        uint64
	started    *pb.Started
	checkpoint []byte
	spawn      *Child
	answer     chan reportAnswer // buffered
}

// reportAnswer is what the host said to a report.
type reportAnswer struct {
	id  string // of a child
	err error
}

// finish records the outcome and reports it to the host, if one listens.
func (r *run) finish(o Outcome) {
	r.returned.Store(true)
	r.mu.Lock()
	r.outcome = &o
	r.seq++
	refused := r.refused
	r.mu.Unlock()
	r.ctx.End(nil)
	if refused {
		r.server.forget(r)
		return
	}
	r.reportToListener()
}

// reportToListener reports to the session that has joined this attempt, if it is still there.
func (r *run) reportToListener() {
	r.server.mu.Lock()
	sess := r.server.session
	if r.listener != sess {
		sess = nil
	}
	r.server.mu.Unlock()
	if sess != nil {
		r.report(sess)
	}
}

// report says to a host all that it has not yet acknowledged of this attempt.
func (r *run) report(sess *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.reports) > 0 {
		for _, seq := range slices.Sorted(maps.Keys(r.reports)) {
			r.send(sess, r.reports[seq])
		}
	}
	if r.outcome == nil {
		return
	}
	message, chunks := finishedToWire(r.token, r.seq, r.dataMark.last.Load(), r.outcome)
	r.repeatWait = max(repeatAfter, min(2*r.repeatWait, 5*time.Minute))
	r.repeatAt = time.Now().Add(r.repeatWait)
	sess.out.put(message, message.size())
	sess.sendChunks(chunks)
}

// send puts one report on its way; it needs the attempt's lock held.
func (r *run) send(sess *session, p *report) {
	if p.started != nil {
		sess.say(&pb.PluginMessage{Kind: &pb.PluginMessage_Started{Started: p.started}})
		return
	}
	pk := packer{token: r.token, seq: p.seq}
	if p.spawn != nil {
		w := childToWire(p.spawn)
		w.Token, w.Seq = r.token[:], p.seq
		w.Input = pk.pack(pb.Part_PART_INPUT, p.spawn.Input.(json.RawMessage))
		sess.say(&pb.PluginMessage{Kind: &pb.PluginMessage_Spawn{Spawn: w}})
	} else {
		c := &pb.Checkpoint{Token: r.token[:], Seq: p.seq, Data: pk.pack(pb.Part_PART_CHECKPOINT, p.checkpoint)}
		sess.say(&pb.PluginMessage{Kind: &pb.PluginMessage_Checkpoint{Checkpoint: c}})
	}
	sess.sendChunks(pk.chunks)
}

// repeatDue says whether the outcome should be reported again.
func (r *run) repeatDue(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.outcome != nil && now.After(r.repeatAt)
}

func (r *run) isFinished() bool { return r.returned.Load() }

// settle is the host's word that a report is on record; of the outcome it ends the attempt.
func (r *run) settle(seq uint64) { r.answer(seq, reportAnswer{}) }

// answer answers one report, whatever it was.
func (r *run) answer(seq uint64, with reportAnswer) {
	r.mu.Lock()
	p := r.reports[seq]
	delete(r.reports, seq)
	last := r.outcome != nil && (seq == 0 || seq == r.seq)
	r.mu.Unlock()
	if p != nil {
		p.answer <- with
	}
	if last {
		r.server.forget(r)
	}
}

// refuse tells the script that a report was not wanted, or, with seq 0, that
// nothing of the attempt is.
func (r *run) refuse(m *pb.Refuse) {
	if m.GetSeq() != 0 {
		err := fmt.Errorf("the host refused the report: %s", m.GetReason())
		switch after := m.GetRetryAfter().AsDuration(); {
		case m.GetPermanent():
			err = Permanent(err)
		case after > 0:
			err = RetryAfter(err, after)
		}
		r.answer(m.GetSeq(), reportAnswer{err: err})
		return
	}
	r.mu.Lock()
	r.refused = true
	finished := r.outcome != nil
	r.mu.Unlock()
	r.ctx.End(ErrCancel)
	r.abandon()
	if finished {
		r.server.forget(r)
	}
}

var errNobodyAnswers = errors.New("the host is gone, or wants no more of this attempt")

// abandon ends all waiting for answers.
func (r *run) abandon() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for seq, p := range r.reports {
		delete(r.reports, seq)
		p.answer <- reportAnswer{err: errNobodyAnswers}
	}
	if r.abandoned == nil {
		r.abandoned = make(chan struct{})
	}
	select {
	case <-r.abandoned:
	default:
		close(r.abandoned)
	}
}

// reportAndWait sends a report and waits for its answer, until ctx ends. That is not the
// attempt's: a script that is told to stop may want to save where it was.
func (r *run) reportAndWait(ctx context.Context, p *report) reportAnswer {
	r.mu.Lock()
	if r.reportTurn == nil {
		r.reportTurn = make(chan struct{}, 1)
	}
	turn := r.reportTurn
	r.mu.Unlock()
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return reportAnswer{err: context.Cause(ctx)}
	}
	defer func() { <-turn }()
	p.answer = make(chan reportAnswer, 1)
	r.mu.Lock()
	if r.abandoned != nil {
		r.mu.Unlock()
		return reportAnswer{err: errNobodyAnswers}
	}
	r.seq++
	p.seq = r.seq
	if p.started != nil {
		p.started.Seq = p.seq
	}
	if r.reports == nil {
		r.reports = map[uint64]*report{}
	}
	r.reports[p.seq] = p
	r.mu.Unlock()

	r.server.mu.Lock()
	sess := r.server.session
	heard := sess != nil && r.listener == sess
	r.server.mu.Unlock()
	if heard { // else it is said when a host joins
		r.mu.Lock()
		if r.reports[p.seq] != nil {
			r.send(sess, p)
		}
		r.mu.Unlock()
	}
	select {
	case a := <-p.answer:
		return a
	case <-ctx.Done():
		r.mu.Lock() // nor is it said again
		delete(r.reports, p.seq)
		r.mu.Unlock()
		return reportAnswer{err: context.Cause(ctx)}
	}
}

func (r *run) reporter() {}

// Started reports that the attempt has begun elsewhere.
func (r *run) Started(handle []byte, node string) error {
	if len(handle) > maxHandle {
		return Permanent(fmt.Errorf("handle has %d bytes, at most %d are kept", len(handle), maxHandle))
	}
	return r.save(&report{started: &pb.Started{Token: r.token[:], Handle: handle, Node: clip(node, 256)}})
}

// StartedSoon reports it without waiting for the answer.
func (r *run) StartedSoon(handle []byte, node string, done func(error)) {
	go func() { done(r.Started(handle, node)) }()
}

// save has the host put a report on record, whatever becomes of the attempt's context.
func (r *run) save(p *report) error {
	if r.returned.Load() {
		return nil
	}
	return r.reportAndWait(context.Background(), p).err
}

// Checkpoint saves data with the host.
func (r *run) Checkpoint(data []byte) error {
	if len(data) > MaxCheckpoint {
		return Permanent(errCheckpointTooLarge)
	}
	if data == nil {
		data = []byte{}
	}
	return r.save(&report{checkpoint: data})
}

// Spawn has the host make a child.
func (r *run) Spawn(ctx context.Context, c Child) (id string, err error) {
	if err = c.prepare(); err != nil {
		return "", Permanent(spawnError(c.Name, err))
	}
	r.server.mu.Lock()
	able := r.server.config.GetSpawns()
	r.server.mu.Unlock()
	if !able {
		return "", Permanent(spawnError(c.Name, errNoChildren))
	}
	a := reportAnswer{err: errAttemptOver}
	if !r.returned.Load() {
		a = r.reportAndWait(ctx, &report{spawn: &c})
	}
	return a.id, a.err
}

var errAttemptOver = errors.New("the attempt is over")

// Progress says how far the attempt is.
func (r *run) Progress(done, total int64, message string) {
	if !r.returned.Load() {
		r.server.data.addProgress(r.token, &r.dataMark, done, total, message)
	}
}

// Log is the attempt's logger.
func (r *run) Log() hclog.Logger {
	if l := r.logger.Load(); l != nil {
		return l
	}
	l := &lineLogger{write: func(level hclog.Level, msg string, args []string) {
		if !r.returned.Load() {
			r.server.data.addLine(logLine(r.token, int32(level), msg, args), &r.dataMark)
		}
	}}
	if !r.logger.CompareAndSwap(nil, l) {
		l = r.logger.Load()
	}
	return l
}
