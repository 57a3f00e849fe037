package natsbroker

import (
	"strings"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

// Subjects are the subjects, the stream and the consumers of one queue. Everything of
// a queue is below its own prefix, so that several hosts can share a broker.
type Subjects struct{ Queue string }

func (n Subjects) prefix() string { return "taskhost." + n.Queue }

// Stream is the name of the stream of starts, and of the bucket of the claim.
func (n Subjects) Stream() string { return "taskhost-" + n.Queue }

// Starts is the subject of the starts of one lane.
func (n Subjects) Starts(l wire.Lane) string {
	return n.prefix() + ".start." + l.Route + "." + wire.EscapeDots(l.Type)
}

// AllStarts matches the subjects of the starts of all lanes.
func (n Subjects) AllStarts() string { return n.prefix() + ".start.*.*" }

// Up is where a worker speaks to the host on a channel. Workers speak on subjects of their
// own, so that the broker can hold each to its name: up to the host, down from it, and an
// inbox for the broker's answers. The instance tells a worker from one of the same name
// that died.
func (n Subjects) Up(p wire.Peer, what string) string {
	return n.prefix() + ".up." + wire.EscapeDots(p.Name) + "." + p.Instance + "." + what
}

func (n Subjects) allUp() string { return n.prefix() + ".up.*.*.*" }

// Down is where the host speaks to a worker.
func (n Subjects) Down(p wire.Peer) string {
	return n.prefix() + ".down." + wire.EscapeDots(p.Name) + "." + p.Instance
}

// Inbox is the prefix of the subjects on which the broker answers a worker.
func (n Subjects) Inbox(worker string) string {
	return n.prefix() + ".inbox." + wire.EscapeDots(worker)
}

// claim is where a process of a host that has the queue answers that it lives.
func (n Subjects) claim(process string) string {
	return n.prefix() + ".claim." + wire.EscapeDots(process)
}

// pull is where the broker is asked for the messages of a consumer.
func (n Subjects) pull(consumer string) string {
	return "$JS.API.CONSUMER.MSG.NEXT." + n.Stream() + "." + consumer
}

// acks are the subjects on which the messages of the stream are acknowledged; the
// second form is that of a broker with domains.
func (n Subjects) acks() []string {
	return []string{"$JS.ACK." + n.Stream() + ".>", "$JS.ACK.*.*." + n.Stream() + ".>"}
}

// peerOf is the sender and the channel of a subject below allUp.
func (n Subjects) peerOf(subject string) (p wire.Peer, what string, ok bool) {
	rest, ok := strings.CutPrefix(subject, n.prefix()+".up.")
	parts := strings.Split(rest, ".")
	if !ok || len(parts) != 3 {
		return wire.Peer{}, "", false
	}
	p = wire.Peer{Name: strings.ReplaceAll(parts[0], "=", "."), Instance: parts[1]}
	return p, parts[2], p.Valid()
}
