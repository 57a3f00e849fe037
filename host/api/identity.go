package api

import (
	"time"

	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

// TokenRequest asks for a token.
type TokenRequest struct {
	Name      string     `json:"name" minLength:"1" maxLength:"100" doc:"what it is for; its owner has each name once"`
	Owner     string     `json:"owner" minLength:"1" maxLength:"255" doc:"whose tasks and other things they see and make who send it"`
	Role      string     `json:"role" enum:"admin,operator,member,viewer" doc:"viewer: looks at what is its owner's; member: submits and changes it, too; operator: all owners' tasks, and executors, types and workers; admin: everything"`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"when it is of no use any more; absent: never"`
}

// Token is a token as admins see it.
type Token struct {
	ID         string     `json:"id" format:"uuid" doc:"what it is revoked by"`
	Name       string     `json:"name" doc:"what it is for"`
	Owner      string     `json:"owner" doc:"whose things it shows"`
	Role       string     `json:"role" enum:"admin,operator,member,viewer" doc:"what it lets do"`
	CreatedAt  time.Time  `json:"created_at" doc:"when it was made"`
	ExpiresAt  *time.Time `json:"expires_at" doc:"when it ends; null for never"`
	LastUsedAt *time.Time `json:"last_used_at" doc:"when it was used last, to the minute; null for never"`
}

// TokenOf is a token as clients are told of it.
func TokenOf(t *identity.Token) Token {
	out := Token{ID: t.ID.String(), Name: t.Name, Owner: t.Owner, Role: string(t.Role), CreatedAt: task.Shown(t.CreatedAt)}
	if !t.ExpiresAt.IsZero() {
		at := task.Shown(t.ExpiresAt)
		out.ExpiresAt = &at
	}
	if !t.UsedAt.IsZero() {
		at := task.Shown(t.UsedAt)
		out.LastUsedAt = &at
	}
	return out
}

// NewToken is a token that was just made, with its secret.
type NewToken struct {
	Token
	Secret string `json:"secret" pattern:"^taskhost_[0-9a-f]{64}$" doc:"what is sent, as Authorization: Bearer SECRET. It is told this once: the host keeps a hash"`
}

// TokenList is one page of tokens.
type TokenList struct {
	Tokens []Token `json:"tokens" nullable:"false" doc:"the tokens of this page, newest first; their secrets are not kept"`
	Next   *string `json:"next" doc:"the cursor of the next page; null on the last"`
}

// Caller is who asks.
type Caller struct {
	Name  string  `json:"name" doc:"of the token, the certificate or the user"`
	Owner string  `json:"owner" doc:"whose things the caller makes"`
	Role  string  `json:"role" enum:"admin,operator,member,viewer" doc:"what the caller may do"`
	By    string  `json:"by" enum:"token,certificate,proxy,machine" doc:"how the host knows: by a token, a client certificate, a trusted proxy, or because the host is open to its machine"`
	Token *string `json:"token" format:"uuid" doc:"the token's id; null if by none"`
	// ExpiresAt is when the token ends; nil for never.
	ExpiresAt *time.Time `json:"expires_at" doc:"when the token ends; null for never"`
	// Quota is nil if nothing bounds what the owner may have.
	Quota *Quota `json:"quota,omitempty" doc:"what the owner has and may have; absent if nothing bounds it"`
}

// AuditEvent is a change that somebody asked for.
type AuditEvent struct {
	ID        string    `json:"id" format:"uuid" doc:"it begins with the time, so ids sort by age"`
	At        time.Time `json:"at" doc:"when it was answered"`
	Name      string    `json:"name" doc:"who asked: the name of the token, the certificate or the user"`
	Owner     string    `json:"owner" doc:"the caller's owner"`
	Role      string    `json:"role" enum:"admin,operator,member,viewer" doc:"the caller's role"`
	By        string    `json:"by" enum:"token,certificate,proxy,machine,file" doc:"how the caller was known; file: by the data directory of a host that was stopped"`
	Token     *string   `json:"token" format:"uuid" doc:"the token's id; null if by none"`
	Address   string    `json:"address" doc:"whom the connection was from"`
	RequestID string    `json:"request_id" doc:"X-Request-Id of the answer"`
	Action    string    `json:"action" doc:"the operation's id in this document, such as cancelTask"`
	Target    string    `json:"target" doc:"the path"`
	Status    int       `json:"status" doc:"what was answered; 403 was refused"`
}

// AuditList is one page of events.
type AuditList struct {
	Events []AuditEvent `json:"events" nullable:"false" doc:"the events of this page, newest first"`
	Next   *string      `json:"next" doc:"the cursor of the next page; null on the last"`
}

// Cursor is what asks for the next page; zero if this is the last. Its error says that
// the server wrote what is no cursor.
func (l *AuditList) Cursor() (task.ID, error) {
	if l.Next == nil {
		return task.ID{}, nil
	}
	return task.ParseID(*l.Next)
}
