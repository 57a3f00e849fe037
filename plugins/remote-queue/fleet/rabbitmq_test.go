package fleet

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// While RabbitMQ is short of disk nobody is heard: no lapse counts, and what runs goes on.
// Its alarm is shown, and work goes on when it is over.
func TestRabbitMQAlarm(t *testing.T) {
	s := queuetest.NewRabbitMQServer(t)
	f := openFleet(t, t.TempDir(), map[string]any{"url": s.URL(), "queue": s.Queue(), "lapse": "3s"})
	g := queuetest.NewGates()
	gateWorker(t, g, worker.Options{URL: s.URL(), Queue: s.Queue()})
	queuetest.Serves(t, f, "gate")
	a := execute(t, f, newTask("gate", `"k"`))
	<-g.Began
	s.Control(t, "set_disk_free_limit", "1000000GB")
	lift := sync.OnceFunc(func() { s.Control(t, "set_disk_free_limit", "1MB") })
	defer lift()
	queuetest.Eventually(t, "the alarm is shown", func() bool { return strings.Contains(why(t, f), "alarm is raised") })
	before := f.clock.now()
	held := time.NewTimer(time.Duration(f.queueConfig.Lapse) * 5 / 4) // there is no event for nothing happening
	<-held.C
	if passed := f.clock.now() - before; passed > f.heartbeat() { // a tick that was under way
		t.Errorf("%s passed while nobody could be heard", passed)
	}
	waits := execute(t, f, newTask("quick", `1`))
	lift()
	g.Release("k")
	a.wait(t, sdk.OutcomeSucceeded)
	waits.wait(t, sdk.OutcomeSucceeded)
	if n := g.Count("k"); n != 1 {
		t.Errorf("it ran %d times", n)
	}
}

// What an operator purges or deletes is published again, and runs once.
func TestRabbitMQPurged(t *testing.T) {
	s := queuetest.NewRabbitMQServer(t)
	f := openFleet(t, t.TempDir(), map[string]any{"url": s.URL(), "queue": s.Queue(), "lapse": "3s"})
	g := queuetest.NewGates()
	gateWorker(t, g, worker.Options{URL: s.URL(), Queue: s.Queue(), Local: []worker.Local{{Name: "local", Executor: g.Executor(t), Slots: 1}}})
	queuetest.Serves(t, f, "gate")
	for _, verb := range []string{"purge_queue", "delete_queue"} {
		runs := execute(t, f, newTask("gate", `"runs `+verb+`"`))
		<-g.Began
		waits := execute(t, f, newTask("gate", `"waits `+verb+`"`))
		queuetest.Eventually(t, "in the broker", func() bool { return pending(t, f) == 1 })
		before := f.counters.republished.Load()
		s.Control(t, verb, "taskhost."+s.Queue()+".lane.any_gate")
		queuetest.Eventually(t, "published again after "+verb, func() bool { return f.counters.republished.Load() > before && pending(t, f) == 1 })
		g.Release("runs " + verb)
		runs.wait(t, sdk.OutcomeSucceeded)
		g.Release("waits " + verb)
		waits.wait(t, sdk.OutcomeSucceeded)
		<-g.Began
		for _, key := range []string{"runs " + verb, "waits " + verb} {
			if n := g.Count(key); n != 1 {
				t.Errorf("%q ran %d times", key, n)
			}
		}
	}
}

// A user of RabbitMQ with the permissions of docs/design.md serves as host, another as the
// worker of its name, and as no other.
func TestRabbitMQPermissions(t *testing.T) {
	s := queuetest.NewRabbitMQServer(t)
	q := "taskhost\\." + s.Queue()
	for _, c := range [][]string{
		{"add_user", "host", "secret"},
		{"set_permissions", "host", "^(" + q + "(\\..*)?|amq\\.(default|rabbitmq\\.reply-to.*))$", "^(" + q + "(\\..*)?|amq\\.(default|rabbitmq\\.reply-to.*))$", "^(" + q + "(\\..*)?|amq\\.(default|rabbitmq\\.reply-to.*))$"},
		{"add_user", "w1", "secret"},
		{"set_permissions", "w1", "^" + q + "\\.worker\\.w1\\.", "^" + q + "($|\\.worker\\.w1\\.)", "^" + q + "($|\\.worker\\.w1\\.|\\.lane\\.)"},
		{"set_topic_permissions", "w1", "taskhost." + s.Queue(), "^up\\.w1\\.", "^down\\.w1\\."},
	} {
		s.Control(t, c...)
	}
	f := openFleet(t, t.TempDir(), map[string]any{"url": "amqp://" + s.Addr(), "queue": s.Queue(), "user": "host", "password": "secret"})
	hasQueue(t, f)
	g := queuetest.NewGates()
	gateWorker(t, g, worker.Options{URL: "amqp://" + s.Addr(), Queue: s.Queue(), Credentials: config.Credentials{User: "w1", Password: "secret"}})
	gateWorker(t, g, worker.Options{Name: "w2", URL: "amqp://" + s.Addr(), Queue: s.Queue(), Credentials: config.Credentials{User: "w1", Password: "secret"}})
	queuetest.Serves(t, f, "quick")
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
	if all := peers(f); len(all) != 1 || all[0].Name != "w1" {
		t.Errorf("the user of one worker speaks as %v", all)
	}
}
