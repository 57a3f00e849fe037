package rabbitbroker

// claimEntry is one entry of a claim's stream: a claim that replaces the one of a revision,
// or, without a revision of its own, a question how far the stream goes.
type claimEntry struct {
	ID string `json:"id"`
	// Previous is the revision of the claim that this one replaces; 0 if there is none.
	Previous uint64 `json:"previous,omitzero"`
	// Revision is greater than Previous, and no other entry's of another writer.
	Revision uint64 `json:"revision,omitzero"`
	Claim    []byte `json:"claim,omitempty"`
}

// claimHistory is what a claim's stream says, read from the earliest entry that it keeps.
// An entry counts if it replaces the claim that stands when it comes; any other was too late.
type claimHistory struct {
	current claimEntry
	// known says that current is the claim as of the last entry. Of a stream whose beginning
	// is gone, that is not known before one entry replaces another that is still there: its
	// writer knew that the other counts.
	known  bool
	begun  bool
	unsure []claimEntry
}

// add is the next entry, with its place in the stream.
func (h *claimHistory) add(offset int64, e claimEntry) {
	if !h.begun {
		h.begun = true
		h.known = offset == 0
	}
	switch {
	case e.Revision == 0:
	case h.known:
		h.apply(e)
	default:
		h.unsure = append(h.unsure, e)
		h.findStart(e.Previous)
	}
}

func (h *claimHistory) apply(e claimEntry) {
	if e.Previous == h.current.Revision && e.Revision > e.Previous {
		h.current = e
	}
}

// findStart begins with the entry of a revision, if it is still there.
func (h *claimHistory) findStart(revision uint64) {
	for i, e := range h.unsure {
		if e.Revision != revision {
			continue
		}
		h.known = true
		h.current = e
		for _, later := range h.unsure[i+1:] {
			h.apply(later)
		}
		h.unsure = nil
		return
	}
}
