package peers

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/taskhost/taskhost/bench/load"
	"github.com/taskhost/taskhost/bench/server"
)

// Every peer does every job exactly once, in each kind of measurement, and has it on record.
func TestEachJobIsDoneOnce(t *testing.T) {
	const some = 300
	for _, p := range All() {
		t.Run(p.Name, func(t *testing.T) {
			dir, err := server.Scratch()
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			m, err := load.NewMeter(t.Context(), p, dir)
			if errors.Is(err, server.ErrMissing) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := m.Close(t.Context()); err != nil {
					t.Error("close:", err)
				}
			}()
			checkAbout(t, p.Name, m.About())
			limits := load.Limits{Jobs: some, Time: time.Minute}
			if _, err := m.Throughput(t.Context(), 1, limits); err != nil {
				t.Fatal("singly:", err)
			}
			if _, err := m.Throughput(t.Context(), 100, limits); err != nil {
				t.Fatal("in hundreds:", err)
			}
			took, err := m.Idle(t.Context(), load.Limits{Jobs: 3, Time: time.Minute})
			if err != nil || len(took) != 3 || took[0] <= 0 {
				t.Fatal("idle:", took, err)
			}
			if _, err := m.Backlog(t.Context(), some, time.Minute, time.Minute); err != nil {
				t.Fatal("backlog:", err)
			}
		})
	}
}

// What a reader of the figures is told of a peer is there.
func checkAbout(t *testing.T, name string, a load.About) {
	t.Helper()
	if a.Name != name {
		t.Errorf("it is %q in the list and calls itself %q", name, a.Name)
	}
	for what, text := range map[string]string{"version": a.Version, "settings": a.Settings, "batch": a.Batch, "on disk": a.OnDisk, "stored": a.Stored} {
		if text == "" {
			t.Errorf("its %s is not said", what)
		}
	}
}
