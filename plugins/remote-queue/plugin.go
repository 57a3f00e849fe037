package remotequeue

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/taskhost/taskhost/plugins/remote-queue/amqp"
	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	natsbroker "github.com/taskhost/taskhost/plugins/remote-queue/broker/nats"
	rabbitbroker "github.com/taskhost/taskhost/plugins/remote-queue/broker/rabbit"
	"github.com/taskhost/taskhost/plugins/remote-queue/celery"
	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/plugins/remote-queue/fleet"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// Plugin is the executor that hands attempts to workers behind a broker. It keeps
// what workers once offered in its data directory, so that their types stay known
// while they are away. The executors it makes have a Close method, which ends the
// embedded broker; attempts that run on workers go on.
func Plugin(version string) sdk.Plugin {
	return sdk.Plugin{Name: "remote-queue", Version: version, ConfigSchema: config.Schema(), Nodes: true, New: New, Check: check, Configured: configured}
}

// check reads a block and the files it names, and neither listens nor connects.
func check(cfg sdk.Config) error {
	c, err := config.Parse(cfg)
	if err != nil {
		return err
	}
	if rabbit, _ := config.OnRabbitMQ(c.URL); rabbit { // Parse has seen the error
		err = amqp.CheckFiles(c.Credentials)
	} else {
		err = natsbroker.CheckFiles(&c)
	}
	if err != nil {
		return fmt.Errorf("config of executor %q: %w", cfg.Executor, err)
	}
	return nil
}

// configured knows the types of a Celery app, which stand in the config.
func configured(cfg sdk.Config) sdk.Metadata {
	c, err := config.Parse(cfg)
	m := sdk.Metadata{Nodes: true}
	if err == nil && c.IsCelery() {
		m.Types = slices.Sorted(maps.Keys(c.Tasks))
		m.StartUnknown = true
	}
	return m
}

// New makes an executor of one block of config. A broker at url need not be there
// yet; an embedded one must be able to start.
func New(cfg sdk.Config) (sdk.Executor, error) {
	c, err := config.Parse(cfg)
	if err != nil {
		return nil, err
	}
	if c.IsCelery() {
		return celery.Open(cfg, c)
	}
	return fleet.Open(cfg, c, dialHost)
}

// dialHost connects a host's half to the broker that its address names.
func dialHost(c broker.HostConnection, e broker.HostEvents) (fleet.Broker, error) {
	rabbit, err := config.OnRabbitMQ(c.Config.URL)
	if err != nil {
		return nil, err
	}
	if rabbit {
		return rabbitbroker.ConnectHost(c, e)
	}
	return natsbroker.ConnectHost(c, e)
}

// dialWorker connects a worker's half to the broker that its address names.
func dialWorker(c broker.WorkerConnection, e broker.WorkerEvents) (worker.Broker, error) {
	rabbit, err := config.OnRabbitMQ(c.URL)
	if err != nil {
		return nil, err
	}
	if rabbit {
		return rabbitbroker.ConnectWorker(c, e)
	}
	return natsbroker.ConnectWorker(c, e)
}

// Worker takes attempts from a broker and runs them on its executors.
type Worker = worker.Worker

// WorkerOptions is what a worker is made of.
type WorkerOptions = worker.Options

// Local is one executor of a worker.
type Local = worker.Local

// QueueSchema is the JSON Schema of the queue block of a worker's config.
func QueueSchema() json.RawMessage { return worker.QueueSchema() }

// NewWorker checks the options. The worker's Run does the rest.
func NewWorker(o WorkerOptions) (*Worker, error) {
	return worker.New(o, dialWorker)
}
