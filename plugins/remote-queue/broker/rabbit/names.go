package rabbitbroker

import (
	"strings"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

// names are the exchanges, queues and routing keys of one queue. Everything of a queue is
// below its own prefix, so that several hosts can share a virtual host, and an operator can
// hold each user to what is its own.
type names struct{ queue string }

func (n names) prefix() string { return "taskhost." + n.queue }

// talk is the topic exchange over which hosts and workers speak to one another.
func (n names) talk() string { return n.prefix() }

// starts is the direct exchange from which starts come into their lanes.
func (n names) starts() string { return n.prefix() + ".starts" }

// lane is the queue of the starts of a lane.
func (n names) lane(lane string) string { return n.prefix() + ".lane." + lane }

// claims is the stream in which stands which host serves the queue.
func (n names) claims() string { return n.prefix() + ".claim" }

// host is the prefix of the queue in which a process of a host hears workers, and worker that
// of the one in which a worker hears the host.
func (n names) host() string { return n.prefix() + ".host." }

func (n names) worker(name string) string {
	return n.prefix() + ".worker." + wire.EscapeDots(name) + "."
}

// up is the key under which a worker speaks to the host on a channel. It holds the worker's
// name, so that the broker can hold each user to its own, and the instance.
func (n names) up(p wire.Peer, channel string) string {
	return "up." + wire.EscapeDots(p.Name) + "." + p.Instance + "." + channel
}

func (n names) allUp() string { return "up.#" }

// down is the key under which the host speaks to a worker.
func (n names) down(p wire.Peer) string { return "down." + wire.EscapeDots(p.Name) + "." + p.Instance }

// alive is the key under which a process of a host is asked whether it lives.
func (n names) alive(process string) string { return "alive." + process }

// peerOf is the sender and the channel of a key of up.
func (n names) peerOf(key string) (p wire.Peer, channel string, ok bool) {
	parts := strings.Split(key, ".")
	if len(parts) != 4 || parts[0] != "up" {
		return wire.Peer{}, "", false
	}
	p = wire.Peer{Name: strings.ReplaceAll(parts[1], "=", "."), Instance: parts[2]}
	return p, parts[3], p.Valid()
}
