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

// names are the subjects, the stream and the consumers of one queue. Everything of
// a queue is below its own prefix, so that several hosts can share a broker.
type names struct{ queue string }

var (
	queueName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$`)
	instanceName = regexp.MustCompile(`^[A-Z0-9]{8,32}$`)
	workerName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
)

func (n names) prefix() string { return "taskhost." + n.queue }

func (n names) stream() string { return "taskhost-" + n.queue }

// starts is the subject of the starts of one lane.
func (n names) starts(l lane) string {
	return n.prefix() + ".start." + l.route + "." + subjectToken(l.typ)
}

func (n names) allStarts() string { return n.prefix() + ".start.*.*" }

// Workers speak on subjects of their own, so that the broker can hold each to its
// name: up to the host, down from it, and an inbox for the broker's answers. The
// instance tells a worker from one of the same name that died.
func (n names) up(p peer, what string) string {
	return n.prefix() + ".up." + subjectToken(p.name) + "." + p.instance + "." + what
}

func (n names) allUp() string { return n.prefix() + ".up.*.*.*" }

func (n names) down(p peer) string {
	return n.prefix() + ".down." + subjectToken(p.name) + "." + p.instance
}

func (n names) inbox(worker string) string { return n.prefix() + ".inbox." + subjectToken(worker) }

// claim is where a process of a host that has the queue answers that it lives.
func (n names) claim(process string) string { return n.prefix() + ".claim." + subjectToken(process) }

// pull is where the broker is asked for the messages of a consumer.
func (n names) pull(consumer string) string {
	return "$JS.API.CONSUMER.MSG.NEXT." + n.stream() + "." + consumer
}

// acks are the subjects on which the messages of the stream are acknowledged; the
// second form is that of a broker with domains.
func (n names) acks() []string {
	return []string{"$JS.ACK." + n.stream() + ".>", "$JS.ACK.*.*." + n.stream() + ".>"}
}

const (
	upItems     = "i"
	upHeartbeat = "h"
)

// peer is one process of a worker.
type peer struct{ name, instance string }

// peerOf is the sender and the channel of a subject below allUp.
func (n names) peerOf(subject string) (p peer, what string, ok bool) {
	rest, ok := strings.CutPrefix(subject, n.prefix()+".up.")
	parts := strings.Split(rest, ".")
	if !ok || len(parts) != 3 {
		return peer{}, "", false
	}
	p = peer{strings.ReplaceAll(parts[0], "=", "."), parts[1]}
	return p, parts[2], workerName.MatchString(p.name) && instanceName.MatchString(p.instance)
}

// subjectToken makes one token of a name: the dots, which no subject's token may
// hold, become a sign that no name may hold.
func subjectToken(name string) string { return strings.ReplaceAll(name, ".", "=") }

// lane is the queue of one type and route: one subject and one consumer.
type lane struct{ route, typ string }

func (l lane) consumer() string { return l.route + "_" + subjectToken(l.typ) }

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

// satisfies says whether a worker with these labels may run what asks for route.
func satisfies(labels, route map[string]string) bool {
	for k, v := range route {
		if have, ok := labels[k]; !ok || have != v {
			return false
		}
	}
	return true
}
