// Package queuetest holds what the tests of the queue's rooms share: scripts whose end the
// test decides, connections that can be cut, brokers that can be killed.
package queuetest

import (
	"os"
	"testing"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
)

// VerifyLeaks runs the tests of a package, and fails if goroutines are left behind.
func VerifyLeaks(m *testing.M) {
	goleak.VerifyTestMain(withServers{m},
		// go-plugin leaves these behind when a plugin is served in its host's process.
		goleak.IgnoreAnyFunction("github.com/hashicorp/go-plugin.copyChan"),
		goleak.IgnoreAnyFunction("github.com/hashicorp/go-plugin/internal/cmdrunner.pidWait"),
		// The server's libraries keep these for the life of a process.
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.init.0.func1"),
		// A stream that the server was still making when it was shut down keeps these.
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"))
}

// withServers ends the brokers that the tests of a package share after the last of them.
type withServers struct{ *testing.M }

// Run runs the tests.
func (m withServers) Run() int {
	defer StopServers()
	return m.M.Run()
}

// Log is a logger for one part of a test. It speaks of errors alone, unless
// REMOTEQUEUE_LOG is set.
func Log(name string) hclog.Logger {
	level := hclog.Error
	if os.Getenv("REMOTEQUEUE_LOG") != "" {
		level = hclog.Trace
	}
	return hclog.New(&hclog.LoggerOptions{Name: name, Level: level, Output: os.Stderr})
}

// StopServers ends the brokers that the tests of a package share. A package that does not
// call VerifyLeaks calls it after its last test.
func StopServers() { sharedRabbitMQ.server.stop() }
