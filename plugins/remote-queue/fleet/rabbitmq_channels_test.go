package fleet

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// What host and worker speak over is made anew when an operator deletes it, on connections
// that stay: the queue of either, and the exchange, also where it is back at once without what
// was bound to it.
func TestRabbitMQSpeaksAgain(t *testing.T) {
	s := queuetest.NewRabbitMQServer(t)
	f := openFleet(t, t.TempDir(), map[string]any{"url": s.URL(), "queue": s.Queue(), "heartbeat": "1s", "lapse": "3s"})
	gateWorker(t, queuetest.NewGates(), worker.Options{URL: s.URL(), Queue: s.Queue()})
	conn, err := amqp091.Dial(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	admin, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	exchange := "taskhost." + s.Queue()
	works := func(after string) {
		t.Helper()
		queuetest.Eventually(t, "a task runs "+after, func() bool {
			a := execute(t, f, newTask("quick", `1`))
			select {
			case <-a.done:
			case <-time.After(queuetest.Patience):
				return false
			}
			return a.out.Kind == sdk.OutcomeSucceeded
		})
	}
	works("at first")
	for _, queue := range strings.Fields(s.Control(t, "list_queues", "name")) {
		if strings.HasPrefix(queue, exchange+".host.") || strings.HasPrefix(queue, exchange+".worker.") {
			s.Control(t, "delete_queue", queue)
			works("without " + queue)
		}
	}
	if err := admin.ExchangeDelete(exchange, false, false); err != nil {
		t.Fatal(err)
	}
	works("without the exchange")
	// Neither waits for the broker: nobody is to find the exchange missing.
	if err := errors.Join(admin.ExchangeDelete(exchange, false, true), admin.ExchangeDeclare(exchange, "topic", true, false, false, true, nil)); err != nil {
		t.Fatal(err)
	}
	works("without what was bound")
}
