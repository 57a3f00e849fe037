package sqlite

import "github.com/taskhost/taskhost/host/task"

// newInput is the input of a new task that is not written yet.
type newInput struct {
	seq  int64
	data []byte
}

// insertInputs writes the inputs that new tasks have, insertAtOnce by a statement. Fewer that are
// left are written with those of the next insert, or by flushInputs.
func (w *writer) insertInputs(tasks []*task.Task, rows []insertRow) error {
	for i, t := range tasks {
		if !inputRow(t.Input) || !t.Existing().IsZero() {
			continue
		}
		w.inputs = append(w.inputs, newInput{rows[i].seq, t.Input})
		if len(w.inputs) < insertAtOnce {
			continue
		}
		a := w.st.inputsInsert.bind()
		for _, in := range w.inputs {
			a.int(in.seq).blob(in.data)
		}
		if err := w.st.inputsInsert.run(); err != nil {
			return err
		}
		w.forgetInputs()
	}
	return nil
}

// flushInputs writes what insertInputs has left. Whoever is to find the inputs of this
// transaction's tasks on record calls it first.
func (w *writer) flushInputs() error {
	for _, in := range w.inputs {
		st := w.st.inputInsert
		st.bind().int(in.seq).blob(in.data)
		if err := st.run(); err != nil {
			return err
		}
	}
	w.forgetInputs()
	return nil
}

func (w *writer) forgetInputs() {
	clear(w.inputs)
	w.inputs = w.inputs[:0]
}
