package remotequeue

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// puller takes the starts of one lane for one executor. It asks for as many as the
// executor has slots free, and for more only as they are used up.
type puller struct {
	executor     *localExecutor
	consumer     string
	taskType     string
	inbox        string
	subscription *nats.Subscription
	// guarded by the worker's mu
	requested   int       // asked for and not come
	requestedAt time.Time // when last asked
	pausedUntil time.Time // not before: the broker refused
}

const (
	pullExpiry = 30 * time.Second
	maxPull    = 512 // at a time
	// suspectLater puts a start back for a second.
	suspectLater = `-NAK {"delay":1000000000}`
)

// pullLoop asks for work whenever something changed.
func (w *Worker) pullLoop() {
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-w.pullWanted:
		}
		w.updatePullers()
		w.sendPulls()
	}
}

// updatePullers begins and ends pullers by what the host offers.
func (w *Worker) updatePullers() {
	w.mu.Lock()
	defer w.mu.Unlock()
	offered := make(map[string]*localExecutor, len(w.offer.Lanes))
	for _, o := range w.offer.Lanes {
		for _, l := range w.executors {
			if _, ok := l.types[o.Type]; ok {
				offered[o.Consumer] = l
				if l.pullers[o.Consumer] == nil {
					w.openPuller(l, o)
				}
				break
			}
		}
	}
	for _, l := range w.executors {
		for c, p := range l.pullers {
			if offered[c] != l {
				_ = p.subscription.Unsubscribe() // what still comes is delivered again, to others
				delete(l.pullers, c)
			}
		}
	}
}

func (w *Worker) openPuller(l *localExecutor, o offerLane) {
	p := &puller{executor: l, consumer: o.Consumer, taskType: o.Type}
	p.inbox = w.names.inbox(w.options.Name) + "." + w.peer.instance + ".pull." + o.Consumer
	var err error
	if p.subscription, err = w.nc.Subscribe(p.inbox, func(m *nats.Msg) { w.handleDelivery(p, m) }); err != nil {
		w.log.Warn("subscribe", "consumer", o.Consumer, "error", err)
		return
	}
	l.pullers[o.Consumer] = p
}

// pullRequest is what JetStream wants to know.
type pullRequest struct {
	Batch   int           `json:"batch"`
	Expires time.Duration `json:"expires"`
}

func (w *Worker) sendPulls() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.takesNothing() || len(w.runs) >= maxRuns || !w.nc.IsConnected() {
		return
	}
	now := time.Now()
	for _, l := range w.executors {
		for _, p := range l.pullers {
			if p.requested > 0 && now.Sub(p.requestedAt) > pullExpiry+2*time.Second {
				p.requested = 0 // the broker's word that it expired was lost
			}
			if n := l.pullCount(p); n > 0 && !now.Before(p.pausedUntil) {
				w.sendPull(p, n, now)
			}
		}
	}
}

// pullCount is how many to ask for. The free slots are shared among the lanes, at least
// one each: what comes beyond the slots is given back. Small change is left to
// gather, as long as something is asked for.
func (l *localExecutor) pullCount(p *puller) int {
	free := l.slots - l.used
	if free <= 0 || l.pullers[p.consumer] != p { // or its lane is not offered any more
		return 0
	}
	share := max(1, free/len(l.pullers))
	n := share - p.requested
	if n <= 0 || p.requested > 0 && n <= share/4 {
		return 0
	}
	return min(n, maxPull)
}

func (w *Worker) sendPull(p *puller, n int, now time.Time) {
	data, err := json.Marshal(pullRequest{Batch: n, Expires: pullExpiry})
	if err == nil {
		err = w.nc.PublishRequest(w.names.pull(p.consumer), p.inbox, data)
	}
	if err != nil {
		p.pausedUntil = now.Add(time.Second)
		return
	}
	p.requested += n
	p.requestedAt = now
}

// handleDelivery is a start, or the broker's word about a pull.
func (w *Worker) handleDelivery(p *puller, m *nats.Msg) {
	if status := m.Header.Get("Status"); status != "" && len(m.Data) == 0 {
		w.handlePullStatus(p, status, m)
		return
	}
	s, err := decodeStart(m.Data)
	w.mu.Lock()
	p.requested = max(p.requested-1, 0)
	if err != nil || s.task.Type != p.taskType {
		w.mu.Unlock()
		w.counters.garbled.Add(1)
		w.log.Warn("a start that makes no sense was thrown away", "consumer", p.consumer)
		w.answerDelivery(m, "+TERM")
		return
	}
	_, known := w.runs[s.task.Token]
	full := w.takesNothing() || len(w.runs) >= maxRuns || p.executor.used >= p.executor.slots
	later := s.task.Suspect && w.suspect != nil
	if !known && !full && !later {
		p.executor.used++
		r := &run{start: s, executor: p.executor, receivedAt: time.Now()}
		w.runs[s.task.Token] = r
		if s.task.Suspect {
			w.suspect = r
		}
	}
	more := p.executor.pullCount(p) > 0
	w.mu.Unlock()
	switch {
	case known: // delivered twice: it must not come a third time
		w.answerDelivery(m, "+ACK")
	case full:
		w.answerDelivery(m, "-NAK")
	case later: // for another worker, or for this one when the suspect here has ended
		w.answerDelivery(m, suspectLater)
	default:
		inbox := w.names.inbox(w.options.Name) + "." + w.peer.instance + ".ack." + s.task.Token.String()
		if err := w.nc.PublishRequest(m.Reply, inbox, []byte("+ACK")); err != nil {
			w.dropUnaccepted(s.task.Token)
		}
	}
	if more {
		wake(w.pullWanted)
	}
}

func (w *Worker) answerDelivery(m *nats.Msg, word string) { w.publish(m.Reply, []byte(word)) }

func (w *Worker) handlePullStatus(p *puller, status string, m *nats.Msg) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch n, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages")); {
	case status == "100": // a heartbeat, which nobody asked for
		return
	case err == nil:
		p.requested = max(p.requested-n, 0)
	default:
		p.requested = 0
	}
	if status != "408" { // not just expired: the consumer is not there, or full of askers
		p.pausedUntil = time.Now().Add(time.Second)
		time.AfterFunc(time.Second+10*time.Millisecond, func() { wake(w.pullWanted) })
		return
	}
	wake(w.pullWanted)
}

// handleAcceptConfirmed is the broker's confirmation that a start is out of its hands. Only now
// may the host be asked: what it answers go to must not be handed out again.
func (w *Worker) handleAcceptConfirmed(m *nats.Msg) {
	_, last, _ := strings.Cut(m.Subject, ".ack.")
	var t token
	if n, err := hex.Decode(t[:], []byte(last)); err != nil || n != len(t) {
		return
	}
	w.mu.Lock()
	r := w.runs[t]
	ask := r != nil && r.phase == accepting
	if ask {
		r.phase, r.reportedAt = asking, time.Now()
	}
	w.mu.Unlock()
	if ask {
		w.queueItem(&item{kind: kindAsk, token: t})
	}
}
