package server

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/schedule"
	"github.com/taskhost/taskhost/host/task"
)

func schedulePath(id task.ID) string { return "/v1/schedules/" + id.String() }

// scheduleFields are the fields that a schedule in a request may have, each with how it is
// read; null gives it its default.
var scheduleFields = map[string]func(s *schedule.Spec, v json.RawMessage, at place, bad *faults){
	"name":      func(s *schedule.Spec, v json.RawMessage, at place, bad *faults) { s.Name = bad.str(v, at) },
	"task":      func(s *schedule.Spec, v json.RawMessage, at place, bad *faults) { s.Task = decodeSpec(v, at, bad) },
	"cron":      func(s *schedule.Spec, v json.RawMessage, at place, bad *faults) { s.Cron = bad.str(v, at) },
	"every":     func(s *schedule.Spec, v json.RawMessage, at place, bad *faults) { s.Every = bad.duration(v, at) },
	"time_zone": func(s *schedule.Spec, v json.RawMessage, at place, bad *faults) { s.TimeZone = bad.str(v, at) },
	"jitter":    func(s *schedule.Spec, v json.RawMessage, at place, bad *faults) { s.Jitter = bad.duration(v, at) },
	"missed": func(s *schedule.Spec, v json.RawMessage, at place, bad *faults) {
		s.Missed = schedule.Missed(bad.str(v, at))
	},
	"overlap": func(s *schedule.Spec, v json.RawMessage, at place, bad *faults) {
		s.Overlap = schedule.Overlap(bad.str(v, at))
	},
	"start_at": func(s *schedule.Spec, v json.RawMessage, at place, bad *faults) { s.StartAt = bad.time(v, at) },
	"end_at":   func(s *schedule.Spec, v json.RawMessage, at place, bad *faults) { s.EndAt = bad.time(v, at) },
	"paused":   func(s *schedule.Spec, v json.RawMessage, at place, bad *faults) { s.Paused = bad.boolean(v, at) },
}

// scheduleDefaults give a field that is null its default.
var scheduleDefaults = map[string]func(s *schedule.Spec){
	"cron": func(s *schedule.Spec) { s.Cron = "" }, "every": func(s *schedule.Spec) { s.Every = 0 }, "time_zone": func(s *schedule.Spec) { s.TimeZone = "" },
	"jitter": func(s *schedule.Spec) { s.Jitter = 0 }, "missed": func(s *schedule.Spec) { s.Missed = "" }, "overlap": func(s *schedule.Spec) { s.Overlap = "" },
	"start_at": func(s *schedule.Spec) { s.StartAt = time.Time{} }, "end_at": func(s *schedule.Spec) { s.EndAt = time.Time{} },
	"paused": func(s *schedule.Spec) { s.Paused = false },
}

// decodeSchedule lays the fields of a request over a spec. One that names another way to say
// when takes the place of the one there was.
func decodeSchedule(body []byte, s *schedule.Spec) error {
	var bad faults
	var root place
	given := map[string]bool{}
	scanObject(body, root, &bad, func(name string, v json.RawMessage) {
		read, known := scheduleFields[name]
		reset := scheduleDefaults[name]
		switch {
		case !known:
			bad.add(root.to(name), "is not a field of a schedule")
		case !isNull(v):
			given[name] = true
			read(s, v, root.to(name), &bad)
		case reset != nil:
			reset(s)
		}
	})
	if given["cron"] && !given["every"] {
		s.Every = 0
	}
	if given["every"] && !given["cron"] {
		s.Cron = ""
	}
	if s.Task.Type == "" && len(bad) == 0 {
		bad.add(root.to("task"), "is missing: say what is to be submitted")
	}
	return bad.err()
}

func (h *handlers) createSchedule(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	body, err := h.readBody(w, r, h.opts.MaxBody())
	if err != nil {
		return err
	}
	var spec schedule.Spec
	if err := decodeSchedule(body, &spec); err != nil {
		return err
	}
	n, err := h.svc.CreateSchedule(r.Context(), s, spec)
	if err != nil {
		return err
	}
	w.Header()["Location"] = []string{schedulePath(n.ID)}
	return h.writeSchedule(w, http.StatusCreated, &n, 0)
}

func (h *handlers) changeSchedule(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	body, err := h.readBody(w, r, h.opts.MaxBody())
	if err != nil {
		return err
	}
	n, err := h.svc.ChangeSchedule(r.Context(), s, id, func(spec *schedule.Spec) error { return decodeSchedule(body, spec) })
	if err != nil {
		return err
	}
	return h.writeSchedule(w, http.StatusOK, &n, 0)
}

// maxPreview bounds how many runs are shown ahead.
const maxPreview = 1000

func (h *handlers) getSchedule(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	preview := int(q.integer("preview", 1, maxPreview))
	if err := q.err(); err != nil {
		return err
	}
	id, err := pathID(r)
	if err != nil {
		return err
	}
	n, err := h.svc.Schedule(r.Context(), s, id)
	if err != nil {
		return err
	}
	return h.writeSchedule(w, http.StatusOK, &n, preview)
}

func (h *handlers) writeSchedule(w http.ResponseWriter, status int, s *schedule.Schedule, preview int) error {
	out, err := toSchedule(s)
	if err != nil {
		return err
	}
	if preview > 0 {
		if out.Preview, err = s.Preview(preview, time.Now()); err != nil {
			return err
		}
	}
	return h.writeJSON(w, status, out)
}

func (h *handlers) listSchedules(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	f := schedule.Filter{Name: q.filled("name"), Limit: int(q.integer("limit", 1, task.MaxListLimit)), Cursor: q.cursor("cursor")}
	if err := q.err(); err != nil {
		return err
	}
	page, err := h.svc.Schedules(r.Context(), s, f)
	if err != nil {
		return err
	}
	out := api.ScheduleList{Schedules: make([]api.Schedule, len(page.Schedules)), Next: q.linkNext(w, r, page.Next)}
	for i := range page.Schedules {
		if out.Schedules[i], err = toSchedule(&page.Schedules[i]); err != nil {
			return err
		}
	}
	return h.writeJSON(w, http.StatusOK, out)
}

func (h *handlers) deleteSchedule(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	id, err := h.changedID(w, r)
	if err != nil {
		return err
	}
	if err := h.svc.DeleteSchedule(r.Context(), s, id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *handlers) runSchedule(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	id, err := h.changedID(w, r)
	if err != nil {
		return err
	}
	t, err := h.svc.RunSchedule(r.Context(), s, id)
	if err != nil {
		return err
	}
	w.Header()["Location"] = []string{taskPath(t.ID)}
	return h.writeTask(w, http.StatusAccepted, &t)
}

func toSchedule(s *schedule.Schedule) (api.Schedule, error) {
	spec, err := api.Encode(toRequest(&s.Task))
	if err != nil {
		return api.Schedule{}, err
	}
	d := api.Schedule{
		ID: s.ID.String(), Name: s.Name, Owner: s.Owner, Task: spec, Cron: orNull(s.Timing.Cron), TimeZone: s.Spec().TimeZone, Jitter: s.Timing.Jitter.String(),
		Missed: string(s.Missed), Overlap: string(s.Overlap), StartAt: timeOrNull(s.Timing.StartAt), EndAt: timeOrNull(s.Timing.EndAt), Paused: s.Paused,
		NextAt: timeOrNull(s.NextAt), LastAt: timeOrNull(s.LastAt), Runs: s.Runs, Skipped: s.Skipped, Problem: orNull(s.Problem),
		CreatedAt: task.Shown(s.CreatedAt), UpdatedAt: task.Shown(s.UpdatedAt), Version: s.Version,
	}
	if s.Timing.Every > 0 {
		d.Every = orNull(s.Timing.Every.String())
	}
	if s.Paused || !s.Understood() {
		d.NextAt = nil
	}
	if !s.LastTask.IsZero() {
		d.LastTask = orNull(taskPath(s.LastTask))
	}
	return d, nil
}

// toRequest is a spec as a client asked for it.
func toRequest(s *task.Spec) api.TaskRequest {
	d := api.TaskRequest{Type: s.Type, Key: s.Key, Executor: s.Executor, Priority: s.Priority, RunAt: timeOrNull(s.RunAt), Deadline: timeOrNull(s.Deadline),
		Labels: s.Labels, Route: s.Route, Timeout: api.Duration(s.Timeout), MaxAttempts: s.MaxAttempts, MaxLost: s.MaxLost,
		Exclusive: s.Resources.Exclusive, Shared: s.Resources.Shared}
	if len(s.Input) > 0 && !isNull(s.Input) {
		d.Input = task.MaskInput(s.Input)
	}
	if s.Retain != nil {
		retain := api.Duration(*s.Retain)
		d.Retain = &retain
	}
	if !s.Group.IsZero() {
		d.Group = s.Group.String()
	}
	return d
}

// scheduleChange is a request that changes a schedule, whose fields may all be absent.
type scheduleChange api.ScheduleRequest

func (h *handlers) scheduleRoutes() []route {
	const tag = "schedules"
	asked := codes(writes, task.CodeInvalidInput, task.CodeUnknownType, task.CodeConflict, task.CodeTooLarge, api.CodeUnsupportedMediaType, api.CodeRequestTimeout,
		task.CodeExecutorUnavailable)
	one := func(status int, doc string, headers ...param) []answer {
		return []answer{{status: status, doc: doc, body: api.Schedule{}, headers: headers}}
	}
	return []route{
		{method: http.MethodPost, path: "/v1/schedules", id: "createSchedule", tag: tag, summary: "Make a schedule", handle: h.createSchedule,
			description: "Each run is submitted once, whichever host submits it, over changes of the clock and hosts that were down. " +
				"A task that could not be submitted now is refused as a submit of it is; a name that its owner has already is 409.",
			body: api.ScheduleRequest{}, codes: asked,
			answers: one(http.StatusCreated, "the schedule", param{name: "Location", kind: "string", doc: "the path of the schedule", always: true})},
		{method: http.MethodGet, path: "/v1/schedules", id: "listSchedules", tag: tag, summary: "List schedules", handle: h.listSchedules,
			description: "Newest first.", params: []param{selector("name", "the schedule of this name"), pageLimit("schedules"), pageCursor}, codes: reads,
			answers: []answer{{status: http.StatusOK, doc: "one page", body: api.ScheduleList{}, headers: []param{nextLink}}}},
		{method: http.MethodGet, path: "/v1/schedules/{id}", id: "getSchedule", tag: tag, summary: "Read a schedule", handle: h.getSchedule,
			description: "When it runs next, and what became of its last run.", codes: codes(reads, task.CodeNotFound),
			params: []param{scheduleID, {name: "preview", in: "query", kind: "integer", least: 1, most: maxPreview,
				doc: "show the times of so many next runs, without their jitter; of a paused schedule those that come if it is resumed now"}},
			answers: one(http.StatusOK, "the schedule")},
		{method: http.MethodPatch, path: "/v1/schedules/{id}", id: "changeSchedule", tag: tag, summary: "Change a schedule", handle: h.changeSchedule,
			description: "What is absent stays, null gives a field its default. The next run is reckoned anew where when it runs is changed, or a pause ends.",
			params:      []param{scheduleID}, body: scheduleChange{}, codes: codes(asked, task.CodeNotFound), answers: one(http.StatusOK, "the schedule as it is now")},
		{method: http.MethodDelete, path: "/v1/schedules/{id}", id: "deleteSchedule", tag: tag, summary: "Delete a schedule", handle: h.deleteSchedule,
			description: "The tasks of its runs stay.", params: []param{scheduleID}, codes: codes(writes, task.CodeNotFound),
			answers: []answer{{status: http.StatusNoContent, doc: "it is deleted"}}},
		{method: http.MethodPost, path: "/v1/schedules/{id}/run", id: "runSchedule", tag: tag, summary: "Submit a run of a schedule now", handle: h.runSchedule,
			description: "Whatever its times, its overlap and its pause say. The next run stays when it is. A task that can't be submitted is refused as a submit of it is.",
			params:      []param{scheduleID},
			codes: codes(writes, task.CodeNotFound, task.CodeConflict, task.CodeInvalidInput, task.CodeUnknownType, task.CodeTooLarge, task.CodeQueueFull, task.CodeQuotaExceeded,
				task.CodeExecutorUnavailable),
			answers: []answer{{status: http.StatusAccepted, doc: "the run's task", body: api.Task{}, headers: []param{location}}}},
	}
}
