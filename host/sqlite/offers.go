package sqlite

import (
	"context"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

const (
	sqlOffers = `SELECT host, executor, data, expires FROM offer WHERE (expires IS NULL OR expires > ?1) AND (?2 = '' OR host = ?2)
ORDER BY host, executor`
	sqlOfferPut    = `INSERT OR REPLACE INTO offer (host, executor, data, expires) VALUES (?, ?, ?, ?)`
	sqlOfferExpire = `DELETE FROM offer WHERE expires <= ?`
)

// SaveOffer implements task.OfferStore.
func (s *Store) SaveOffer(ctx context.Context, o task.Offer) error {
	if !task.ValidTime(o.Expires) {
		return task.Errorf(task.CodeInternal, "the offer of executor %q expires at a time that is not %s", o.Executor, task.TimeRange)
	}
	if o.Document == nil {
		o.Document = []byte{}
	}
	return s.w.do(ctx, &offerOp{o})
}

type offerOp struct{ task.Offer }

func (o *offerOp) size() (rows, bytes int) { return 1, len(o.Document) }

func (o *offerOp) run(w *writer) error {
	st := w.st.offerPut
	st.bind().value(string(o.Host)).value(o.Executor).blob(o.Document).opt(micros(o.Expires))
	return st.run()
}

// Offers implements task.OfferStore. Those that have expired are deleted by DeleteExpired.
func (s *Store) Offers(ctx context.Context, host task.HostID, now time.Time) ([]task.Offer, error) {
	var out []task.Offer
	err := s.rows(ctx, sqlOffers, []any{micros(now), string(host)}, 4, func(r row) bool {
		out = append(out, task.Offer{Host: task.HostID(r.text(0)), Executor: r.text(1), Document: r.blob(2), Expires: r.time(3)})
		return true
	})
	return out, err
}
