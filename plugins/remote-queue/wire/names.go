package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/taskhost/taskhost/sdk"
)

var (
	queueName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$`)
	instanceName = regexp.MustCompile(`^[A-Z0-9]{8,32}$`)
	workerName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
)

// CheckQueueName says what is wrong with the name of a queue.
func CheckQueueName(name string) error {
	if !queueName.MatchString(name) {
		return fmt.Errorf("queue %q: letters, digits, '_' and '-', 32 at the most", name)
	}
	return nil
}

// CheckWorkerName says what is wrong with the name of a worker.
func CheckWorkerName(name string) error {
	if !workerName.MatchString(name) {
		return fmt.Errorf("worker name %q: letters, digits, '.', '_' and '-', 100 at the most", name)
	}
	return nil
}

// The channels on which a worker speaks to its host: batches of items, and heartbeats.
const (
	ChannelItems     = "i"
	ChannelHeartbeat = "h"
)

// Peer is one process of a worker: the name that its operator gave, and an instance at
// random that no other process ever has.
type Peer struct{ Name, Instance string }

// Valid says that both parts may be names.
func (p Peer) Valid() bool {
	return workerName.MatchString(p.Name) && instanceName.MatchString(p.Instance)
}

// EscapeDots makes one part of a subject of a name: the dots, which separate its parts,
// become a sign that no name may hold.
func EscapeDots(name string) string { return strings.ReplaceAll(name, ".", "=") }

// Lane is where the starts of one type and route wait: the route's key and a task type.
type Lane struct{ Route, Type string }

// Name is the lane as brokers name it: without dots, and unlike that of any other lane.
func (l Lane) Name() string { return l.Route + "_" + EscapeDots(l.Type) }

// AnyRoute is the key of the route of tasks that any worker may run which offers their type.
const AnyRoute = "any"

// Route is what a task asks of a worker beside its type: labels, and the oldest version of
// the type that may run it, if that is not "".
type Route struct {
	Labels     map[string]string
	MinVersion string
}

// Key is the route as part of a subject: equal for equal routes.
func (r Route) Key() string {
	if len(r.Labels) == 0 && r.MinVersion == "" {
		return AnyRoute
	}
	h := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(r.Labels)) {
		_, _ = fmt.Fprintf(h, "%q=%q\n", k, r.Labels[k]) // a hash takes any write
	}
	if r.MinVersion != "" {
		_, _ = fmt.Fprintf(h, "%q\n", r.MinVersion)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// MetBy says whether a worker with these labels, which offers the type in that version, may
// run what asks for the route.
func (r Route) MetBy(labels map[string]string, version string) bool {
	for k, v := range r.Labels {
		if have, ok := labels[k]; !ok || have != v {
			return false
		}
	}
	return sdk.NewEnough(version, r.MinVersion)
}
