package group

import "time"

// Summary is a group as clients see it, and as its finisher gets it.
type Summary struct {
	ID         string            `json:"id" format:"uuid" doc:"a UUID of version 7: it begins with the time it was made, so ids sort by age"`
	Group      string            `json:"group,omitempty" format:"uri-reference" doc:"its path, in answers with status 202 alone"`
	Name       string            `json:"name" doc:"as it was given; empty if none was"`
	Owner      string            `json:"owner" doc:"whose group it is, and its members are"`
	Labels     map[string]string `json:"labels" doc:"as they were given"`
	State      State             `json:"state" enum:"open,closed,finished" doc:"open: tasks may join; closed: none may, and some are not final; finished: all are final"`
	Counts     map[string]int64  `json:"counts" doc:"how many members are in which state; those that were deleted since are in the state they had. Those that failed because a worker trashed them are no failures: they are under trashed, and not under failed"`
	Total      int64             `json:"total" doc:"how many tasks have joined"`
	Done       int64             `json:"done" doc:"how many of them are final"`
	Progress   Progress          `json:"progress" doc:"the same two numbers, as a task has them"`
	OnFinished *string           `json:"on_finished" format:"uri-reference" doc:"the finisher, once it was submitted"`
	Problem    *string           `json:"problem" doc:"why the finisher that is due could not be submitted; it is tried again. null if it could, or none is due"`
	Tasks      string            `json:"tasks" format:"uri-reference" doc:"where its members are listed"`
	CreatedAt  time.Time         `json:"created_at" doc:"when it was made"`
	ClosedAt   *time.Time        `json:"closed_at" doc:"since when no task may join"`
	FinishedAt *time.Time        `json:"finished_at" doc:"since when all members are final"`
}

// Progress is how far a group is, in tasks.
type Progress struct {
	Done  int64 `json:"done" doc:"members that are final"`
	Total int64 `json:"total" doc:"tasks that have joined"`
}

// Summarize is the summary of a group.
func Summarize(g *Group) Summary {
	s := Summary{
		ID: g.ID.String(), Name: g.Name, Owner: g.Owner, Labels: g.Labels, State: g.State(), Counts: map[string]int64{},
		Total: g.Counts.Total(), Done: g.Counts.Done(), Tasks: "/v1/tasks?group=" + g.ID.String(), CreatedAt: g.CreatedAt,
		ClosedAt: known(g.ClosedAt), FinishedAt: known(g.FinishedAt),
	}
	if s.Labels == nil {
		s.Labels = map[string]string{}
	}
	s.Progress = Progress{Done: s.Done, Total: s.Total}
	for _, state := range Counted() {
		if n := g.Counts[state]; n > 0 {
			s.Counts[CountName(state)] = n
		}
	}
	if g.Problem != "" {
		s.Problem = &g.Problem
	}
	if !g.Finisher.IsZero() {
		href := "/v1/tasks/" + g.Finisher.String()
		s.OnFinished = &href
	}
	return s
}

// known is nil for a time that is not there.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
