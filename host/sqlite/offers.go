package sqlite

import "context"

// SaveOffer implements task.OfferStore.
func (s *Store) SaveOffer(ctx context.Context, executor string, offer []byte) error {
	if offer == nil {
		offer = []byte{}
	}
	return s.w.do(ctx, &offerOp{executor, offer})
}

type offerOp struct {
	executor string
	offer    []byte
}

func (o *offerOp) size() (rows, bytes int) { return 1, len(o.offer) }

func (o *offerOp) run(w *writer) error {
	w.st.offerPut.bind().value(o.executor).blob(o.offer)
	return w.st.offerPut.run()
}

// Offers implements task.OfferStore.
func (s *Store) Offers(ctx context.Context) (map[string][]byte, error) {
	out := map[string][]byte{}
	err := s.rows(ctx, `SELECT executor, data FROM offer`, nil, 2, func(r row) bool {
		out[r.text(0)] = r.blob(1)
		return true
	})
	return out, err
}
