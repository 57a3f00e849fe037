package queuetest

import (
	"strings"
	"testing"
)

// Server is a broker of another's, a process that the test may kill.
type Server interface {
	// URL is where it listens, and Addr that without scheme and credentials.
	URL() string
	Addr() string
	// URLAt is the same broker by way of another address, a proxy's.
	URLAt(address string) string
	// Queue is the name of a queue that no other test uses.
	Queue() string
	// Start runs it again, with the data that it had.
	Start()
	// Kill ends it as a power cut does, but for the disk.
	Kill()
	// Wipe removes all that it has on disk. It must not run.
	Wipe()
}

// OnEachBroker runs a test on a broker of each kind at once, as most of the time they wait, and
// leaves out what is not installed.
func OnEachBroker(t *testing.T, test func(*testing.T, Server)) {
	t.Helper()
	t.Run("NATS", func(t *testing.T) { t.Parallel(); test(t, NewNATSServer(t)) })
	t.Run("RabbitMQ", func(t *testing.T) { t.Parallel(); test(t, NewRabbitMQServer(t)) })
}

// RabbitMQServer is the package's RabbitMQ, as one test uses it.
type RabbitMQServer struct {
	*RabbitMQ
	t testing.TB
}

// NewRabbitMQServer is SharedRabbitMQ as a Server.
func NewRabbitMQServer(t *testing.T) *RabbitMQServer {
	t.Helper()
	return &RabbitMQServer{SharedRabbitMQ(t), t}
}

// Addr is where the broker listens.
func (s *RabbitMQServer) Addr() string { return s.Address }

// URLAt is the broker by way of another address.
func (s *RabbitMQServer) URLAt(address string) string { return "amqp://guest:guest@" + address }

// Queue is named after the test: the broker is not empty.
func (s *RabbitMQServer) Queue() string {
	name := strings.NewReplacer("/RabbitMQ", "", "/", "-", "_", "-", "=", "-").Replace(s.t.Name())
	return name[max(0, len(name)-30):]
}

// Start runs the broker again.
func (s *RabbitMQServer) Start() { s.t.Helper(); s.RabbitMQ.Start(s.t) }

// Kill ends the broker once it would come back from that.
func (s *RabbitMQServer) Kill() { s.Settle(); s.RabbitMQ.Kill() }

// Wipe removes all that the broker has on disk.
func (s *RabbitMQServer) Wipe() { s.t.Helper(); s.RabbitMQ.Wipe(s.t) }
