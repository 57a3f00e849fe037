package fleet

import (
	"fmt"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

const (
	// maxSaving bounds the checkpoints of one attempt that wait for the store, in bytes. One
	// more is passed over, and repeated by its worker, so that a flood waits there.
	maxSaving = 8 << 20
	// maxAsking bounds how many children and checkpoints of one attempt are on their way to the
	// store. A worker has one at a time.
	maxAsking = 64
	// maxRefused bounds the attempts of one heartbeat that are refused at once: the next is
	// answered as well.
	maxRefused = 1000
	// maxWorkers bounds the workers that are here, and maxInstances those of one name. A
	// worker in a loop of crashes leaves some behind until their silence is noticed.
	maxWorkers   = 5000
	maxInstances = 8
)

// admitWorker makes room for a worker that comes, or says why there is none. One that
// takes the name of a predecessor which died is welcome at once: the one of the name
// that was silent longest goes, if it missed a heartbeat. f.mu is held.
func (f *fleet) admitWorker(p wire.Peer) error {
	var silent *remoteWorker
	same := 0
	for _, w := range f.workers {
		if w.peer.Name == p.Name {
			same++
			if silent == nil || w.heardAt < silent.heardAt {
				silent = w
			}
		}
	}
	if same >= maxInstances {
		if f.clock.now()-silent.heardAt <= 2*f.heartbeat() {
			return &wire.LimitError{Reason: fmt.Sprintf("%d workers of the name %q are here already: give each a name of its own", same, p.Name)}
		}
		delete(f.workers, silent.peer)
		return nil
	}
	if len(f.workers) >= maxWorkers {
		return &wire.LimitError{Reason: fmt.Sprintf("%d workers are here already, more are not taken", len(f.workers))}
	}
	return nil
}

// dismissWorker ends a worker's session, and has it say why. It says whether there was one.
// f.mu is held.
func (f *fleet) dismissWorker(p wire.Peer, why string) (was bool) {
	if n := f.counters.dismissedWorkers.Add(1); n&(n-1) == 0 {
		f.log.Error("a worker is refused", "worker", p.Name, "reason", why, "count", n)
	}
	w := f.workers[p]
	if w != nil {
		f.removeWorker(w)
	}
	f.queueItem(p, &wire.Item{Kind: wire.KindDismiss, Text: why})
	return w != nil
}
