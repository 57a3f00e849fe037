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
	l        *local
	consumer string
	typ      string
	inbox    string
	sub      *nats.Subscription
	// guarded by the worker's mu
	out   int       // asked for and not come
	sent  time.Time // when last asked
	after time.Time // not before: the broker refused
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
		case <-w.pulls:
		}
		w.lanes()
		w.pullAll()
	}
}

// lanes begins and ends pullers by what the host offers.
func (w *Worker) lanes() {
	w.mu.Lock()
	defer w.mu.Unlock()
	offered := make(map[string]*local, len(w.offer.Lanes))
	for _, o := range w.offer.Lanes {
		for _, l := range w.locals {
			if _, ok := l.types[o.Type]; ok {
				offered[o.Consumer] = l
				if l.pullers[o.Consumer] == nil {
					w.open(l, o)
				}
				break
			}
		}
	}
	for _, l := range w.locals {
		for c, p := range l.pullers {
			if offered[c] != l {
				_ = p.sub.Unsubscribe() // what still comes is delivered again, to others
				delete(l.pullers, c)
			}
		}
	}
}

func (w *Worker) open(l *local, o offerLane) {
	p := &puller{l: l, consumer: o.Consumer, typ: o.Type}
	p.inbox = w.names.inbox(w.o.Name) + "." + w.peer.instance + ".pull." + o.Consumer
	var err error
	if p.sub, err = w.nc.Subscribe(p.inbox, func(m *nats.Msg) { w.delivered(p, m) }); err != nil {
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

func (w *Worker) pullAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.takesNothing() || len(w.runs) >= maxRuns || !w.nc.IsConnected() {
		return
	}
	now := time.Now()
	for _, l := range w.locals {
		for _, p := range l.pullers {
			if p.out > 0 && now.Sub(p.sent) > pullExpiry+2*time.Second {
				p.out = 0 // the broker's word that it expired was lost
			}
			if n := l.wants(p); n > 0 && !now.Before(p.after) {
				w.pull(p, n, now)
			}
		}
	}
}

// wants is how many to ask for. The free slots are shared among the lanes, at least
// one each: what comes beyond the slots is given back. Small change is left to
// gather, as long as something is asked for.
func (l *local) wants(p *puller) int {
	free := l.slots - l.used
	if free <= 0 || l.pullers[p.consumer] != p { // or its lane is not offered any more
		return 0
	}
	share := max(1, free/len(l.pullers))
	n := share - p.out
	if n <= 0 || p.out > 0 && n <= share/4 {
		return 0
	}
	return min(n, maxPull)
}

func (w *Worker) pull(p *puller, n int, now time.Time) {
	data, err := json.Marshal(pullRequest{Batch: n, Expires: pullExpiry})
	if err == nil {
		err = w.nc.PublishRequest(w.names.pull(p.consumer), p.inbox, data)
	}
	if err != nil {
		p.after = now.Add(time.Second)
		return
	}
	p.out += n
	p.sent = now
}

// delivered is a start, or the broker's word about a pull.
func (w *Worker) delivered(p *puller, m *nats.Msg) {
	if status := m.Header.Get("Status"); status != "" && len(m.Data) == 0 {
		w.pullEnded(p, status, m)
		return
	}
	s, err := decodeStart(m.Data)
	w.mu.Lock()
	p.out = max(p.out-1, 0)
	if err != nil || s.task.Type != p.typ {
		w.mu.Unlock()
		w.count.garbage.Add(1)
		w.log.Warn("a start that makes no sense was thrown away", "consumer", p.consumer)
		w.answer(m, "+TERM")
		return
	}
	_, known := w.runs[s.task.Token]
	full := w.takesNothing() || len(w.runs) >= maxRuns || p.l.used >= p.l.slots
	later := s.task.Suspect && w.suspect != nil
	if !known && !full && !later {
		p.l.used++
		r := &run{start: s, l: p.l, since: time.Now()}
		w.runs[s.task.Token] = r
		if s.task.Suspect {
			w.suspect = r
		}
	}
	more := p.l.wants(p) > 0
	w.mu.Unlock()
	switch {
	case known: // delivered twice: it must not come a third time
		w.answer(m, "+ACK")
	case full:
		w.answer(m, "-NAK")
	case later: // for another worker, or for this one when the suspect here has ended
		w.answer(m, suspectLater)
	default:
		inbox := w.names.inbox(w.o.Name) + "." + w.peer.instance + ".ack." + s.task.Token.String()
		if err := w.nc.PublishRequest(m.Reply, inbox, []byte("+ACK")); err != nil {
			w.drop(s.task.Token)
		}
	}
	if more {
		signal(w.pulls)
	}
}

func (w *Worker) answer(m *nats.Msg, word string) { w.send(m.Reply, []byte(word)) }

func (w *Worker) pullEnded(p *puller, status string, m *nats.Msg) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch n, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages")); {
	case status == "100": // a heartbeat, which nobody asked for
		return
	case err == nil:
		p.out = max(p.out-n, 0)
	default:
		p.out = 0
	}
	if status != "408" { // not just expired: the consumer is not there, or full of askers
		p.after = time.Now().Add(time.Second)
		time.AfterFunc(time.Second+10*time.Millisecond, func() { signal(w.pulls) })
		return
	}
	signal(w.pulls)
}

// accepted is the broker's confirmation that a start is out of its hands. Only now
// may the host be asked: what it answers go to must not be handed out again.
func (w *Worker) accepted(m *nats.Msg) {
	_, last, _ := strings.Cut(m.Subject, ".ack.")
	var t token
	if n, err := hex.Decode(t[:], []byte(last)); err != nil || n != len(t) {
		return
	}
	w.mu.Lock()
	r := w.runs[t]
	ask := r != nil && r.phase == accepting
	if ask {
		r.phase, r.sent = asking, time.Now()
	}
	w.mu.Unlock()
	if ask {
		w.tell(&item{kind: kindAsk, token: t})
	}
}
