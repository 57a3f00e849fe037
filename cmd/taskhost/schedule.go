package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/task"
)

func (p *program) scheduleCmd() *cobra.Command {
	k := kind[api.Schedule]{arg: "NAME", format: scheduleTable(), list: func(all []api.Schedule) any { return api.ScheduleList{Schedules: all} }, id: scheduleID}
	complete := p.completeSchedules()
	paused := func(yes bool) func(*client.Client, context.Context, string) (api.Schedule, error) {
		return func(c *client.Client, ctx context.Context, id string) (api.Schedule, error) {
			return c.ChangeSchedule(ctx, id, api.ScheduleRequest{Paused: &yes})
		}
	}
	return group("schedule", "Tasks that are submitted again and again",
		p.createScheduleCmd(),
		getCommand(p, "Show a schedule, by its name or id", complete, func(c *client.Client, ctx context.Context, arg string) (api.Schedule, error) {
			return scheduleWith(ctx, c, arg, shownRuns)
		}, p.showSchedule),
		p.listSchedulesCmd(), p.previewScheduleCmd(), p.updateScheduleCmd(),
		changeCommand(p, k, "pause", "Submit no more runs of schedules", complete, paused(true)),
		changeCommand(p, k, "resume", "Submit runs of schedules again, from now on", complete, paused(false)),
		changeCommand(p, runs(), "run", "Submit a run of schedules now, whatever their times and pauses say", complete, (*client.Client).RunSchedule),
		deleteCommand(p, k, "Delete schedules; the tasks of their runs stay", complete, (*client.Client).DeleteSchedule))
}

// runs are how schedules are named whose runs are printed.
func runs() kind[api.Task] {
	k := tasks()
	k.arg = "NAME"
	k.id = scheduleID
	return k
}

func scheduleTable() tableFormat[api.Schedule] {
	return tableFormat[api.Schedule]{
		prose:  true,
		header: []string{"NAME", "TYPE", "WHEN", "NEXT", "RUNS", "SKIPPED", "PROBLEM"},
		name:   func(s api.Schedule) string { return s.Name },
		cells: func(s api.Schedule) []string {
			next := "never"
			switch {
			case s.Paused:
				next = "paused"
			case s.NextAt != nil:
				next = s.NextAt.Local().Format(time.DateTime)
			}
			return []string{s.Name, scheduledType(&s), whenText(&s), next, strconv.FormatInt(s.Runs, 10), strconv.FormatInt(s.Skipped, 10), orDash(s.Problem)}
		},
	}
}

// scheduledType is the type of a schedule's task.
func scheduledType(s *api.Schedule) string {
	var t struct {
		Type string `json:"type"`
	}
	_ = json.Unmarshal(s.Task, &t) // a server wrote it
	return cmp.Or(t.Type, "-")
}

// whenText is when a schedule runs.
func whenText(s *api.Schedule) string {
	if s.Every != nil {
		return "every " + *s.Every
	}
	return orEmpty(s.Cron)
}

// shownRuns is how many runs ahead a schedule shows.
const shownRuns = 3

func (p *program) showSchedule(s api.Schedule) error {
	zone := ""
	if s.Every == nil {
		zone = s.TimeZone
	}
	jitter := s.Jitter
	if jitter == "0s" {
		jitter = ""
	}
	var ahead []string
	for i := range s.Preview {
		ahead = append(ahead, timeText(&s.Preview[i]))
	}
	return printFields(p, s, s.Name, []field{
		{"Name", s.Name}, {"ID", s.ID}, {"Owner", s.Owner}, {"When", whenText(&s)}, {"Time zone", zone}, {"Jitter", jitter},
		{"Missed", s.Missed}, {"Overlap", s.Overlap}, {"Start at", timeText(s.StartAt)}, {"End at", timeText(s.EndAt)}, {"Paused", yesNo(s.Paused)},
		{"Next", timeText(s.NextAt)}, {"Ahead", strings.Join(ahead, "\n")}, {"Last", timeText(s.LastAt)}, {"Last task", strings.TrimPrefix(orEmpty(s.LastTask), "/v1/tasks/")},
		{"Runs", strconv.FormatInt(s.Runs, 10)}, {"Skipped", strconv.FormatInt(s.Skipped, 10)}, {"Problem", orEmpty(s.Problem)}, {"Task", indentedJSON(s.Task)},
		{"Created", timeText(&s.CreatedAt)}, {"Version", strconv.FormatInt(s.Version, 10)},
	})
}

// scheduleID is the id of the schedule with that name, or whose id arg begins.
func scheduleID(ctx context.Context, c *client.Client, arg string) (string, error) {
	page, err := c.SchedulesPage(ctx, arg, "", 2)
	if err != nil {
		return "", err
	}
	switch named := page.Schedules; len(named) {
	case 0:
	case 1:
		return named[0].ID, nil
	default:
		return "", task.Errorf(task.CodeConflict, "several owners have a schedule named %q, %s and %s among them: give an id, such as %s or %s",
			arg, named[0].Owner, named[1].Owner, named[0].ID, named[1].ID)
	}
	return idOf("schedule", arg, func(behind task.ID) (ids []string, err error) {
		page, err := c.SchedulesPage(ctx, "", behind.String(), 2)
		for i := range page.Schedules {
			ids = append(ids, page.Schedules[i].ID)
		}
		return ids, err
	})
}

func scheduleWith(ctx context.Context, c *client.Client, arg string, preview int) (api.Schedule, error) {
	id, err := scheduleID(ctx, c, arg)
	if err != nil {
		return api.Schedule{}, err
	}
	return c.Schedule(ctx, id, preview)
}

func (p *program) listSchedulesCmd() *cobra.Command {
	var limit int
	cmd := &cobra.Command{Use: "list", Short: "List schedules, newest first", Args: cobra.NoArgs}
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most; 0 for all")
	cmd.RunE = p.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
		all, next, err := readPages(limit, func(most int, cursor string) ([]api.Schedule, *string, error) {
			page, err := c.SchedulesPage(ctx, "", cursor, most)
			return page.Schedules, page.Next, err
		})
		if err != nil {
			return err
		}
		defer p.sayMore(next, len(all))
		return printList(p, scheduleTable(), all, api.ScheduleList{Schedules: all, Next: next})
	})
	return cmd
}

func (p *program) previewScheduleCmd() *cobra.Command {
	var n int
	cmd := &cobra.Command{Use: "preview NAME", Short: "Show when the next runs of a schedule are, their jitter aside", Args: cobra.ExactArgs(1), ValidArgsFunction: onlyFirst(p.completeSchedules())}
	cmd.Flags().IntVarP(&n, "number", "n", 10, "how many runs")
	cmd.RunE = p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		if n < 1 {
			return usagef("--number %d: want 1 at the least", n)
		}
		s, err := scheduleWith(ctx, c, args[0], n)
		if err != nil {
			return err
		}
		zone, err := time.LoadLocation(s.TimeZone)
		if err != nil { // the server knows more zones than this machine
			zone = time.UTC
		}
		return printList(p, tableFormat[time.Time]{
			header: []string{"RUN", "UTC"},
			name:   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
			cells: func(t time.Time) []string {
				return []string{t.In(zone).Format("Mon 2006-01-02 15:04:05 MST"), t.UTC().Format(time.RFC3339)}
			},
		}, s.Preview, s)
	})
	return cmd
}

// scheduleFlags are the flags that say when a schedule runs, and how.
type scheduleFlags struct {
	task           taskFlags
	every, jitter  time.Duration
	startAt, endAt string
	req            api.ScheduleRequest
}

func (s *scheduleFlags) add(p *program, cmd *cobra.Command) {
	f := cmd.Flags()
	s.task.add(p, cmd)
	f.StringVar(&s.req.Cron, "cron", "", "when: minute hour day month weekday, or @hourly, @daily, @weekly, @monthly, @yearly")
	f.DurationVar(&s.every, "every", 0, "when: at this interval, such as 90m")
	f.StringVar(&s.req.TimeZone, "time-zone", "", "of --cron, such as Europe/Berlin (default UTC)")
	f.DurationVar(&s.jitter, "jitter", 0, "each run is late by up to this, at random")
	f.StringVar(&s.req.Missed, "missed", "", "runs whose time passed while no host ran: skip, one (default) or all of them are made up for")
	f.StringVar(&s.req.Overlap, "overlap", "", "a run while the last one's task is not final: allow (default), skip it, or cancel the old task")
	f.StringVar(&s.startAt, "start-at", "", "no run before this time (RFC 3339), or before so long from now")
	f.StringVar(&s.endAt, "end-at", "", "no run after it")
	completeFlag(cmd, "missed", cobra.FixedCompletions([]cobra.Completion{"skip", "one", "all"}, cobra.ShellCompDirectiveNoFileComp))
	completeFlag(cmd, "overlap", cobra.FixedCompletions([]cobra.Completion{"allow", "skip", "cancel"}, cobra.ShellCompDirectiveNoFileComp))
	completeFlag(cmd, "cron", cobra.FixedCompletions([]cobra.Completion{"@hourly", "@daily", "@weekly", "@monthly", "@yearly"}, cobra.ShellCompDirectiveNoFileComp))
}

// fill reads what the flags hold as text.
func (s *scheduleFlags) fill() (err error) {
	s.req.Every = api.Duration(s.every)
	s.req.Jitter = api.Duration(s.jitter)
	if s.req.StartAt, err = futureTime("--start-at", s.startAt); err != nil {
		return err
	}
	s.req.EndAt, err = futureTime("--end-at", s.endAt)
	return err
}

func (p *program) createScheduleCmd() *cobra.Command {
	var s scheduleFlags
	var paused bool
	cmd := &cobra.Command{Use: "create NAME TYPE", Short: "Submit a task of a type again and again", Args: cobra.ExactArgs(2),
		Example: "  taskhost schedule create night sum --cron '30 4 * * *' --time-zone Asia/Tokyo\n" +
			"  taskhost schedule create sweep noop --every 15m --jitter 1m --overlap skip",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) != 1 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return p.completeTypes()(cmd, nil, typed)
		}}
	s.add(p, cmd)
	cmd.Flags().BoolVar(&paused, "paused", false, "let nothing run until it is resumed")
	cmd.RunE = p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		if (s.req.Cron == "") == (s.every == 0) {
			return usagef("say when it runs: give exactly one of --cron and --every")
		}
		spec := api.TaskRequest{Type: args[1]}
		err := s.task.apply(cmd, p.in, &spec)
		if err == nil {
			err = s.fill()
		}
		if err != nil {
			return err
		}
		s.req.Name = args[0]
		if s.req.Task, err = api.Encode(spec); err != nil {
			return err
		}
		if paused {
			s.req.Paused = &paused
		}
		made, err := c.CreateSchedule(ctx, s.req)
		if err != nil {
			return err
		}
		return printList(p, scheduleTable(), []api.Schedule{made}, made)
	})
	return cmd
}

func (p *program) updateScheduleCmd() *cobra.Command {
	var s scheduleFlags
	var name, taskType string
	cmd := &cobra.Command{Use: "update NAME", Short: "Change what of a schedule is given; the rest stays", Args: cobra.ExactArgs(1), ValidArgsFunction: onlyFirst(p.completeSchedules()),
		Long:    "Change what of a schedule is given; the rest stays. An empty value, or 0, gives back the default.",
		Example: "  taskhost schedule update nightly --cron '0 5 * * *' --jitter 0 --end-at ''"}
	s.add(p, cmd)
	cmd.Flags().StringVar(&name, "name", "", "another name")
	cmd.Flags().StringVar(&taskType, "type", "", "another type of its task")
	completeFlag(cmd, "type", p.completeTypes())
	cmd.RunE = p.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		if err := s.fill(); err != nil {
			return err
		}
		id, err := scheduleID(ctx, c, args[0])
		if err != nil {
			return err
		}
		s.req.Name = name
		if s.task.given(cmd) || taskType != "" {
			if s.req.Task, err = p.changedTask(ctx, c, cmd, id, &s.task, taskType); err != nil {
				return err
			}
		}
		var reset []string
		for flag, empty := range map[string]bool{"time-zone": s.req.TimeZone == "", "jitter": s.jitter == 0, "missed": s.req.Missed == "", "overlap": s.req.Overlap == "",
			"start-at": s.req.StartAt == nil, "end-at": s.req.EndAt == nil} {
			if cmd.Flags().Changed(flag) && empty {
				reset = append(reset, strings.ReplaceAll(flag, "-", "_"))
			}
		}
		changed, err := c.ChangeSchedule(ctx, id, s.req, reset...)
		if err != nil {
			return err
		}
		return printList(p, scheduleTable(), []api.Schedule{changed}, changed)
	})
	return cmd
}

// changedTask is the task of a schedule with the flags that were given laid over it.
func (p *program) changedTask(ctx context.Context, c *client.Client, cmd *cobra.Command, id string, flags *taskFlags, taskType string) (json.RawMessage, error) {
	was, err := c.Schedule(ctx, id, 0)
	if err != nil {
		return nil, err
	}
	var spec api.TaskRequest
	if err := json.Unmarshal(was.Task, &spec); err != nil {
		return nil, fmt.Errorf("read the task of schedule %s: %w", was.Name, err)
	}
	spec.Type = cmp.Or(taskType, spec.Type)
	if err := flags.apply(cmd, p.in, &spec); err != nil {
		return nil, err
	}
	return api.Encode(spec)
}
