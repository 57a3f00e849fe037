package server

import (
	"encoding/json"
	"strconv"

	"github.com/taskhost/taskhost/host/task"
)

// decodeSpec reads one task of a request at a pointer ("" for the whole body).
func decodeSpec(data json.RawMessage, at string, bad *faults) task.Spec {
	var s task.Spec
	typed := false
	object := scanObject(data, at, bad, func(name string, v json.RawMessage) {
		p := at + "/" + escape(name)
		if isNull(v) && name != "input" && name != "type" && known(name) {
			return // null leaves a value to the type, as absence does
		}
		switch name {
		case "type":
			typed = true
			if s.Type = bad.str(v, p); v[0] == '"' && s.Type == "" {
				bad.add(p, "is empty")
			}
		case "input":
			s.Input = v
		case "key":
			s.Key = bad.str(v, p)
		case "executor":
			s.Executor = bad.str(v, p)
		case "priority":
			s.Priority = bad.integer(v, p)
		case "run_at":
			s.RunAt = bad.time(v, p)
		case "deadline":
			s.Deadline = bad.time(v, p)
		case "labels":
			s.Labels = bad.stringMap(v, p)
		case "route":
			s.Route = bad.stringMap(v, p)
		case "timeout":
			s.Timeout = bad.duration(v, p)
		case "retain":
			d := bad.duration(v, p)
			s.Retain = &d
		case "max_attempts":
			s.MaxAttempts = bad.integer(v, p)
			if s.MaxAttempts == 0 {
				bad.add(p, "is not between 1 and %d", task.MaxTries)
			}
		case "max_lost":
			n := bad.integer(v, p)
			s.MaxLost = &n
		default:
			bad.add(p, "is not a field of a task")
		}
	})
	if object && !typed {
		bad.add(at+"/type", "is missing: name a task type, GET /v1/types lists them")
	}
	return s
}

// known says whether a task may have a field of this name.
func known(name string) bool {
	switch name {
	case "type", "input", "key", "executor", "priority", "run_at", "deadline", "labels", "route", "timeout", "retain", "max_attempts", "max_lost":
		return true
	}
	return false
}

// decodeBatch reads the body of a batch.
func decodeBatch(body []byte) ([]task.Spec, error) {
	var bad faults
	var specs []task.Spec
	found := false
	scanObject(body, "", &bad, func(name string, v json.RawMessage) {
		if name != "tasks" {
			bad.add("/"+escape(name), "is not a field of a batch")
			return
		}
		found = true
		scanArray(v, "/tasks", &bad, func(i int, v json.RawMessage) {
			if i < task.MaxBatch {
				specs = append(specs, decodeSpec(v, "/tasks/"+strconv.Itoa(i), &bad))
			} else if i == task.MaxBatch {
				bad.add("/tasks", "has more than %d tasks", task.MaxBatch)
			}
		})
	})
	if !found && len(bad) == 0 {
		bad.add("/tasks", "is missing")
	} else if len(specs) == 0 && len(bad) == 0 {
		bad.add("/tasks", "is empty")
	}
	return specs, bad.err()
}
