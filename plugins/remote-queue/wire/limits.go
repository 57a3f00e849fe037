package wire

import (
	"fmt"

	"github.com/taskhost/taskhost/sdk"
)

// What workers send is bounded in sum. Whoever exceeds the budget of an attempt loses
// that attempt, and a worker that exceeds its own loses its session; neither costs its
// neighbours anything.
const (
	// maxOutcomeText bounds the message, the details and whatever else of an outcome is
	// neither result nor checkpoint, and maxDetails how many details there are. It is what
	// a message has room for beside the largest result.
	maxOutcomeText = 48 << 10
	maxDetails     = 64
	// maxListed bounds the lists in an item, whatever they list.
	maxListed = 10_000
	// maxHeartbeat bounds a heartbeat in bytes, and maxNamed the attempts it names.
	maxHeartbeat = 2 << 20
	MaxNamed     = 50_000
	// What a worker says of itself.
	maxWorkerTypes     = 1000
	maxWorkerTypeBytes = 512 << 10 // their names, descriptions and schemas
	MaxWorkerLabels    = 64
	maxWorkerText      = 16 << 10 // labels, version and address
	maxWorkerSlots     = 1_000_000
	// MaxLine and maxLineArgs bound a line of a log.
	MaxLine     = 16 << 10
	MaxLineArgs = 64
)

// LimitError says what of a worker's message exceeds which bound.
type LimitError struct{ Reason string }

func (e *LimitError) Error() string { return e.Reason }

// ExceedsLimit is a *LimitError that says by how much.
func ExceedsLimit(what string, n, limit int) error {
	return &LimitError{fmt.Sprintf("%s: %d, and at most %d are allowed", what, n, limit)}
}

// limitSize is about what a limit on concurrency takes beside what it counts by.
const limitSize = 16

// TypeSize is what a task type takes of a worker's or a fleet's budget for types, in bytes.
func TypeSize(t *sdk.TypeInfo) int {
	n := len(t.Name) + len(t.Description) + len(t.Input) + len(t.Result) + len(t.Version) + len(t.Defaults.MinVersion)
	for _, c := range t.Defaults.Concurrency {
		n += limitSize + len(c.By)
	}
	for k, v := range t.Defaults.Route {
		n += len(k) + len(v)
	}
	return n
}

// Clip cuts s to n bytes.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n]
}

// MessageLimit is what a message of a broker that carries so much may hold; 0 is a broker
// that was never seen.
func MessageLimit(payload int64) int {
	if payload <= 0 {
		payload = 1 << 20
	}
	return int(payload - min(32<<10, payload/4))
}
