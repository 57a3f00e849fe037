package remotequeue

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// subjects are the subjects, the stream and the consumers of one queue. Everything of
// a queue is below its own prefix, so that several hosts can share a broker.
type subjects struct{ queue string }

var (
	queueName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$`)
	instanceName = regexp.MustCompile(`^[A-Z0-9]{8,32}$`)
	workerName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
)

func (n subjects) prefix() string { return "taskhost." + n.queue }

func (n subjects) stream() string { return "taskhost-" + n.queue }

// starts is the subject of the starts of one lane.
func (n subjects) starts(l lane) string {
	return n.prefix() + ".start." + l.route + "." + escapeDots(l.taskType)
}

func (n subjects) allStarts() string { return n.prefix() + ".start.*.*" }

// Workers speak on subjects of their own, so that the broker can hold each to its
// name: up to the host, down from it, and an inbox for the broker's answers. The
// instance tells a worker from one of the same name that died.
func (n subjects) up(p peer, what string) string {
	return n.prefix() + ".up." + escapeDots(p.name) + "." + p.instance + "." + what
}

func (n subjects) allUp() string { return n.prefix() + ".up.*.*.*" }

func (n subjects) down(p peer) string {
	return n.prefix() + ".down." + escapeDots(p.name) + "." + p.instance
}

func (n subjects) inbox(worker string) string { return n.prefix() + ".inbox." + escapeDots(worker) }

// claim is where a process of a host that has the queue answers that it lives.
func (n subjects) claim(process string) string { return n.prefix() + ".claim." + escapeDots(process) }

// pull is where the broker is asked for the messages of a consumer.
func (n subjects) pull(consumer string) string {
	return "$JS.API.CONSUMER.MSG.NEXT." + n.stream() + "." + consumer
}

// acks are the subjects on which the messages of the stream are acknowledged; the
// second form is that of a broker with domains.
func (n subjects) acks() []string {
	return []string{"$JS.ACK." + n.stream() + ".>", "$JS.ACK.*.*." + n.stream() + ".>"}
}

const (
	upItems     = "i"
	upHeartbeat = "h"
)

// peer is one process of a worker.
type peer struct{ name, instance string }

// peerOf is the sender and the channel of a subject below allUp.
func (n subjects) peerOf(subject string) (p peer, what string, ok bool) {
	rest, ok := strings.CutPrefix(subject, n.prefix()+".up.")
	parts := strings.Split(rest, ".")
	if !ok || len(parts) != 3 {
		return peer{}, "", false
	}
	p = peer{strings.ReplaceAll(parts[0], "=", "."), parts[1]}
	return p, parts[2], workerName.MatchString(p.name) && instanceName.MatchString(p.instance)
}

// escapeDots makes one token of a name: the dots, which no subject's token may
// hold, become a sign that no name may hold.
func escapeDots(name string) string { return strings.ReplaceAll(name, ".", "=") }

// lane is the queue of one type and route: one subject and one consumer.
type lane struct{ route, taskType string }

func (l lane) consumer() string { return l.route + "_" + escapeDots(l.taskType) }

// anyRoute is the route of tasks that ask for no labels.
const anyRoute = "any"

// routeKey is a route as part of a subject: equal for equal labels.
func routeKey(labels map[string]string) string {
	if len(labels) == 0 {
		return anyRoute
	}
	h := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		_, _ = fmt.Fprintf(h, "%q=%q\n", k, labels[k]) // a hash takes any write
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// labelsSatisfy says whether a worker with these labels may run what asks for route.
func labelsSatisfy(labels, route map[string]string) bool {
	for k, v := range route {
		if have, ok := labels[k]; !ok || have != v {
			return false
		}
	}
	return true
}
