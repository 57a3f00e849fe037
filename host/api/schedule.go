package api

import (
	"encoding/json"
	"time"
)

// ScheduleRequest asks for a schedule: a task that is submitted again and again, by
// exactly one of cron and every. In a change absent fields stay as they are.
type ScheduleRequest struct {
	Name     string          `json:"name,omitempty" maxLength:"255" doc:"its owner has each name once"`
	Task     json.RawMessage `json:"task,omitempty" doc:"the task, as POST /v1/tasks takes it, without key, run_at and deadline"`
	Cron     string          `json:"cron,omitempty" doc:"five fields, minute hour day month weekday, or @hourly, @daily, @weekly, @monthly or @yearly"`
	Every    Duration        `json:"every,omitempty" doc:"an interval of a second or more, from start_at on, or else from when the schedule was made"`
	TimeZone string          `json:"time_zone,omitempty" doc:"of the cron line, such as Europe/Berlin; UTC by default. A time of day that the clock passes over runs at once then, one that comes twice runs the first time"`
	Jitter   Duration        `json:"jitter,omitempty" doc:"each run is late by up to this, at random"`
	Missed   string          `json:"missed,omitempty" enum:"skip,one,all" doc:"which runs are made up for whose time passed while no host ran: none, the last (the default), or each"`
	Overlap  string          `json:"overlap,omitempty" enum:"allow,skip,cancel" doc:"what happens while the last run's task is not final: both run (the default), the new run is left out, or the old task is canceled"`
	StartAt  *time.Time      `json:"start_at,omitempty" doc:"no run before it"`
	EndAt    *time.Time      `json:"end_at,omitempty" doc:"no run after it"`
	Paused   *bool           `json:"paused,omitempty" doc:"nothing runs; what passes in a pause is not missed"`
}

// Schedule is a schedule as clients see it.
type Schedule struct {
	ID        string          `json:"id" format:"uuid" doc:"a UUID of version 7: it begins with the time it was made, so ids sort by age"`
	Name      string          `json:"name" doc:"its owner has each name once"`
	Owner     string          `json:"owner" doc:"whose schedule it is, and its tasks are"`
	Task      json.RawMessage `json:"task" doc:"the task that is submitted"`
	Cron      *string         `json:"cron" doc:"when, by a cron line; null if by every"`
	Every     *string         `json:"every" doc:"when, by an interval such as 1h30m; null if by cron"`
	TimeZone  string          `json:"time_zone" doc:"of the cron line"`
	Jitter    string          `json:"jitter" doc:"by how much a run is late at the most"`
	Missed    string          `json:"missed" enum:"skip,one,all" doc:"which missed runs are made up for"`
	Overlap   string          `json:"overlap" enum:"allow,skip,cancel" doc:"what happens while the last run's task is not final"`
	StartAt   *time.Time      `json:"start_at" doc:"no run before it"`
	EndAt     *time.Time      `json:"end_at" doc:"no run after it"`
	Paused    bool            `json:"paused" doc:"nothing runs"`
	NextAt    *time.Time      `json:"next_at" doc:"when the next run is due; null if there will be none"`
	LastAt    *time.Time      `json:"last_at" doc:"when the last run was submitted"`
	LastTask  *string         `json:"last_task" format:"uri-reference" doc:"the task of the last run"`
	Runs      int64           `json:"runs" doc:"how many runs were submitted"`
	Skipped   int64           `json:"skipped" doc:"how many were left out: missed, overlapping, or refused"`
	Problem   *string         `json:"problem" doc:"why the last run that was due could not be submitted; null if it could"`
	Preview   []time.Time     `json:"preview,omitzero" nullable:"false" doc:"the times of the next runs, none if there will be none; absent if they were not asked for"`
	CreatedAt time.Time       `json:"created_at" doc:"when it was made"`
	UpdatedAt time.Time       `json:"updated_at" doc:"when it was last changed, or decided on a run"`
	Version   int64           `json:"version" doc:"raised by every change and every run"`
}

// ScheduleList is one page of schedules.
type ScheduleList struct {
	Schedules []Schedule `json:"schedules" nullable:"false" doc:"the schedules of this page, newest first"`
	Next      *string    `json:"next" doc:"the cursor of the next page; null on the last"`
}
