package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/taskhost/taskhost/host/task"
)

// The bounds of what a token may be.
const (
	MaxName   = 100    // characters
	MaxTokens = 10_000 // of a host: all are kept in memory
)

// SecretPrefix begins every secret, so that scanners of published code can tell one:
// taskhost_ and 64 hexadecimal digits.
const SecretPrefix = "taskhost_"

// SecretBytes is how many random bytes make a secret.
const SecretBytes = 32

var secretForm = regexp.MustCompile(`^` + SecretPrefix + `[0-9a-f]{64}$`)

// Secret is what a client sends, made of 256 random bits.
func Secret(random [SecretBytes]byte) string { return SecretPrefix + hex.EncodeToString(random[:]) }

// Hash is what is kept of a secret. It needs no salt and no slowness: a secret has more
// random bits than anyone can try.
func Hash(secret string) [sha256.Size]byte { return sha256.Sum256([]byte(secret)) }

// Token lets whoever has its secret act for its owner, in its role.
type Token struct {
	ID        task.ID
	Name      string // an owner has each once
	Owner     string
	Role      Role
	Hash      [sha256.Size]byte
	CreatedAt time.Time
	ExpiresAt time.Time // zero for never
	UsedAt    time.Time // to the minute; zero for never
}

// Expired says whether the token is of no use at that time.
func (t *Token) Expired(now time.Time) bool { return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) }

// Spec is what is asked for.
type Spec struct {
	Name, Owner string
	Role        Role
	ExpiresAt   time.Time
}

// NewToken makes a token; the error has code invalid_request and names each field at fault.
func NewToken(id task.ID, s Spec, secret string, now time.Time) (Token, error) {
	var bad []task.FieldError
	fault := func(field, message string) {
		bad = append(bad, task.FieldError{Path: []string{field}, Message: message})
	}
	if n := utf8.RuneCountInString(s.Name); n == 0 || n > MaxName || !printable(s.Name) {
		fault("name", "must have 1 to 100 printable characters, and no spaces at its ends: say what the token is for")
	}
	if s.Owner == "" || len(s.Owner) > task.MaxOwner || !printable(s.Owner) {
		fault("owner", "must have 1 to 255 bytes, printable, and no spaces at its ends: say whose tasks they are")
	}
	if !s.Role.Valid() {
		fault("role", "must be one of "+strings.Join(Roles(), ", "))
	}
	switch {
	case s.ExpiresAt.IsZero():
	case !task.ValidTime(s.ExpiresAt):
		fault("expires_at", "is not "+task.TimeRange)
	case !s.ExpiresAt.After(now):
		fault("expires_at", "is past already")
	}
	if len(bad) > 0 {
		return Token{}, &task.Error{Code: task.CodeInvalidRequest, Message: "the token is not valid: " + bad[0].Path[0] + " " + bad[0].Message, Fields: bad}
	}
	return Token{ID: id, Name: s.Name, Owner: s.Owner, Role: s.Role, Hash: Hash(secret), CreatedAt: now, ExpiresAt: s.ExpiresAt}, nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && s == strings.TrimSpace(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
