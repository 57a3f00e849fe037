package queuetest

import (
	"context"
	"testing"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// RunUntilEnd runs a worker until the test ends.
func RunUntilEnd(t *testing.T, w interface{ Run(context.Context) error }) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Run(ctx) // ends with ctx
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// Serves waits until e offers a type.
func Serves(t *testing.T, e sdk.Executor, typ string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		info, err := e.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, ti := range info.Types {
			if ti.Name == typ && !ti.Unavailable {
				return
			}
		}
	}
	t.Fatalf("no worker serves %q", typ)
}

// Patience bounds every wait in the tests of this package. It is shorter than the lapse of a minute of tests that are
// about what a lapse would hide.
const Patience = 45 * time.Second

// Eventually waits for something that another process or the broker does, and that
// nobody announces.
func Eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: not within %s", what, Patience)
}
