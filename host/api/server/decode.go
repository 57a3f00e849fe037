package server

import (
	"encoding/json"
	"strconv"

	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/task"
)

// specFields are the fields that a task in a request may have, each with how it is
// read into the spec: v is its value, not null, at that place.
var specFields = map[string]func(s *task.Spec, v json.RawMessage, at place, bad *faults){
	"type":  func(s *task.Spec, v json.RawMessage, at place, bad *faults) { s.Type = bad.filled(v, at) },
	"input": func(s *task.Spec, v json.RawMessage, _ place, _ *faults) { s.Input = v },
	"key":   func(s *task.Spec, v json.RawMessage, at place, bad *faults) { s.Key = bad.str(v, at) },
	"on_conflict": func(s *task.Spec, v json.RawMessage, at place, bad *faults) {
		s.OnConflict = task.OnConflict(bad.filled(v, at))
	},
	"executor": func(s *task.Spec, v json.RawMessage, at place, bad *faults) { s.Executor = bad.str(v, at) },
	"priority": func(s *task.Spec, v json.RawMessage, at place, bad *faults) { s.Priority = bad.integer(v, at) },
	"run_at":   func(s *task.Spec, v json.RawMessage, at place, bad *faults) { s.RunAt = bad.time(v, at) },
	"deadline": func(s *task.Spec, v json.RawMessage, at place, bad *faults) { s.Deadline = bad.time(v, at) },
	"labels":   func(s *task.Spec, v json.RawMessage, at place, bad *faults) { s.Labels = bad.stringMap(v, at) },
	"route":    func(s *task.Spec, v json.RawMessage, at place, bad *faults) { s.Route = bad.stringMap(v, at) },
	"timeout":  func(s *task.Spec, v json.RawMessage, at place, bad *faults) { s.Timeout = bad.duration(v, at) },
	"exclusive": func(s *task.Spec, v json.RawMessage, at place, bad *faults) {
		s.Resources.Exclusive = bad.strings(v, at)
	},
	"shared":   func(s *task.Spec, v json.RawMessage, at place, bad *faults) { s.Resources.Shared = bad.strings(v, at) },
	"parent":   func(s *task.Spec, v json.RawMessage, at place, bad *faults) { s.Parent = bad.id(v, at) },
	"name":     func(s *task.Spec, v json.RawMessage, at place, bad *faults) { s.Name = bad.str(v, at) },
	"group":    func(s *task.Spec, v json.RawMessage, at place, bad *faults) { s.Group = bad.id(v, at) },
	"retain":   func(s *task.Spec, v json.RawMessage, at place, bad *faults) { s.Retain = new(bad.duration(v, at)) },
	"max_lost": func(s *task.Spec, v json.RawMessage, at place, bad *faults) { s.MaxLost = new(bad.integer(v, at)) },
	"max_attempts": func(s *task.Spec, v json.RawMessage, at place, bad *faults) {
		if s.MaxAttempts = bad.integer(v, at); s.MaxAttempts == 0 {
			bad.add(at, "is not between 1 and %d", task.MaxTries)
		}
	},
}

// decodeSpec reads one task of a request, which stands at that place (nil: it is the
// whole body). null leaves a value to the type, as absence does.
func decodeSpec(data json.RawMessage, at place, bad *faults) task.Spec {
	var s task.Spec
	typed := false
	isObject := scanObject(data, at, bad, func(name string, v json.RawMessage) {
		typed = typed || name == "type"
		read, known := specFields[name]
		switch {
		case !known:
			bad.add(at.to(name), "is not a field of a task")
		case name == "type", !isNull(v):
			read(&s, v, at.to(name), bad)
		}
	})
	if isObject && !typed {
		bad.add(at.to("type"), "is missing: name a task type, GET /v1/types lists them")
	}
	return s
}

// decodeBatch reads the body of a batch; own is the group that it makes, nil if none.
func decodeBatch(body []byte) (specs []task.Spec, own *group.Spec, err error) {
	var bad faults
	var batch place
	tasks := batch.to("tasks")
	found := false
	scanObject(body, batch, &bad, func(name string, v json.RawMessage) {
		if name == "group" {
			if !isNull(v) {
				spec := decodeGroup(v, batch.to(name), true, &bad)
				own = &spec
			}
			return
		}
		if name != "tasks" {
			bad.add(batch.to(name), "is not a field of a batch")
			return
		}
		found = true
		scanArray(v, tasks, &bad, func(i int, v json.RawMessage) {
			if i < task.MaxBatch {
				specs = append(specs, decodeSpec(v, taskInBatch(i), &bad))
			} else if i == task.MaxBatch {
				bad.add(tasks, "has more than %d tasks", task.MaxBatch)
			}
		})
	})
	if !found && len(bad) == 0 {
		bad.add(tasks, "is missing")
	} else if len(specs) == 0 && len(bad) == 0 {
		bad.add(tasks, "is empty")
	}
	for i := range specs {
		if own != nil && !specs[i].Group.IsZero() {
			bad.add(taskInBatch(i).to("group"), "is given, and the batch makes a group of its own: give one or the other")
		}
		if own != nil && !specs[i].Parent.IsZero() {
			bad.add(taskInBatch(i).to("parent"), "is given, and the batch makes a group: make the group first, and have children join it")
		}
	}
	return specs, own, bad.err()
}

// taskInBatch is the place of the i-th task of a batch, from 0.
func taskInBatch(i int) place { return place{"tasks", strconv.Itoa(i)} }
