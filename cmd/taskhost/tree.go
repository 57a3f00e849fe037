package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
)

func (p *program) treeCmd() *cobra.Command {
	limit := 0
	cmd := &cobra.Command{Use: "tree ID", Short: "Show a task with all that it has spawned", Args: cobra.ExactArgs(1), ValidArgsFunction: onlyFirst(p.completeTasks())}
	cmd.Flags().IntVar(&limit, "limit", 1000, "how many tasks at most, those nearest to it; 10000 is the most")
	cmd.RunE = p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		tree, err := c.Tree(ctx, args[0], limit)
		if err != nil {
			return err
		}
		rows := treeRows(nil, &tree, "", "")
		told := slices.DeleteFunc(slices.Clone(rows), func(r treeRow) bool { return r.more })
		if p.format != formatTable {
			return printList(p, treeTable(), told, tree)
		}
		if err := printList(p, treeTable(), rows, tree); err != nil {
			return err
		}
		if len(told) < len(rows) {
			fmt.Fprintf(p.err, "there are more than these %d: --limit shows more, `taskhost task list --parent ID` those of one task\n", len(told))
		}
		return nil
	})
	return cmd
}

// treeRow is a task of a tree as it is printed: drawn is what stands before its name. more
// stands in the place of those that are not told.
type treeRow struct {
	drawn string
	task  api.Task
	more  bool
}

// MarshalJSON is the task: as JSON lines nothing is drawn.
func (r treeRow) MarshalJSON() ([]byte, error) { return json.Marshal(r.task) }

// treeRows adds a tree's tasks, each after the one that spawned it. here stands before the
// first of them, and below before those that it has spawned.
func treeRows(rows []treeRow, t *api.TaskTree, here, below string) []treeRow {
	rows = append(rows, treeRow{drawn: here, task: t.Task})
	for i, c := range t.Children {
		branch, next := "├─ ", "│  "
		if i == len(t.Children)-1 && !t.More {
			branch, next = "└─ ", "   "
		}
		rows = treeRows(rows, c, below+branch, below+next)
	}
	if t.More {
		rows = append(rows, treeRow{drawn: below + "└─ …", more: true})
	}
	return rows
}

// treeNameWidth is how many columns a name in a tree takes at the most, with what is drawn
// before it: a row is to fit beside it.
const treeNameWidth = 32

func treeTable() tableFormat[treeRow] {
	return tableFormat[treeRow]{
		header: []string{"TREE", "ID", "TYPE", "STATE", "ATTEMPT"},
		name:   func(r treeRow) string { return r.task.ID },
		cells: func(r treeRow) []string {
			if r.more {
				return []string{r.drawn, "", "", "", ""}
			}
			t := r.task
			name := orEmpty(t.Name)
			if name == "" {
				name = t.Type
			}
			state := t.State.String()
			if t.Waiting != nil && *t.Waiting != "queued" {
				state += " (" + *t.Waiting + ")"
			}
			return []string{clip(r.drawn+name, treeNameWidth), shortID(t.ID), t.Type, state, strconv.Itoa(t.Attempt)}
		},
	}
}
