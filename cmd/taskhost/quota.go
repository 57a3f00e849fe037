package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
)

func quotaTable() tableFormat[api.OwnerQuota] {
	return tableFormat[api.OwnerQuota]{
		header: []string{"OWNER", "WAITING", "RUNNING", "BYTES"},
		name:   func(q api.OwnerQuota) string { return q.Owner },
		cells: func(q api.OwnerQuota) []string {
			cells := []string{q.Owner}
			for _, f := range quotaFields(&q.Quota) {
				cells = append(cells, f.value)
			}
			return cells
		},
	}
}

// quotaFields are what is used of what there may be, such as "3 of 20"; "-" is not counted.
func quotaFields(q *api.Quota) []field {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	bytes := "-"
	if q.Bytes != nil {
		bytes = useText(*q.Bytes, sizeText)
	}
	return []field{{"Waiting", useText(q.Waiting, number)}, {"Running", useText(q.Running, number)}, {"Bytes kept", bytes}}
}

func useText(u api.QuotaUse, show func(int64) string) string {
	if u.Limit == nil {
		return show(u.Used)
	}
	return show(u.Used) + " of " + show(*u.Limit)
}

func (p *program) quotaCmd() *cobra.Command {
	var limit int
	c := &cobra.Command{Use: "quota", Short: "Show what owners have and may have, by name", Args: cobra.NoArgs,
		Long: "Show what owners have and may have: waiting tasks, attempts under way, and the bytes that are kept of\n" +
			"their tasks, which are counted while a quota is set on them. Quotas are the config's (quota blocks).\n" +
			"For operators; whoami shows your own."}
	c.Flags().IntVar(&limit, "limit", 100, "how many at most; 0 for all")
	c.RunE = p.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
		all, next, err := readPages(limit, func(most int, cursor string) ([]api.OwnerQuota, *string, error) {
			page, err := c.QuotasPage(ctx, cursor, most)
			return page.Quotas, page.Next, err
		})
		if err != nil {
			return err
		}
		defer p.sayMore(next, len(all))
		return printList(p, quotaTable(), all, api.OwnerQuotaList{Quotas: all, Next: next})
	})
	return c
}
