package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/task"
)

func (p *program) statusCmd() *cobra.Command {
	return &cobra.Command{Use: "status", Short: "Show the host at one look", Args: cobra.NoArgs,
		Long: "Show the host at one look: its store, executors and workers, what waits and why, and\nwhat failed last. The exit code is 1 if the host can run nothing.",
		RunE: p.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
			s, err := c.Status(ctx)
			if err == nil {
				err = p.showStatus(&s)
			}
			if err == nil && s.Status == api.StatusUnavailable {
				err = &exitError{code: exitFault, msg: "the host is unavailable: " + foldLines(orEmpty(s.Reason))}
			}
			return err
		})}
}

func (p *program) showStatus(s *api.Status) error {
	err := printFields(p, s, s.Status, []field{
		{"Host", fmt.Sprintf("%s, at %s for %s, version %s", s.Status, p.addr, age(s.StartedAt), s.Version)},
		{"Store", storeText(&s.Store)},
		{"Tasks", fmt.Sprintf("%d active, %d ready, %d waiting", s.Tasks.Active, s.Tasks.Ready, s.Tasks.Waiting)},
	})
	if err != nil || p.format != formatTable {
		return err
	}
	for _, t := range []table{executorsOf(s), workersOf(s), backlogOf(s), fullQueuesOf(s), problemsOf(s), failedOf(s)} {
		if len(t.rows) == 0 {
			continue
		}
		if _, err := fmt.Fprintln(p.out); err != nil {
			return err
		}
		if err := p.writeTable(t); err != nil {
			return err
		}
	}
	return nil
}

func storeText(s *api.StoreState) string {
	text := s.State
	if s.Reason != nil {
		text += ": " + *s.Reason
	}
	if s.Bytes > 0 {
		text += ", " + sizeText(s.Bytes)
	}
	if s.Place != nil {
		text += ", " + *s.Place
	}
	return text
}

func executorsOf(s *api.Status) table {
	t := table{header: []string{"EXECUTOR", "PLUGIN", "STATE", "SLOTS", "REASON"}, prose: true}
	for _, e := range s.Executors {
		t.rows = append(t.rows, []string{e.Name, e.Plugin, string(e.State), slotText(e.Slots), orDash(e.Reason)})
	}
	return t
}

func workersOf(s *api.Status) table {
	t := table{header: []string{"WORKER", "EXECUTOR", "STATE", "SLOTS", "LAST SEEN"}}
	for _, e := range s.Executors {
		for _, w := range e.Nodes {
			t.rows = append(t.rows, []string{w.Name, w.Executor, w.State, slotText(w.Slots), lastSeen(w)})
		}
	}
	return t
}

// backlogRows is how many reasons to wait are shown.
const backlogRows = 10

func backlogOf(s *api.Status) table {
	t := table{header: []string{"WAITING", "TASKS", "OLDEST", "EXECUTOR", "WHY"}, prose: true}
	rest := s.Tasks.Ready + s.Tasks.Waiting
	for _, b := range s.Backlog[:min(len(s.Backlog), backlogRows)] {
		if b.Waiting != task.WaitDispatched.String() { // an executor has those
			rest -= b.Tasks
		}
		oldest := "-"
		if b.OldestAt != nil {
			oldest = age(*b.OldestAt)
		}
		t.rows = append(t.rows, []string{b.Type, strconv.FormatInt(b.Tasks, 10), oldest, orDash(b.Executor), waitingText(&b)})
	}
	if len(s.Backlog) > backlogRows {
		t.rows = append(t.rows, []string{"(others)", strconv.FormatInt(rest, 10), "-", "-", "for reasons with fewer tasks each; -o json has more of them"})
	}
	return t
}

// waitingTexts are why tasks wait where their reason says no more.
var waitingTexts = map[string]string{
	task.WaitScheduled.String(): "scheduled for later", task.WaitDependency.String(): "for a step before them", task.WaitResource.String(): "for a resource that others have",
	task.WaitPaused.String(): "paused", task.WaitDispatched.String(): "handed on by their executor, and not begun", task.WaitChildren.String(): "for their children",
}

// waitingText is why tasks wait.
func waitingText(b *api.Backlog) string {
	if b.Reason != nil {
		return *b.Reason
	}
	return cmp.Or(waitingTexts[b.Waiting], "-")
}

func fullQueuesOf(s *api.Status) table {
	t := table{header: []string{"QUEUE FULL", "WAITING", "LIMIT"}}
	for _, q := range s.FullQueues {
		t.rows = append(t.rows, []string{q.Type, strconv.FormatInt(q.Waiting, 10), strconv.FormatInt(q.QueueLimit, 10)})
	}
	return t
}

func problemsOf(s *api.Status) table {
	t := table{header: []string{"CANNOT SUBMIT", "ID", "NAME", "WHY"}, prose: true}
	for _, p := range s.Problems {
		t.rows = append(t.rows, []string{p.Kind, shortID(p.ID), orDash(&p.Name), p.Reason})
	}
	return t
}

func failedOf(s *api.Status) table {
	t := table{header: []string{"FAILED LAST", "TYPE", "WHEN", "ERROR"}, prose: true}
	for _, f := range s.Failed {
		when, why := "-", "-"
		if f.FinishedAt != nil {
			when = age(*f.FinishedAt) + " ago"
		}
		if f.Error != nil {
			why = f.Error.Code + ": " + f.Error.Message
		}
		t.rows = append(t.rows, []string{shortID(f.ID), f.Type, when, why})
	}
	return t
}
