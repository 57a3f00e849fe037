package celery

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

const (
	// maxWorkers bounds the workers that are known.
	maxWorkers = 5000
	// keepGone is how long one that left is shown.
	keepGone = time.Hour
	// askEvery is how long a worker may take to answer what it has and consumes.
	askEvery = 3 * time.Second
	// maxRetryPause is the longest that a Celery worker waits between two tries to reach the
	// broker. After an outage it is back within as long as the outage took, and within this.
	maxRetryPause = 30 * time.Second
	// watchEvery is how often silence is looked for.
	watchEvery = time.Second
)

// worker is one of Celery's, as it tells of itself. The executor's mu guards it.
type worker struct {
	name    string
	process int64
	version string
	active  int
	// processed is how many tasks the process had begun when it last told.
	processed float64
	heard     time.Time
	// gone says that it left, or was silent for the lapse.
	gone   bool
	goneAt time.Time
	// leaving says that it said so: it finishes what it runs, and nobody hears it meanwhile.
	leaving bool
	// asked is when it was asked what it consumes and has; nil until it answered.
	asked  time.Time
	queues []string
	tasks  []string
}

// startedAnew says that an event under the worker's process id is of another process, as in
// containers, where each has the same: it has begun fewer tasks.
func (w *worker) startedAnew(ev *event) bool {
	return ev.Processed != nil && *ev.Processed < w.processed
}

func (w *worker) described() bool { return w.queues != nil && w.tasks != nil }

func (ev *event) softwareVersion() string {
	text := strings.TrimSpace(ev.Ident + " " + ev.Version)
	return text[:min(len(text), 100)]
}

// askWorker asks a worker what it consumes and has. e.mu is held.
func (e *executor) askWorker(w *worker) {
	w.asked = time.Now()
	e.link.ask(w.name, askQueues)
	e.link.ask(w.name, askTasks)
}

// reconnected notes that there is another connection. Answers that workers owe went to the
// queue of the one before.
func (e *executor) reconnected() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.connection++
	for _, w := range e.workers {
		w.asked = time.Time{}
	}
}

// handleAnswer takes what workers answer to a question.
func (e *executor) handleAnswer(question string, body []byte) {
	e.mu.Lock()
	changed := false
	switch question {
	case askQueues:
		for name, queues := range decodeQueues(body) {
			if w := e.workers[name]; w != nil {
				changed = changed || !slices.Equal(w.queues, queues) || w.queues == nil
				w.queues = queues
			}
		}
	case askTasks:
		for name, tasks := range decodeTasks(body) {
			if w := e.workers[name]; w != nil {
				changed = changed || !slices.Equal(w.tasks, tasks) || w.tasks == nil
				w.tasks = append([]string{}, tasks...)
			}
		}
	}
	e.mu.Unlock()
	if changed {
		e.cfg.Changed()
	}
}

// typesOf are the types of the config that a worker runs. One that consumes another queue
// runs none. e.mu is held.
func (e *executor) typesOf(w *worker) (types []string) {
	if !slices.Contains(w.queues, e.queueConfig.Queue) {
		return nil
	}
	for _, typ := range slices.Sorted(maps.Keys(e.queueConfig.Tasks)) {
		if slices.Contains(w.tasks, e.queueConfig.Tasks[typ]) {
			types = append(types, typ)
		}
	}
	return types
}

// describeWorkers are the workers of this queue. Those of others on the same broker are
// nobody's here. e.mu is held.
func (e *executor) describeWorkers() (out []sdk.Node) {
	running := map[string][]string{}
	for _, a := range e.attempts {
		if a.on.Worker != "" && !a.ended() {
			running[a.on.Worker] = append(running[a.on.Worker], a.taskID)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.workers)) {
		w := e.workers[name]
		if !slices.Contains(w.queues, e.queueConfig.Queue) {
			continue
		}
		n := sdk.Node{Name: name, Instance: fmt.Sprint(w.process), Version: w.version, Types: e.typesOf(w), LastSeen: w.heard, Gone: w.gone}
		if !w.gone {
			n.Used = w.active
			n.Running = running[name]
		}
		out = append(out, n)
	}
	return out
}

// describeTypes are the types of the config. e.mu is held.
func (e *executor) describeTypes(nodes []sdk.Node) (out []sdk.TypeInfo) {
	for _, name := range slices.Sorted(maps.Keys(e.queueConfig.Tasks)) {
		served := slices.ContainsFunc(nodes, func(n sdk.Node) bool { return n.Takes(name) })
		out = append(out, sdk.TypeInfo{Name: name, Description: "Celery's task " + e.queueConfig.Tasks[name] + " on queue " + e.queueConfig.Queue,
			Input: []byte(inputSchema), Unavailable: !served})
	}
	return out
}

// watch notes silence, and forgets what nobody asks for any more.
func (e *executor) watch() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-tick.C:
		}
		if e.noteSilence(time.Now()) {
			e.cfg.Changed()
		}
	}
}

// noteSilence ends what silent workers ran. While nobody can be heard, silence says nothing.
func (e *executor) noteSilence(now time.Time) (changed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	lapse := time.Duration(e.queueConfig.Lapse)
	if e.brokerAway != "" || now.Sub(e.heardSince) < lapse {
		return false
	}
	for name, w := range e.workers {
		switch silent := now.Sub(w.heard); {
		case !w.gone && silent > lapse:
			w.gone = true
			w.goneAt = now
			changed = true
			e.log.Warn("a worker has not been heard", "worker", name, "for", silent.Round(time.Second))
			e.endAttemptsOn(name, func(int64) bool { return true }, fmt.Sprintf("worker %s has not been heard for %s", name, lapse))
		case w.gone && now.Sub(w.goneAt) > keepGone:
			delete(e.workers, name)
			changed = true
		}
	}
	if now.Sub(e.opened) > time.Duration(e.queueConfig.Rejoin) {
		for id, r := range e.early {
			delete(e.early, id)
			e.published.remove(id)
			r.ack()
		}
	}
	return changed
}
