// Package identity is who calls and what they may do: roles, tokens, callers that others
// vouch for, the slowing of those who guess, and what is written down of changes. It does no
// I/O and has no clock: a store keeps its records by the port Store, and time and chance are
// passed in.
package identity

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// DefaultOwner is whose everything is while nobody has to say who they are.
const DefaultOwner = "default"

// Role is what a caller may do.
type Role string

// The roles, each with all that those before it may do.
const (
	Viewer   Role = "viewer"   // look at what is their owner's
	Member   Role = "member"   // submit tasks for their owner and change what is their owner's
	Operator Role = "operator" // all owners' tasks; executors, types and workers
	Admin    Role = "admin"    // everything; tokens and the audit among it
)

var roles = []Role{Viewer, Member, Operator, Admin}

// Roles are the names of all roles, the least first.
func Roles() []string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return names
}

// Valid says whether r is one of the roles.
func (r Role) Valid() bool { return slices.Contains(roles, r) }

// May says whether r may do what needs that role at the least. What is no role may nothing.
func (r Role) May(least Role) bool {
	return r.Valid() && slices.Index(roles, r) >= slices.Index(roles, least)
}

// Way is how a caller is known.
type Way string

// The ways.
const (
	ByToken       Way = "token"
	ByCertificate Way = "certificate" // of a client, over TLS
	ByProxy       Way = "proxy"       // one that is trusted vouches for the caller
	ByMachine     Way = "machine"     // who reaches an open host from its own machine
	ByFile        Way = "file"        // who may write the host's data directory
)

// Caller is who calls.
type Caller struct {
	Name  string // of the token, the certificate or the user
	Owner string // whose things they see and make
	Role  Role
	By    Way
	Token task.ID // zero if by no token
	// ExpiresAt is when the token ends; zero for never.
	ExpiresAt time.Time
	// Life ends when the token is revoked; nil if by no token.
	Life context.Context
}

// Scope is what the caller may see.
func (c *Caller) Scope() task.Scope {
	return task.Scope{Owner: c.Owner, All: c.Role.May(Operator)}
}

// Machine is who calls an open host from its own machine.
func Machine() Caller { return Caller{Name: "local", Owner: DefaultOwner, Role: Admin, By: ByMachine} }

// Require refuses a caller whose role is not enough; the error has code forbidden.
func (c *Caller) Require(least Role) error {
	if c.Role.May(least) {
		return nil
	}
	return task.Errorf(task.CodeForbidden, "this needs the role %s, and %s %q has the role %s", orAbove(least), c.By, c.Name, c.Role)
}

func orAbove(r Role) string { return strings.Join(Roles()[slices.Index(roles, r):], " or ") }
