package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/taskhost/taskhost/host/task"
)

// Change is a key that has another value in a config that was read anew.
type Change struct {
	Key string
	// Old and New are the values as Show gives them; "" where the key is not set.
	Old, New string
	// Restart says that the old value holds until the process is started anew.
	Restart bool
}

// Reload says what a server under c does with a config that was read anew: next is what
// is in force then, and changes are all that differs, by key. Task types, quotas, the level of
// the log and the drain timeout are put in force; a task type that is placed on an executor
// which does not run yet stays as it was, and so does everything else. c and read are not
// changed.
func (c *Config) Reload(read *Config) (next *Config, changes []Change) {
	n := *c
	n.LogLevel = read.LogLevel
	n.DrainTimeout = read.DrainTimeout
	n.Quotas = read.Quotas
	n.Types = nil
	waiting := map[string]bool{} // task types whose new block needs a restart
	for _, t := range read.Types {
		if t.Executor == "" || slices.Contains(executorNames(c.Executors), t.Executor) {
			n.Types = append(n.Types, t)
			continue
		}
		waiting[t.Name] = true
		if i := slices.IndexFunc(c.Types, func(old TaskType) bool { return old.Name == t.Name }); i >= 0 {
			n.Types = append(n.Types, c.Types[i])
		}
	}
	changes = differences(c.values, read.values, func(key string) bool {
		switch {
		case key == "log_level", key == "drain_timeout", strings.HasPrefix(key, quotaKey):
			return false
		case strings.HasPrefix(key, typeKey):
			return waiting[typeOfKey(key)]
		}
		return true
	})
	n.values = maps.Clone(c.values)
	n.origins = maps.Clone(c.origins)
	for _, ch := range changes {
		if ch.Restart {
			continue
		}
		delete(n.values, ch.Key)
		if v, set := read.values[ch.Key]; set {
			n.note(ch.Key, v, read.origins[ch.Key])
		}
	}
	return &n, append(changes, order(c.Executors, read.Executors)...)
}

// typeKey begins the keys of task types.
const typeKey = "task_type."

// typeOfKey is the task type that a key is of. The key ends with the name of an
// attribute, which has no dot; a type's name may.
func typeOfKey(key string) string {
	name := strings.TrimPrefix(key, typeKey)
	return name[:max(0, strings.LastIndex(name, "."))]
}

// Reload is that of a worker: the level of the log is put in force, and all else needs a
// restart.
func (w *Worker) Reload(read *Worker) (next *Worker, changes []Change) {
	n := *w
	n.LogLevel = read.LogLevel
	n.values = maps.Clone(w.values)
	n.values["log_level"] = read.values["log_level"]
	changes = differences(w.values, read.values, func(key string) bool { return key != "log_level" })
	return &n, append(changes, order(w.Executors, read.Executors)...)
}

// differences are the keys that differ, in order; restart says which of them need one.
func differences(old, read map[string]string, restart func(key string) bool) []Change {
	keys := maps.Clone(old)
	maps.Copy(keys, read)
	var out []Change
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if old[k] != read[k] {
			out = append(out, Change{Key: k, Old: shown(old, k), New: shown(read, k), Restart: restart(k)})
		}
	}
	return out
}

// shown is a value as others may see it; "" if it is not set.
func shown(values map[string]string, key string) string {
	if v, set := values[key]; set {
		return mask(key, v)
	}
	return ""
}

// order is the change of the executors' order alone, which no key shows: the first that
// offers a type serves it.
func order(old, read []task.ExecutorConfig) []Change {
	was := executorNames(old)
	is := executorNames(read)
	if slices.Equal(was, is) || !slices.Equal(slices.Sorted(slices.Values(was)), slices.Sorted(slices.Values(is))) {
		return nil
	}
	return []Change{{Key: "executor", Old: strings.Join(was, ", "), New: strings.Join(is, ", "), Restart: true}}
}

func executorNames(all []task.ExecutorConfig) []string {
	out := make([]string, len(all))
	for i, x := range all {
		out[i] = x.Name
	}
	return out
}
