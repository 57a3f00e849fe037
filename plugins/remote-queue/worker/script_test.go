package worker

import (
	"testing"
	"time"
)

// TestScriptsShareGoroutines: a run gets the goroutine that was idle last; those that are idle
// for long end, and all with the worker.
func TestScriptsShareGoroutines(t *testing.T) {
	w := &Worker{}
	w.mu.Lock()
	defer w.mu.Unlock()
	first, second := w.takeRunner(), w.takeRunner()
	if first == second {
		t.Fatal("two runs at once have one goroutine")
	}
	w.noteIdle(first)
	first.idleSince = time.Now().Add(-time.Hour)
	w.noteIdle(second)
	if again := w.takeRunner(); again != second {
		t.Error("a run did not get the goroutine that was idle last")
	}
	w.noteIdle(second)
	w.endIdleScripts(time.Now().Add(-2 * time.Hour))
	if len(w.idle) != 2 {
		t.Fatalf("%d goroutines are idle, want both", len(w.idle))
	}
	w.endIdleScripts(time.Now().Add(-time.Minute))
	if len(w.idle) != 1 || w.idle[0] != second {
		t.Errorf("%d goroutines are idle, want the one that was used last", len(w.idle))
	}
	last := w.takeRunner()
	w.closed = true
	w.noteIdle(last)
	w.scripts.Wait()
}
