package fleet

import (
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

// heartbeat is how often a worker is heard.
func (f *fleet) heartbeat() time.Duration { return time.Duration(f.queueConfig.Heartbeat) }

// send tells a worker something. What is lost is repeated by whoever needs the answer. A
// host that does not surely have the queue says nothing.
func (f *fleet) send(to wire.Peer, data []byte) {
	if !f.owner.ownsQueue() {
		return
	}
	if err := f.broker.Send(to, data); err != nil && !f.isClosed() {
		f.log.Debug("send", "worker", to.Name, "error", err)
	}
}

func (f *fleet) isClosed() bool { return f.ctx.Err() != nil }

// queueItem queues an item for a worker.
func (f *fleet) queueItem(p wire.Peer, it *wire.Item) { f.outbox.Add(p, it) }

// ownsQueue says that the queue is this process's. The wall clock counts too, for the
// monotonic one stands still while the machine sleeps.
func (o *owner) ownsQueue() bool {
	at := o.confirmedAt.Load()
	if at == nil {
		return false
	}
	now := time.Now()
	return now.Sub(*at) < o.validFor && now.Round(0).Sub(at.Round(0)) < o.validFor
}

// invalidate takes back that the queue is this process's until the broker says so again.
func (o *owner) invalidate() { o.confirmedAt.Store(nil) }
