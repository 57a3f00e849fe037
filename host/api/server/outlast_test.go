package server_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/task"
)

// TestWaitOutlastsItsConnection cuts the connection of a client that waits, in the first
// request of its life that is held.
func TestWaitOutlastsItsConnection(t *testing.T) {
	r := newTestServer(t, server.Options{})
	id := r.submit(`{"type":"gated"}`)
	r.started()
	real := server.NewHandler(r.engine, server.Options{})
	held := make(chan struct{}, 10)
	r.listen(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if w := req.URL.Query().Get("wait"); w != "" && w != "0s" {
			held <- struct{}{}
		}
		real.ServeHTTP(w, req)
	}), newLog(r.log))
	proxy := newProxy(t, r.addr)
	c, err := client.New(proxy.addr, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	done := make(chan struct{})
	var got api.Task
	go func() {
		defer close(done)
		got, err = c.Wait(ctx, id[:30])
	}()
	<-held
	proxy.cut()
	select {
	case <-held: // it came back
	case <-done:
		t.Fatalf("the wait ended with its connection: %v", err)
	}
	r.gate <- struct{}{}
	<-done
	if err != nil || got.State != task.Succeeded || got.ID != id {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestOutlast: what is read again is what a server that is away would have answered, and
// only once it is known to be there at all.
func TestOutlast(t *testing.T) {
	r := newTestServer(t, server.Options{})
	away := &task.Error{Code: client.CodeUnreachable, Message: "away"}
	calls := 0
	err := r.client.Outlast(t.Context(), func() error { calls++; return away })
	if !errors.Is(err, away) || calls != 1 {
		t.Errorf("never met: %d calls, %v", calls, err)
	}
	if _, err := r.client.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	calls = 0
	err = r.client.Outlast(t.Context(), func() error {
		if calls++; calls < 3 {
			return away
		}
		return nil
	})
	if err != nil || calls != 3 {
		t.Errorf("%d calls, %v", calls, err)
	}
	refused := task.Errorf(task.CodeConflict, "no")
	calls = 0
	err = r.client.Outlast(t.Context(), func() error { calls++; return refused })
	if !errors.Is(err, refused) || calls != 1 {
		t.Errorf("refused: %d calls, %v", calls, err)
	}
}
