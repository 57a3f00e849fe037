package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

// tokens are those of a server, or of a data directory whose server is stopped.
type tokens interface {
	CreateToken(ctx context.Context, t api.TokenRequest) (api.NewToken, error)
	Tokens(ctx context.Context) ([]api.Token, error)
	RevokeToken(ctx context.Context, id string) error
}

// storedTokens are those of a data directory, as a server tells of its own.
type storedTokens struct{ of host.Tokens }

func (s storedTokens) CreateToken(ctx context.Context, r api.TokenRequest) (api.NewToken, error) {
	spec := identity.Spec{Name: r.Name, Owner: r.Owner, Role: identity.Role(r.Role)}
	if r.ExpiresAt != nil {
		spec.ExpiresAt = *r.ExpiresAt
	}
	t, secret, err := s.of.Create(ctx, spec)
	return api.NewToken{Token: api.TokenOf(&t), Secret: secret}, err
}

func (s storedTokens) Tokens(context.Context) ([]api.Token, error) {
	out := []api.Token{}
	for _, t := range s.of.Tokens() {
		out = append(out, api.TokenOf(&t))
	}
	return out, nil
}

func (s storedTokens) RevokeToken(ctx context.Context, id string) error {
	parsed, err := task.ParseID(id)
	if err != nil {
		return err
	}
	return s.of.Revoke(ctx, parsed)
}

func (p *program) tokenCmd() *cobra.Command {
	return group("token", "Who may call a server", p.tokenCreateCmd(), p.tokenListCmd(), p.tokenRevokeCmd())
}

// withTokens makes c work on the tokens of a server or, with --data-dir, of one that is stopped.
func (p *program) withTokens(c *cobra.Command, run func(ctx context.Context, t tokens, args []string) error) *cobra.Command {
	var dir string
	c.Flags().StringVar(&dir, "data-dir", "", "work on the data directory of a server that is stopped, and ask none")
	refuseEmpty(c, "data-dir")
	asking := p.withClient(func(ctx context.Context, c *client.Client, args []string) error { return run(ctx, c, args) })
	c.RunE = func(c *cobra.Command, args []string) error {
		if dir == "" {
			return asking(c, args)
		}
		return host.StoredTokens(c.Context(), dir, func(t host.Tokens) error { return run(c.Context(), storedTokens{t}, args) })
	}
	return c
}

func (p *program) tokenCreateCmd() *cobra.Command {
	var r api.TokenRequest
	var ends string
	c := &cobra.Command{Use: "create NAME", Short: "Make a token; its secret is shown this once", Args: cobra.ExactArgs(1),
		Long: "Make a token. Its secret is shown this once: the server keeps a hash of it. Give it to clients as\n" +
			"TASKHOST_TOKEN, or in the header Authorization: Bearer SECRET.\n\n" +
			"The first token must be an admin's. It is made on the server's own machine: over loopback, while\n" +
			"there are none, or with --data-dir while the server is stopped. From then on every request needs one."}
	c.Flags().StringVar(&r.Owner, "owner", identity.DefaultOwner, "whose tasks it is for")
	c.Flags().StringVar(&r.Role, "role", string(identity.Member), "what it lets do: "+strings.Join(identity.Roles(), ", "))
	c.Flags().StringVar(&ends, "expires", "", "when it ends: a time (RFC 3339), or a duration from now such as 720h (default: never)")
	refuseEmpty(c, "owner", "role", "expires")
	completeFlag(c, "role", cobra.FixedCompletions(identity.Roles(), cobra.ShellCompDirectiveNoFileComp))
	return p.withTokens(c, func(ctx context.Context, t tokens, args []string) error {
		var err error
		if r.ExpiresAt, err = futureTime("--expires", ends); err != nil {
			return err
		}
		r.Name = args[0]
		made, err := t.CreateToken(ctx, r)
		if err != nil {
			return err
		}
		fmt.Fprintln(p.err, "keep the secret now: it is not shown again")
		return printFields(p, made, made.Secret, append([]field{{"Secret", made.Secret}}, tokenFields(made.Token)...))
	})
}

func tokenFields(t api.Token) []field {
	return []field{{"ID", t.ID}, {"Name", t.Name}, {"Owner", t.Owner}, {"Role", t.Role}, {"Created", timeText(&t.CreatedAt)}, {"Expires", timeText(t.ExpiresAt)},
		{"Last used", timeText(t.LastUsedAt)}}
}

func tokenTable() tableFormat[api.Token] {
	return tableFormat[api.Token]{
		header: []string{"ID", "NAME", "OWNER", "ROLE", "EXPIRES", "LAST USED"},
		name:   func(t api.Token) string { return t.ID },
		cells: func(t api.Token) []string {
			expires := "never"
			switch {
			case t.ExpiresAt == nil:
			case t.ExpiresAt.Before(time.Now()):
				expires = "expired"
			default:
				expires = timeText(t.ExpiresAt)
			}
			used := "never"
			if t.LastUsedAt != nil {
				used = timeText(t.LastUsedAt)
			}
			return []string{shortID(t.ID), t.Name, t.Owner, t.Role, expires, used}
		},
	}
}

func (p *program) tokenListCmd() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List tokens, newest first", Args: cobra.NoArgs}
	return p.withTokens(c, func(ctx context.Context, t tokens, _ []string) error {
		all, err := t.Tokens(ctx)
		if err != nil {
			return err
		}
		return printList(p, tokenTable(), all, api.TokenList{Tokens: all})
	})
}

func (p *program) tokenRevokeCmd() *cobra.Command {
	c := &cobra.Command{Use: "revoke ID|NAME", Short: "Revoke a token: what is held for it ends now", Args: cobra.ExactArgs(1)}
	return p.withTokens(c, func(ctx context.Context, t tokens, args []string) error {
		all, err := t.Tokens(ctx)
		if err != nil {
			return err
		}
		found := slices.DeleteFunc(slices.Clone(all), func(t api.Token) bool { return t.Name != args[0] })
		if len(found) == 0 {
			found = slices.DeleteFunc(slices.Clone(all), func(t api.Token) bool { return !strings.HasPrefix(t.ID, strings.ToLower(args[0])) })
		}
		switch len(found) {
		case 0:
			return task.Errorf(task.CodeNotFound, "no token has the name %q, or an id that begins so", args[0])
		case 1:
		default:
			return task.Errorf(task.CodeConflict, "%d tokens are called %q, or have an id that begins so, of %s and %s among others: give more of an id", len(found), args[0], found[0].Owner, found[1].Owner)
		}
		if err := t.RevokeToken(ctx, found[0].ID); err != nil {
			return err
		}
		fmt.Fprintf(p.err, "revoked token %s (%s of %s)\n", found[0].ID, found[0].Name, found[0].Owner)
		return nil
	})
}

func (p *program) whoamiCmd() *cobra.Command {
	return &cobra.Command{Use: "whoami", Short: "Show who the server takes you for", Args: cobra.NoArgs,
		RunE: p.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
			who, err := c.Whoami(ctx)
			if err != nil {
				return err
			}
			fields := []field{{"Name", who.Name}, {"Owner", who.Owner}, {"Role", who.Role}, {"Known by", who.By}, {"Token", orEmpty(who.Token)},
				{"Expires", timeText(who.ExpiresAt)}}
			if who.Quota != nil {
				fields = append(fields, quotaFields(who.Quota)...)
			}
			return printFields(p, who, who.Name, fields)
		})}
}

func auditTable() tableFormat[api.AuditEvent] {
	return tableFormat[api.AuditEvent]{
		header: []string{"AT", "WHO", "OWNER", "ROLE", "FROM", "ACTION", "STATUS", "TARGET"},
		name:   func(e api.AuditEvent) string { return e.ID },
		cells: func(e api.AuditEvent) []string {
			return []string{timeText(&e.At), e.Name, e.Owner, e.Role, e.Address, e.Action, fmt.Sprint(e.Status), e.Target}
		},
	}
}

func (p *program) auditCmd() *cobra.Command {
	var f identity.Filter
	var after, before string
	var limit int
	c := &cobra.Command{Use: "audit", Short: "Show who changed what, newest first", Args: cobra.NoArgs}
	c.Flags().StringVar(&f.Owner, "owner", "", "by callers of this owner")
	c.Flags().StringVar(&f.Name, "name", "", "by callers of this name")
	c.Flags().StringVar(&f.Action, "action", "", "this operation, such as cancelTask")
	c.Flags().StringVar(&after, "after", "", "later than this time (RFC 3339, or a duration ago such as 10m)")
	c.Flags().StringVar(&before, "before", "", "earlier than this time")
	refuseEmpty(c, "owner", "name", "action", "after", "before")
	c.Flags().IntVar(&limit, "limit", 100, "how many at most; 0 for all")
	c.RunE = p.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
		var err error
		if f.After, err = pastTime("--after", after); err != nil {
			return err
		}
		if f.Before, err = pastTime("--before", before); err != nil {
			return err
		}
		body := api.AuditList{Events: []api.AuditEvent{}}
		for {
			f.Limit = task.MaxListLimit
			if limit > 0 {
				f.Limit = min(limit-len(body.Events), task.MaxListLimit)
			}
			page, err := c.AuditPage(ctx, f)
			if err != nil {
				return err
			}
			body.Events = append(body.Events, page.Events...)
			body.Next = page.Next
			if page.Next == nil || limit > 0 && len(body.Events) >= limit {
				return printList(p, auditTable(), body.Events, body)
			}
			if f.Cursor, err = page.Cursor(); err != nil {
				return err
			}
		}
	})
	return c
}
