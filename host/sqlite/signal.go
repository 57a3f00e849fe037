package sqlite

import (
	"context"
	"encoding/binary"
	"math/rand/v2"

	"github.com/taskhost/taskhost/host/task"
)

const (
	sqlSignals   = `SELECT kind, id, n FROM signal LIMIT +?`
	sqlSignalPut = `INSERT INTO signal (kind, id, n) VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET n = excluded.n`
	sqlSignalGet = `SELECT n FROM signal WHERE kind = ? AND id = ?`
)

// Signals implements task.SignalStore.
func (s *Store) Signals(ctx context.Context, limit int) (out []task.Signal, err error) {
	err = s.rows(ctx, sqlSignals, []any{limit}, 3, func(r row) bool {
		g := task.Signal{Kind: task.SignalKind(r.int(0)), N: r.int(2)}
		readSignalKey(&g, r.blob(1))
		out = append(out, g)
		return true
	})
	return out, err
}

// signal puts a signal on record.
func (w *writer) signal(g task.Signal) error {
	st := w.st.signalPut
	st.bind().int(int64(g.Kind)).blob(signalKey(&g)).int(rand.Int64())
	return st.run()
}

// checkSignal says whether a signal is as it was read. refused is why it can't be used up.
func (w *writer) checkSignal(g task.Signal) (refused, err error) {
	st := w.st.signalGet
	st.bind().int(int64(g.Kind)).blob(signalKey(&g))
	found, err := st.one()
	if err != nil || found && st.row.int(0) == g.N {
		return nil, err
	}
	return task.Errorf(task.CodeConflict, "the signal for %s%s has changed meanwhile: it is to be decided anew", g.ID, g.Name), nil
}

func (w *writer) useSignal(g task.Signal) error {
	st := w.st.signalDelete
	st.bind().int(int64(g.Kind)).blob(signalKey(&g))
	return st.run()
}

// moved keeps what depends on the states of tasks: the counts of their groups, what
// parents wait for, who holds which resource, and the signals for whoever is to decide. Every statement that writes
// a state is followed by it. A task that belongs to nothing costs some comparisons, and one
// that is canceled a look for children.
func (w *writer) moved(t *task.Task, from, to task.State, at int64) error {
	if !t.Group.IsZero() {
		w.groups.move(t.Group, from, to, at)
	}
	if !t.Parent.IsZero() && to.Final() && !from.Final() {
		if err := w.childDone(t); err != nil {
			return err
		}
	}
	if to.Final() && !from.Final() && !t.Resources.None() {
		if err := w.releaseResources(t, from, at); err != nil {
			return err
		}
	}
	if (to == task.Canceling || to == task.Canceled) && from != task.Canceling {
		return w.cancelChildrenOf(t.ID)
	}
	return nil
}

// noSuch is the answer to a caller that names what is not there, or not its own.
func noSuch(what string, id task.ID) error {
	return task.Errorf(task.CodeNotFound, "there is no %s %s", what, id)
}

// signalKey is whom a signal is for, as it is stored.
func signalKey(g *task.Signal) []byte {
	if g.Kind != task.SignalResource {
		return g.ID[:]
	}
	key := binary.BigEndian.AppendUint32(nil, uint32(len(g.Owner)))
	return append(append(key, g.Owner...), g.Name...)
}

// readSignalKey reads what signalKey made.
func readSignalKey(g *task.Signal, key []byte) {
	if g.Kind != task.SignalResource || len(key) < 4 {
		copy(g.ID[:], key)
		return
	}
	n := min(int(binary.BigEndian.Uint32(key)), len(key)-4)
	g.Owner = string(key[4 : 4+n])
	g.Name = string(key[4+n:])
}
