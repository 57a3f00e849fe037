package identity

import (
	"context"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Store keeps tokens and what is written down of changes. Errors carry the codes of host/task.
type Store interface {
	// InsertToken writes a token; conflict if its owner has one of that name, or there are
	// MaxTokens.
	InsertToken(ctx context.Context, t Token) error
	// Tokens reads all tokens, newest first.
	Tokens(ctx context.Context) ([]Token, error)
	// DeleteToken removes a token; not_found if there is none.
	DeleteToken(ctx context.Context, id task.ID) error
	// UseTokens writes when tokens were used last.
	UseTokens(ctx context.Context, used map[task.ID]time.Time) error
	// AppendEvents writes events down, all or none.
	AppendEvents(ctx context.Context, events []Event) error
	// Events reads a page of events, newest first.
	Events(ctx context.Context, f Filter) (Page, error)
	// ForgetEvents removes up to limit events that are older than before, and says how many.
	ForgetEvents(ctx context.Context, before time.Time, limit int) (int, error)
}
