package natsbroker

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
)

// WriteClaim replaces the claim of that revision, 0 being none, and returns the new
// revision. errClaimChanged means that it is of another revision.
func (h *Host) WriteClaim(ctx context.Context, claim []byte, revision uint64) (uint64, error) {
	if err := h.openClaims(ctx); err != nil {
		return 0, err
	}
	now, err := h.claims.Update(ctx, claimKey, claim, revision)
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return 0, brokerError{err, broker.ErrClaimChanged}
	}
	if err != nil {
		h.claims = nil // it may be gone, with all that the broker kept
		return 0, fmt.Errorf("claim the queue: %w", err)
	}
	return now, nil
}

// ReadClaim is the claim as it stands; revision 0 means that there is none.
func (h *Host) ReadClaim(ctx context.Context) (claim []byte, revision uint64, err error) {
	if err := h.openClaims(ctx); err != nil {
		return nil, 0, err
	}
	e, err := h.claims.Get(ctx, claimKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		h.claims = nil
		return nil, 0, fmt.Errorf("read who serves the queue: %w", err)
	}
	return e.Value(), e.Revision(), nil
}

// openClaims opens the bucket of the claim, and makes it where it is not there.
func (h *Host) openClaims(ctx context.Context) (err error) {
	if h.claims != nil {
		return nil
	}
	bucket := h.subjects.Stream()
	h.claims, err = h.js.KeyValue(ctx, bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		// It has room of its own, so that it can be written when the starts fill theirs.
		h.claims, err = h.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket, Description: "which host serves a taskhost queue",
			MaxBytes: 1 << 20, Replicas: h.connection.Config.Replicas})
	}
	if err != nil {
		h.claims = nil
		return fmt.Errorf("bucket %s: %w", bucket, err)
	}
	return nil
}

// AskAlive asks a process of a host whether it lives and has the queue. errNobody means
// that no such process is connected; any other error says nothing.
func (h *Host) AskAlive(ctx context.Context, process string) error {
	_, err := h.conn.RequestWithContext(ctx, h.subjects.claim(process), nil)
	if errors.Is(err, nats.ErrNoResponders) {
		return brokerError{err, broker.ErrNobody}
	}
	return err
}
