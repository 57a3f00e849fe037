package server

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

func (f *faults) str(raw json.RawMessage, at place) string {
	if raw[0] != '"' {
		f.add(at, "is not a string")
		return ""
	}
	return unquote(raw)
}

// filled is a string that is not empty.
func (f *faults) filled(raw json.RawMessage, at place) string {
	s := f.str(raw, at)
	if s == "" && raw[0] == '"' {
		f.add(at, "is empty")
	}
	return s
}

// some are strings, one at the least, of which none is empty.
func (f *faults) some(raw json.RawMessage, at place) []string {
	out := f.strings(raw, at)
	if len(out) == 0 && raw[0] == '[' {
		f.add(at, "is empty: leave it out for any")
	}
	for i, s := range out {
		if s == "" {
			f.add(at.to(strconv.Itoa(i)), "is empty")
		}
	}
	return out
}

func (f *faults) id(raw json.RawMessage, at place) task.ID {
	id, err := task.ParseID(f.str(raw, at))
	if err != nil || id.IsZero() {
		f.add(at, "is not an id: want a UUID such as 01990f4e-7f3a-7c55-a1b2-0123456789ab")
	}
	return id
}

func (f *faults) strings(raw json.RawMessage, at place) (out []string) {
	scanArray(raw, at, f, func(i int, v json.RawMessage) {
		if i < maxStrings {
			out = append(out, f.str(v, at.to(strconv.Itoa(i))))
		} else if i == maxStrings {
			f.add(at, "has more than %d entries", maxStrings)
		}
	})
	return out
}

// maxStrings bounds a list of strings in a request.
const maxStrings = 1000

func (f *faults) boolean(raw json.RawMessage, at place) (b bool) {
	if err := json.Unmarshal(raw, &b); err != nil {
		f.add(at, "is neither true nor false")
	}
	return b
}

func (f *faults) integer(raw json.RawMessage, at place) int {
	var n int32
	if err := json.Unmarshal(raw, &n); err != nil {
		f.add(at, "is not an integer of 32 bits")
	}
	return int(n)
}

// readFields reads an object of which each field is known and read by itself. null is as if
// the field were absent. what is such an object, for the fault of any other field. given are
// the fields that have a value.
func readFields[T any](data json.RawMessage, at place, fields map[string]func(*T, json.RawMessage, place, *faults), what string, into *T, bad *faults) (given map[string]bool, isObject bool) {
	given = map[string]bool{}
	isObject = scanObject(data, at, bad, func(name string, v json.RawMessage) {
		read, known := fields[name]
		switch {
		case !known:
			bad.add(at.to(name), "is not a field of %s", what)
		case !isNull(v):
			given[name] = true
			read(into, v, at.to(name), bad)
		}
	})
	return given, isObject
}

// count is a number of units, from 0.
func (f *faults) count(raw json.RawMessage, at place) (n int64) {
	if err := json.Unmarshal(raw, &n); err != nil || n < 0 {
		f.add(at, "is not a whole number from 0")
		return 0
	}
	return n
}

// within is an integer between two others.
func (f *faults) within(raw json.RawMessage, at place, least, most int64) (n int64) {
	if err := json.Unmarshal(raw, &n); err != nil || n < least || n > most {
		f.add(at, "is not an integer between %d and %d", least, most)
	}
	return n
}

// positive is a duration of more than nothing.
func (f *faults) positive(raw json.RawMessage, at place) time.Duration {
	before := len(*f)
	d := f.duration(raw, at)
	if d <= 0 && len(*f) == before {
		f.add(at, "is not more than nothing: leave it out for the default")
	}
	return d
}

func (f *faults) time(raw json.RawMessage, at place) time.Time {
	t, err := time.Parse(time.RFC3339Nano, f.str(raw, at))
	if err != nil {
		f.add(at, "is not a time of RFC 3339, such as 2026-11-23T12:00:00.5Z")
	} else if !task.ValidTime(t) {
		f.add(at, "is not %s", task.TimeRange)
		return time.Time{}
	}
	return t.UTC()
}

// duration is a string such as "1h30m", or a number of seconds.
func (f *faults) duration(raw json.RawMessage, at place) time.Duration {
	const want = `is not a duration: want a string such as "30s" or "1h30m", or a number of seconds`
	if raw[0] == '"' {
		d, err := time.ParseDuration(unquote(raw))
		if err != nil {
			f.add(at, want)
		}
		return d
	}
	var s float64
	if err := json.Unmarshal(raw, &s); err != nil || math.Abs(s) > math.MaxInt64/2/float64(time.Second) {
		f.add(at, want)
		return 0
	}
	return time.Duration(s * float64(time.Second))
}

func (f *faults) stringMap(raw json.RawMessage, at place) map[string]string {
	out := map[string]string{}
	scanObject(raw, at, f, func(name string, value json.RawMessage) {
		out[name] = f.str(value, at.to(name))
	})
	return out
}
