package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
)

func (p *program) resourceCmd() *cobra.Command {
	var owner string
	get := getCommand(p, "Show who has a resource and who waits for it", p.completeResources(), func(c *client.Client, ctx context.Context, name string) (api.Resource, error) {
		return c.Resource(ctx, name, owner)
	}, p.showResource)
	get.Flags().StringVar(&owner, "owner", "", "of this owner's tasks, where several owners have the name")
	refuseEmpty(get, "owner")
	return group("resource", "Names that tasks have for themselves or share", get, p.listResourcesCmd())
}

func resourceTable() tableFormat[api.Resource] {
	return tableFormat[api.Resource]{
		header: []string{"NAME", "MODE", "HELD", "WAITING", "HOLDER"},
		name:   func(r api.Resource) string { return r.Name },
		cells: func(r api.Resource) []string {
			mode, holder := "-", "-"
			if len(r.Holders) > 0 {
				mode, holder = r.Holders[0].Mode, shortID(r.Holders[0].Task)
			}
			if r.Held > 1 {
				holder += fmt.Sprintf(" and %d more", r.Held-1)
			}
			return []string{r.Name, mode, strconv.FormatInt(r.Held, 10), strconv.FormatInt(r.Waiting, 10), holder}
		},
	}
}

func (p *program) listResourcesCmd() *cobra.Command {
	var limit int
	cmd := &cobra.Command{Use: "list", Short: "List the resources that tasks have or wait for, by name", Args: cobra.NoArgs}
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most; 0 for all")
	cmd.RunE = p.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
		all, next, err := readPages(limit, func(most int, cursor string) ([]api.Resource, *string, error) {
			page, err := c.ResourcesPage(ctx, cursor, most)
			return page.Resources, page.Next, err
		})
		if err != nil {
			return err
		}
		defer p.sayMore(next, len(all))
		return printList(p, resourceTable(), all, api.ResourceList{Resources: all, Next: next})
	})
	return cmd
}

// claimsShown is how many holders of a resource, and of its queue, are shown as text.
const claimsShown = 20

func (p *program) showResource(r api.Resource) error {
	return printFields(p, r, r.Name, []field{
		{"Name", r.Name}, {"Owner", r.Owner}, {"Held by", claimsText(r.Holders, r.Held)}, {"Waiting", claimsText(r.Queue, r.Waiting)},
	})
}

// claimsText is the first of those who hold a resource or wait for it, of how many.
func claimsText(claims []api.Claim, n int64) string {
	var lines []string
	for _, c := range claims[:min(len(claims), claimsShown)] {
		lines = append(lines, fmt.Sprintf("%s %s, since %s", c.Task, c.Mode, age(c.Since)))
	}
	if rest := n - int64(len(lines)); rest > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", rest))
	}
	if len(lines) == 0 {
		return "nobody"
	}
	return strings.Join(lines, "\n")
}
