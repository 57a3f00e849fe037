package sdk

import (
	"encoding/json"
	"regexp"
	"slices"
	"time"
)

// Info is what an executor offers. Abilities are data here, because a type
// assertion does not cross a process.
type Info struct {
	// Types are the task types that can be run now. Their names are unique.
	Types []TypeInfo `json:"types"`
	// Slots is how many attempts may be out at once; 0 leaves it to the host's
	// config (which can only lower it) and then to the host's default.
	Slots int `json:"slots,omitempty"`
	// Nodes are the machines or workers behind the executor, if it has any.
	Nodes []Node `json:"nodes,omitempty"`
	// Deferred executors hand attempts on: an attempt has started only when its
	// Reporter.Started has returned. Until then it costs nothing to take back.
	Deferred bool `json:"deferred,omitempty"`
	// Outlives says that attempts go on when the host's process ends: after a
	// crash the host calls Execute again with Rejoin set.
	Outlives bool `json:"outlives,omitempty"`
	// MaxInput and MaxResult bound payloads in bytes; 0 means the host's limit.
	MaxInput  int64 `json:"max_input,omitempty"`
	MaxResult int64 `json:"max_result,omitempty"`
	// Unavailable says why the executor can run nothing at present (its broker is
	// away, say); "" if it can. The host shows it and keeps tasks waiting.
	Unavailable string `json:"unavailable,omitempty"`
	// StartUnknown says that an attempt may have run though Reporter.Started was never
	// called: the executor's workers do not always tell. The host refuses tasks that must
	// never run twice (max_lost 0).
	StartUnknown bool `json:"start_unknown,omitempty"`
	// ControlsNodes says that the executor is a NodeController.
	ControlsNodes bool `json:"controls_nodes,omitempty"`
}

// Node is a machine or worker behind an executor.
type Node struct {
	Name     string            `json:"name"`
	Address  string            `json:"address,omitempty"`
	Version  string            `json:"version,omitempty"`
	Types    []string          `json:"types,omitempty"`
	Slots    int               `json:"slots"`
	Used     int               `json:"used"`
	Labels   map[string]string `json:"labels,omitempty"`
	Draining bool              `json:"draining,omitempty"`
	Running  []string          `json:"running,omitempty"` // task ids
	LastSeen time.Time         `json:"last_seen,omitzero"`
	// Instance tells two nodes of one name apart, and a node from the one of its name
	// before it; it may be empty.
	Instance string `json:"instance,omitempty"`
	// Gone says that the node is not there any more: it is shown for a while, runs
	// nothing and takes nothing.
	Gone bool `json:"gone,omitempty"`
	// TypeSlots is how many of the slots each type can use, where that is fewer than
	// all: a worker with several executors has slots for each. Types that share an
	// executor share its slots, so the figures may sum up to more than Slots.
	TypeSlots map[string]int `json:"type_slots,omitempty"`
	// TypeVersions is in which version the node offers a type, where it says so.
	TypeVersions map[string]string `json:"type_versions,omitempty"`
}

// Takes says whether the node takes attempts of a type: it offers the type, is not gone
// and does not drain.
func (n *Node) Takes(typ string) bool {
	return !n.Gone && !n.Draining && slices.Contains(n.Types, typ)
}

// SlotsFor is how many attempts of a type the node can run at once: none if it does
// not take them.
func (n *Node) SlotsFor(typ string) int {
	if !n.Takes(typ) {
		return 0
	}
	if own, ok := n.TypeSlots[typ]; ok {
		return min(own, n.Slots)
	}
	return n.Slots
}

// Lacks gives the labels of route that the node has not, each as "name=value" and in
// order; none if it may run what asks for that route.
func (n *Node) Lacks(route map[string]string) (missing []string) {
	for k, v := range route {
		if have, ok := n.Labels[k]; !ok || have != v {
			missing = append(missing, k+"="+v)
		}
	}
	slices.Sort(missing)
	return missing
}

// TypeInfo describes one task type.
type TypeInfo struct {
	// Name is what a client submits: letters, digits, '.', '_' and '-', 100 at
	// the most, beginning with a letter.
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	// Input and Result are JSON Schemas (draft 2020-12); nil accepts anything.
	// The host checks the input at submit, before the task is accepted. A value that Input
	// marks writeOnly is kept encrypted, shown to nobody, and given to the executor alone.
	Input  json.RawMessage `json:"input,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	// Defaults hold where neither the operator nor the client says otherwise.
	Defaults Defaults `json:"defaults,omitzero"`
	// Revertible says that Revert undoes this type's work.
	Revertible bool `json:"revertible,omitempty"`
	// Unavailable says that the type is known but nobody serves it at present (its
	// workers are away). The host accepts such tasks and keeps them waiting.
	Unavailable bool `json:"unavailable,omitempty"`
	// Version is a semantic version of what is offered under this name, for operators who
	// want no older one to run tasks: see ValidVersion. "" says nothing; of a plugin
	// process it stands for the plugin's own version, if that is one.
	Version string `json:"version,omitempty"`
}

// Defaults are a script author's wishes for a type, which the operator's config and the
// client's own overrule. Zero or nil leaves a value to the host.
type Defaults struct {
	// Timeout is how long one attempt may run.
	Timeout time.Duration `json:"timeout,omitempty"`
	// MaxAttempts is how often the script may fail before the task does.
	MaxAttempts int `json:"max_attempts,omitempty"`
	// MaxLost is how many attempts may be lost with whoever ran them; 0 for a task that
	// must never run twice.
	MaxLost *int `json:"max_lost,omitempty"`
	// Deadline is how long the whole task may take, from when it is due first.
	Deadline time.Duration `json:"deadline,omitempty"`
	// Backoff is how long a task rests after its first failure, BackoffMax the longest rest.
	Backoff    time.Duration `json:"backoff,omitempty"`
	BackoffMax time.Duration `json:"backoff_max,omitempty"`
	// Retain is how long a final task is kept; 0 is for ever.
	Retain *time.Duration `json:"retain,omitempty"`
	// QueueLimit is how many tasks may wait; further ones are refused.
	QueueLimit int64 `json:"queue_limit,omitempty"`
	// Concurrency are limits on how many attempts may be under way at once, wherever they run.
	Concurrency []Concurrency `json:"concurrency,omitempty"`
	// Rate is how many attempts may begin.
	Rate Rate `json:"rate,omitzero"`
	// Priority is that of tasks which name none; the higher goes first.
	Priority int `json:"priority,omitempty"`
	// MaxInput and MaxResult bound payloads of the type, in bytes.
	MaxInput  int64 `json:"max_input,omitempty"`
	MaxResult int64 `json:"max_result,omitempty"`
	// Route is the labels that a node must have to run a task which asks for none.
	Route map[string]string `json:"route,omitempty"`
	// MinVersion is the oldest version of the type that may run its tasks, wherever they
	// run; "": any may. See ValidVersion.
	MinVersion string `json:"min_version,omitempty"`
}

// Concurrency is a limit on how many attempts at tasks of a type may be under way at once.
type Concurrency struct {
	Max int64 `json:"max"`
	// By is what is counted together: "" all tasks of the type, "owner", or "label:NAME" those
	// with the same value of that label.
	By string `json:"by,omitempty"`
}

// Rate is a limit on how many attempts at tasks of a type may begin in a second, and at
// once after a rest (0: one). The zero value is none.
type Rate struct {
	PerSecond float64 `json:"per_second,omitempty"`
	Burst     int64   `json:"burst,omitempty"`
}

var typeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,99}$`)

// ValidTypeName says whether name can be the name of a task type.
func ValidTypeName(name string) bool { return typeName.MatchString(name) }
