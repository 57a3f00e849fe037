package sqlite

// blockShift says how many order keys share a row of table in_flight_block: 2 to the power of it.
const blockShift = 12

// sweptAt is how many blocks on record without a row it takes to look for them.
const sweptAt = 64

// inFlightBlocks counts, by block of order keys, the rows that an attempt holds, and
// knows which blocks are on record. A block is on record before a row in it is held,
// and is taken off it some time after none is: so after a crash only the blocks
// on record need be read, and a task costs the record nothing. It is the writer's.
type inFlightBlocks struct {
	rows    map[int64]*int64 // of each block on record
	changes []blockChange    // of the open transaction
	empty   int              // blocks on record without a row, about
}

// blockChange is what the open transaction did to a block, for its undoing.
type blockChange struct {
	block int64
	kind  blockChangeKind
}

type blockChangeKind uint8

const (
	blockRecorded blockChangeKind = iota
	blockForgotten
	blockEntered // by a row
	blockLeft
)

func (b *inFlightBlocks) changed(block int64, kind blockChangeKind) {
	b.changes = append(b.changes, blockChange{block, kind})
}

// enterFlight notes that an attempt holds the row from now on.
func (w *writer) enterFlight(seq int64) error {
	block := seq >> blockShift
	rows := w.inFlight.rows[block]
	if rows == nil {
		st := w.st.blockInsert
		st.bind().int(block)
		if err := st.run(); err != nil {
			return err
		}
		rows = new(int64)
		w.inFlight.rows[block] = rows
		w.inFlight.changed(block, blockRecorded)
	}
	*rows++
	w.inFlight.changed(block, blockEntered)
	return nil
}

// leaveFlight notes that no attempt holds the row any more.
func (w *writer) leaveFlight(seq int64) {
	w.lanes.LetGo(seq)
	block := seq >> blockShift
	rows := w.inFlight.rows[block]
	if rows == nil {
		return
	}
	*rows--
	if *rows == 0 {
		w.inFlight.empty++
	}
	w.inFlight.changed(block, blockLeft)
}

// sweepBlocks takes empty blocks off the record, when there are many: most are
// about to be used again.
func (w *writer) sweepBlocks() error {
	if w.inFlight.empty < sweptAt {
		return nil
	}
	w.inFlight.empty = 0
	newest := w.lastSeq >> blockShift
	for block, rows := range w.inFlight.rows {
		if *rows != 0 || block == newest {
			continue
		}
		st := w.st.blockDelete
		st.bind().int(block)
		if err := st.run(); err != nil {
			return err
		}
		delete(w.inFlight.rows, block)
		w.inFlight.changed(block, blockForgotten)
	}
	return nil
}

func (b *inFlightBlocks) commit() { b.changes = b.changes[:0] }

func (b *inFlightBlocks) rollback() {
	for i := len(b.changes) - 1; i >= 0; i-- {
		c := b.changes[i]
		switch c.kind {
		case blockRecorded:
			delete(b.rows, c.block)
		case blockForgotten:
			b.rows[c.block] = new(int64)
		case blockEntered:
			*b.rows[c.block]--
		case blockLeft:
			*b.rows[c.block]++
		}
	}
	b.changes = b.changes[:0]
}
