package celery

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/sdk"
)

// What a worker runs is lost with its process: when another of its name comes, or it falls
// silent while it could be heard. A worker that leaves in good order finishes what it runs.
func TestLostWithItsWorker(t *testing.T) {
	const name = "w@h"
	online := event{Type: "worker-online", Hostname: name, PID: 1}
	offline := event{Type: "worker-offline", Hostname: name, PID: 1}
	busy := event{Type: "worker-heartbeat", Hostname: name, PID: 1, Processed: new(7.0)}
	busier := event{Type: "worker-heartbeat", Hostname: name, PID: 1, Processed: new(8.0)}
	samePID := event{Type: "worker-online", Hostname: name, PID: 1, Processed: new(0.0)}
	anew := event{Type: "worker-heartbeat", Hostname: name, PID: 2}
	other := event{Type: "worker-online", Hostname: "v@h", PID: 3}
	for what, c := range map[string]struct {
		events []event
		silent time.Duration
		away   bool
		retry  bool
		lost   bool
	}{
		"it is heard":                     {events: []event{online}},
		"it is started anew":              {events: []event{anew}, lost: true},
		"it works on":                     {events: []event{busy, busier, online}},
		"it is started anew as the same":  {events: []event{busy, samePID}, lost: true},
		"it leaves and comes as the same": {events: []event{busy, offline, samePID}},
		"another one comes":               {events: []event{other}},
		"it leaves":                       {events: []event{offline}, silent: time.Minute},
		"it leaves and another comes":     {events: []event{offline, anew}},
		"it is silent":                    {silent: time.Minute, lost: true},
		"it is silent for a moment":       {silent: 2 * time.Second},
		"nobody can be heard":             {silent: time.Minute, away: true},
		"the attempt waits for its retry": {events: []event{anew}, retry: true},
	} {
		e := &executor{cfg: sdk.NewConfig("x", nil, nil), queueConfig: config.Executor{Lapse: sdk.Duration(10 * time.Second), Rejoin: sdk.Duration(time.Hour)}, log: hclog.NewNullLogger(),
			opened: time.Now(), attempts: map[string]*attempt{}, early: map[string]heardReply{}, workers: map[string]*worker{}, tellStart: map[string]bool{}}
		e.link.init(e)
		e.handleEvent(online)
		a := newAttempt("id", &sdk.Task{Type: "add"})
		e.attempts["id"] = a
		e.handleReply(reply{TaskID: "id", Status: stateStarted, Result: []byte(`{"hostname":"w@h","pid":17}`)}, func() {})
		if c.retry {
			e.handleReply(reply{TaskID: "id", Status: stateRetry, Result: []byte(`{}`)}, func() {})
		}
		for _, ev := range c.events {
			e.handleEvent(ev)
		}
		if c.away {
			e.disconnected(errors.New("gone"))
		}
		e.noteSilence(time.Now().Add(c.silent))
		if (a.lost != "") != c.lost {
			t.Errorf("%s: lost is %q", what, a.lost)
		}
	}
}

// After an outage of the broker a worker is not lost before it can be back: it tries the broker
// every half minute.
func TestNotLostByAnOutage(t *testing.T) {
	lapse := 10 * time.Second
	e := &executor{cfg: sdk.NewConfig("x", nil, nil), queueConfig: config.Executor{Lapse: sdk.Duration(lapse), Rejoin: sdk.Duration(time.Hour)}, log: hclog.NewNullLogger(),
		opened: time.Now(), attempts: map[string]*attempt{}, early: map[string]heardReply{}, workers: map[string]*worker{}, tellStart: map[string]bool{}}
	e.link.init(e)
	e.handleEvent(event{Type: "worker-online", Hostname: "w@h", PID: 1})
	a := newAttempt("id", &sdk.Task{Type: "add"})
	e.attempts["id"] = a
	e.handleReply(reply{TaskID: "id", Status: stateStarted, Result: []byte(`{"hostname":"w@h","pid":17}`)}, func() {})
	e.disconnected(errors.New("gone"))
	e.awaySince = e.awaySince.Add(-time.Hour)
	e.workers["w@h"].heard = e.awaySince
	e.connected()
	back := time.Now()
	if e.noteSilence(back.Add(maxRetryPause + lapse/2)); a.lost != "" {
		t.Errorf("lost as soon as the broker is back: %s", a.lost)
	}
	if e.noteSilence(back.Add(maxRetryPause + lapse + time.Second)); a.lost == "" {
		t.Error("it is never lost")
	}
}
