package config

import (
	"errors"
	"fmt"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// ProtocolCelery is the protocol of a block whose workers are those of a Celery app.
const ProtocolCelery = "celery"

const (
	// defaultQueue keeps hosts apart where the operator names none, and celeryQueue is the
	// one that a Celery app uses where it names none.
	defaultQueue = "default"
	celeryQueue  = "celery"
	// maxQueueName is how long the name of a queue may be in bytes, as RabbitMQ has it.
	maxQueueName = 255
	// minCeleryLapse is more than two heartbeats of a Celery worker.
	minCeleryLapse = 5 * time.Second
)

// IsCelery says that the workers are those of a Celery app.
func (c *Executor) IsCelery() bool { return c.Protocol == ProtocolCelery }

// checkProtocol refuses what belongs to another protocol.
func (c *Executor) checkProtocol() error {
	switch {
	case c.Protocol != "" && !c.IsCelery():
		return fmt.Errorf("protocol %q: there is %q, for the workers of a Celery app; without it they are taskhost's", c.Protocol, ProtocolCelery)
	case !c.IsCelery() && len(c.Tasks) > 0:
		return fmt.Errorf("tasks belong to protocol = %q: workers of taskhost say themselves what they run", ProtocolCelery)
	case !c.IsCelery():
		return nil
	case c.URL == "":
		return errors.New("url is missing: the broker of the Celery app, as amqp://HOST or amqps://HOST")
	case c.Token != "" || c.Creds != "" || c.HostURL != "" || c.MaxBytes != 0:
		return fmt.Errorf("token, creds, host_url and max_bytes have no use with protocol = %q", ProtocolCelery)
	case c.Queue == "" || len(c.Queue) > maxQueueName:
		return fmt.Errorf("queue %.40q: the name of the app's queue", c.Queue)
	case time.Duration(c.Lapse) < minCeleryLapse:
		return fmt.Errorf("lapse %s: Celery's workers are heard every two seconds, so it is %s at the least", time.Duration(c.Lapse), minCeleryLapse)
	case len(c.Tasks) == 0:
		return errors.New(`tasks is missing: the task types and Celery's names of them, such as tasks = { add = "proj.tasks.add" }`)
	}
	if rabbit, err := OnRabbitMQ(c.URL); err != nil || !rabbit {
		return errors.Join(err, fmt.Errorf("url: protocol = %q needs RabbitMQ, at amqp://HOST or amqps://HOST", ProtocolCelery))
	}
	for typ, name := range c.Tasks {
		switch {
		case !sdk.ValidTypeName(typ):
			return fmt.Errorf("tasks: %q can be no task type: it has letters, digits, '.', '_' and '-', and begins with a letter", typ)
		case name == "" || len(name) > maxQueueName:
			return fmt.Errorf("tasks: the name of Celery's task for type %q is empty or too long", typ)
		}
	}
	return nil
}
