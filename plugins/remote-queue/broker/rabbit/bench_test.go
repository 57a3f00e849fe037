package rabbitbroker

import (
	"testing"

	"github.com/rabbitmq/amqp091-go"

	"github.com/taskhost/taskhost/plugins/remote-queue/amqp"
	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
)

// BenchmarkRawRabbitMQ is what a quorum queue does without any of our rules: publish with
// confirmation, a thousand at once, and consume with an acknowledgement each.
func BenchmarkRawRabbitMQ(b *testing.B) {
	conn, err := amqp091.Dial(queuetest.SharedRabbitMQ(b).URL())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		b.Fatal(err)
	}
	const queue = "raw"
	if _, err := ch.QueueDeclare(queue, true, false, false, false, amqp091.Table{"x-queue-type": "quorum"}); err != nil {
		b.Fatal(err)
	}
	if err := ch.Qos(1000, 0, false); err != nil {
		b.Fatal(err)
	}
	deliveries, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	publisher, err := amqp.NewPublisher(conn)
	if err != nil {
		b.Fatal(err)
	}
	slots := make(chan struct{}, 1000)
	consumed := make(chan struct{})
	before := queuetest.CPUTime()
	b.ResetTimer()
	go func() {
		defer close(consumed)
		for range b.N {
			d := <-deliveries
			_ = d.Ack(false)
		}
	}()
	for range b.N {
		slots <- struct{}{}
		m := amqp091.Publishing{Body: []byte(queuetest.BenchInput), DeliveryMode: amqp091.Persistent}
		err := publisher.Publish("", queue, m, func(err error) {
			if err != nil {
				b.Error(err)
			}
			<-slots
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	<-consumed
	queuetest.ReportBench(b, before)
}
