package remotequeue

import (
	"fmt"

	"github.com/taskhost/taskhost/sdk"
)

// What workers send is bounded in sum. Whoever exceeds the budget of an attempt loses
// that attempt, and a worker that exceeds its own loses its session; neither costs its
// neighbours anything.
const (
	// maxOutcomeText bounds the message, the details and whatever else of an outcome is
	// neither result nor checkpoint, and maxDetails how many details there are. It is what
	// a message has room for beside the largest result.
	maxOutcomeText = 48 << 10
	maxDetails     = 64
	// maxListed bounds the lists in an item, whatever they list.
	maxListed = 10_000
	// maxSaving bounds the checkpoints of one attempt that wait for the store. One more is
	// passed over, and repeated by its worker, so that a flood waits there.
	maxSaving = 8 << 20
	// maxHeartbeat bounds a heartbeat in bytes, maxNamed the attempts it names, and
	// maxRefused those of them that are refused at once: the next is answered as well.
	maxHeartbeat = 2 << 20
	maxNamed     = 50_000
	maxRefused   = 1000
	// maxRuns bounds the attempts that a worker has, with those whose outcome the host
	// has not acknowledged: so many it can name on a broker of any kind.
	maxRuns = 30_000
	// What a worker says of itself.
	maxWorkerTypes     = 1000
	maxWorkerTypeBytes = 512 << 10 // their names, descriptions and schemas
	maxWorkerLabels    = 64
	maxWorkerText      = 16 << 10 // labels, version and address
	maxWorkerSlots     = 1_000_000
	// maxWorkers bounds the workers that are here, and maxInstances those of one name. A
	// worker in a loop of crashes leaves some behind until their silence is noticed.
	maxWorkers   = 5000
	maxInstances = 8
)

// overBudget says what of a worker's message exceeds which bound.
type overBudget struct{ what string }

func (e *overBudget) Error() string { return e.what }

func exceeds(what string, n, limit int) error {
	return &overBudget{fmt.Sprintf("%s: %d, and at most %d are allowed", what, n, limit)}
}

// checkOutcome makes a protocol error of an outcome that is larger than an attempt's
// may be. Both ends ask it: the worker, so that the outcome surely travels, and the
// host, which takes no worker's word for it.
func checkOutcome(o sdk.Outcome) sdk.Outcome {
	text := len(o.Code) + len(o.Message) + len(o.Result.ContentType)
	for k, v := range o.Details {
		text += len(k) + len(v)
	}
	switch {
	case len(o.Details) > maxDetails:
		return protocolError(exceeds("the outcome's error details", len(o.Details), maxDetails).Error())
	case text > maxOutcomeText:
		return protocolError(exceeds("bytes of the outcome's message and error details", text, maxOutcomeText).Error())
	}
	return o
}

func protocolError(why string) sdk.Outcome {
	return sdk.Outcome{Kind: sdk.OutcomeFailed, Code: sdk.CodeProtocolError, Permanent: true, Message: why}
}

// check says what of a heartbeat makes no sense, or is more than a worker may say.
func (h *heartbeat) check() error {
	if len(h.Running)%len(token{}) != 0 || h.Used < 0 || h.Used > maxWorkerSlots || len(h.Offer) > maxWorkerText {
		return errGarbage
	}
	if n := len(h.Running) / len(token{}); n > maxNamed {
		return exceeds("attempts that one worker names", n, maxNamed)
	}
	if h.About != nil {
		return h.About.check()
	}
	return nil
}

func (a *about) check() error {
	text := len(a.Version) + len(a.Address)
	for k, v := range a.Labels {
		text += len(k) + len(v)
	}
	size, seen := 0, make(map[string]bool, len(a.Types))
	for _, t := range a.Types {
		if !sdk.ValidTypeName(t.Name) || seen[t.Name] {
			return errGarbage
		}
		seen[t.Name] = true
		size += (&knownType{TypeInfo: t}).size()
	}
	for typ, n := range a.TypeSlots {
		if n < 0 || !seen[typ] {
			return errGarbage
		}
	}
	switch {
	case a.Slots < 0:
		return errGarbage
	case a.Slots > maxWorkerSlots:
		return exceeds("slots of one worker", a.Slots, maxWorkerSlots)
	case len(a.Types) > maxWorkerTypes:
		return exceeds("task types of one worker", len(a.Types), maxWorkerTypes)
	case size > maxWorkerTypeBytes:
		return exceeds("bytes of the schemas and descriptions of one worker's task types", size, maxWorkerTypeBytes)
	case len(a.Labels) > maxWorkerLabels:
		return exceeds("labels of one worker", len(a.Labels), maxWorkerLabels)
	case text > maxWorkerText:
		return exceeds("bytes of one worker's labels, version and address", text, maxWorkerText)
	}
	return nil
}

// admitWorker makes room for a worker that comes, or says why there is none. One that
// takes the name of a predecessor which died is welcome at once: the one of the name
// that was silent longest goes, if it missed a heartbeat. f.mu is held.
func (f *fleet) admitWorker(p peer) error {
	var silent *worker
	same := 0
	for _, w := range f.workers {
		if w.peer.name == p.name {
			same++
			if silent == nil || w.seen < silent.seen {
				silent = w
			}
		}
	}
	if same >= maxInstances {
		if f.clock.now()-silent.seen <= 2*f.heartbeat() {
			return &overBudget{fmt.Sprintf("%d workers of the name %q are here already: give each a name of its own", same, p.name)}
		}
		delete(f.workers, silent.peer)
		return nil
	}
	if len(f.workers) >= maxWorkers {
		return &overBudget{fmt.Sprintf("%d workers are here already, more are not taken", len(f.workers))}
	}
	return nil
}

// dismiss ends a worker's session, and has it say why. It says whether there was one.
// f.mu is held.
func (f *fleet) dismiss(p peer, why string) (was bool) {
	if n := f.count.dismissed.Add(1); n&(n-1) == 0 {
		f.log.Error("a worker is refused", "worker", p.name, "reason", why, "count", n)
	}
	w := f.workers[p]
	if w != nil {
		f.leave(w)
	}
	f.tell(p, &item{kind: kindDismiss, text: why})
	return w != nil
}
