package sqlite

// heldBlock is how many order keys share a row of table held, as a shift.
const heldShift = 12

// held counts, by block of order keys, the rows that an attempt holds, and knows
// which blocks are on record. A block is on record before a row in it is held,
// and is taken off it some time after none is: so after a crash only the blocks
// on record need be read, and a task costs the record nothing.
type held struct {
	blocks map[int64]*heldCount
	undo   []heldMove
	empty  int // blocks on record without a row, about
}

type heldCount struct{ rows int64 }

type heldMove struct {
	block int64
	delta int64 // 0: the block was put on record
}

func (w *writer) hold(seq int64) error {
	b := seq >> heldShift
	c := w.held.blocks[b]
	if c == nil {
		st := w.st.heldInsert
		st.bind().int(b)
		if err := st.run(); err != nil {
			return err
		}
		c = &heldCount{}
		w.held.blocks[b] = c
		w.held.undo = append(w.held.undo, heldMove{block: b})
	}
	c.rows++
	w.held.undo = append(w.held.undo, heldMove{b, 1})
	return nil
}

func (w *writer) release(seq int64) {
	b := seq >> heldShift
	if c := w.held.blocks[b]; c != nil {
		c.rows--
		if c.rows == 0 {
			w.held.empty++
		}
		w.held.undo = append(w.held.undo, heldMove{b, -1})
	}
}

// sweepHeld takes empty blocks off the record, when there are many: most are
// about to be used again.
func (w *writer) sweepHeld() error {
	if w.held.empty < 64 {
		return nil
	}
	w.held.empty = 0
	newest := w.next >> heldShift
	for b, c := range w.held.blocks {
		if c.rows != 0 || b == newest {
			continue
		}
		st := w.st.heldDelete
		st.bind().int(b)
		if err := st.run(); err != nil {
			return err
		}
		delete(w.held.blocks, b)
		w.held.undo = append(w.held.undo, heldMove{block: b, delta: swept})
	}
	return nil
}

// swept marks, as a delta, a block that was taken off the record.
const swept = -1 << 62

func (h *held) commit() { h.undo = h.undo[:0] }

func (h *held) rollback() {
	for i := len(h.undo) - 1; i >= 0; i-- {
		m := h.undo[i]
		switch m.delta {
		case 0:
			delete(h.blocks, m.block)
		case swept:
			h.blocks[m.block] = &heldCount{}
		default:
			h.blocks[m.block].rows -= m.delta
		}
	}
	h.undo = h.undo[:0]
}
