package natsbroker

import (
	"testing"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

// A subject says who speaks, and on which channel.
func TestPeerOfSubject(t *testing.T) {
	p := wire.Peer{Name: "worker-1.example", Instance: "ABCDEFGH"}
	if q, what, ok := (Subjects{"q"}).peerOf((Subjects{"q"}).Up(p, wire.ChannelItems)); !ok || q != p || what != wire.ChannelItems {
		t.Errorf("%v %q %v", q, what, ok)
	}
}
