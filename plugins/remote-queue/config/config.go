// Package config reads what operators write of a queue: the executor block of the host, and
// how one proves to a broker who one is. It also holds the join file, by which a worker on
// the host's machine finds an embedded broker.
package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// Executor is an executor block of this plugin.
type Executor struct {
	URL    string `json:"url" jsonschema:"a broker that exists: NATS at nats:// or tls://, RabbitMQ at amqp:// or amqps://; several, separated by commas, are a cluster. Without it the host runs one of its own"`
	Listen string `json:"listen" jsonschema:"where workers reach the host's own broker, as host:port. Without it that is a loopback port of its own choice, which workers on this machine find by join"`
	Queue  string `json:"queue" jsonschema:"keeps apart the hosts that share a broker; with protocol celery it is the app's queue, celery where it is not set"`

	Protocol string            `json:"protocol" jsonschema:"celery, for the workers of a Celery app as they are; without it workers are taskhost's"`
	Tasks    map[string]string `json:"tasks" jsonschema:"with protocol celery: the task types, and Celery's names of their tasks"`

	// Credentials are, with url, the host's own. Without it, Token is one secret for all
	// workers, and the files are the server's.
	Credentials
	WorkerTokens       map[string]string `json:"worker_tokens" jsonschema:"secrets of single workers, by their names, for the host's own broker"`
	AllowNoCredentials bool              `json:"allow_no_credentials" jsonschema:"goes without credentials to a broker at url that is not on loopback"`

	Heartbeat sdk.Duration `json:"heartbeat" jsonschema:"how often workers are heard"`
	Lapse     sdk.Duration `json:"lapse" jsonschema:"how long an attempt may go unnamed by its worker before it is lost; two heartbeats at the least"`
	Rejoin    sdk.Duration `json:"rejoin" jsonschema:"how long that may take after the host came back, when workers have to find it first; without it, three times lapse and 30s at the least"`

	HostURL  string `json:"host_url" jsonschema:"the host's REST as workers reach it, if not as the host says; none if they can't"`
	Replicas int    `json:"replicas" jsonschema:"minimum=1,maximum=5,description=copies of the queue that a cluster keeps"`
	MaxBytes int64  `json:"max_bytes" jsonschema:"how many bytes of starts the broker keeps; without it as many as it has room for"`
}

func defaults() Executor {
	return Executor{Queue: defaultQueue, Heartbeat: sdk.Duration(time.Second), Lapse: sdk.Duration(10 * time.Second), Replicas: 1}
}

// Schema is the JSON Schema of an executor block.
func Schema() json.RawMessage { return sdk.ConfigSchema(defaults()) }

// Parse reads an executor block and fills in what it does not say. An error names the
// executor and what is wrong.
func Parse(cfg sdk.Config) (Executor, error) {
	c := defaults()
	c.Queue = "" // to know whether it is set
	if err := cfg.Decode(&c); err != nil {
		return c, err
	}
	switch {
	case c.Queue != "":
	case c.IsCelery():
		c.Queue = celeryQueue
	default:
		c.Queue = defaultQueue
	}
	if c.Rejoin == 0 {
		c.Rejoin = sdk.Duration(max(30*time.Second, 3*time.Duration(c.Lapse)))
	}
	if err := c.validate(); err != nil {
		return c, fmt.Errorf("config of executor %q: %w", cfg.Executor, err)
	}
	return c, nil
}

// validate says what of the block makes no sense, or is open to others than it should.
func (c *Executor) validate() error {
	if err := c.checkProtocol(); err != nil {
		return err
	}
	if !c.IsCelery() {
		if err := wire.CheckQueueName(c.Queue); err != nil {
			return err
		}
	}
	if err := c.checkPlace(); err != nil {
		return err
	}
	switch {
	case c.Lapse < 2*c.Heartbeat:
		return fmt.Errorf("lapse %s is less than two heartbeats of %s", time.Duration(c.Lapse), time.Duration(c.Heartbeat))
	case (c.Cert == "") != (c.Key == ""):
		return errors.New("cert and key go together")
	case c.Replicas < 1 || c.Replicas > 5:
		return fmt.Errorf("replicas %d: between 1 and 5", c.Replicas)
	case c.HostURL != "" && c.HostURL != "none" && !strings.HasPrefix(c.HostURL, "http://") && !strings.HasPrefix(c.HostURL, "https://"):
		return fmt.Errorf("host_url %q: an http or https URL, or \"none\"", c.HostURL)
	}
	if c.URL != "" {
		if _, err := OnRabbitMQ(c.URL); err != nil {
			return err
		}
		return CheckCredentials(c.URL, c.Credentials, c.AllowNoCredentials)
	}
	return c.checkListen()
}

// checkPlace refuses what belongs to a broker at url in a block without one, and what
// belongs to the embedded broker in a block with one.
func (c *Executor) checkPlace() error {
	switch {
	case c.URL != "" && (c.Listen != "" || len(c.WorkerTokens) > 0):
		return errors.New("listen and worker_tokens belong to the embedded broker: leave them out where url is set")
	case c.URL == "" && (c.User != "" || c.Password != "" || c.Creds != "" || c.AllowNoCredentials):
		return errors.New("user, password, creds and allow_no_credentials are for a broker at url")
	}
	return nil
}

// OpenToAll says that whoever reaches the broker may be a worker, or a host: what runs is
// theirs to read and to answer.
func (c *Executor) OpenToAll() bool {
	if c.URL != "" {
		return !CanAuthenticate(c.URL, c.Credentials)
	}
	return c.Listen != "" && c.Token == "" && len(c.WorkerTokens) == 0
}

// checkListen refuses to go without a secret wherever others than this machine can connect.
func (c *Executor) checkListen() error {
	for name, secret := range c.WorkerTokens {
		if wire.CheckWorkerName(name) != nil || secret == "" {
			return fmt.Errorf("worker_tokens: %q has no valid name or an empty token", name)
		}
	}
	if c.Listen == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if !isLoopback(host) && c.Token == "" && len(c.WorkerTokens) == 0 {
		return fmt.Errorf("listen %q is open to other machines: set worker_tokens (or token), so that workers can prove who they are", c.Listen)
	}
	return nil
}

// RestURL is the host's REST for workers; "" if they are not to use it, or cannot:
// it is on loopback, and the broker is where other machines reach it.
func (c *Executor) RestURL(hosts string) string {
	switch c.HostURL {
	case "":
		if u, err := url.Parse(hosts); err != nil || isLoopback(u.Hostname()) && !c.onlyLocal() {
			return ""
		}
		return strings.TrimSuffix(hosts, "/")
	case "none":
		return ""
	}
	return strings.TrimSuffix(c.HostURL, "/")
}

// onlyLocal says that only this machine reaches the broker.
func (c *Executor) onlyLocal() bool {
	if c.URL == "" {
		host, _, err := net.SplitHostPort(c.Listen)
		return c.Listen == "" || err == nil && isLoopback(host)
	}
	return onLoopback(c.URL)
}

// BrokerAddress is the broker's address, without its secrets.
func (c *Executor) BrokerAddress() string {
	if c.URL == "" {
		return ""
	}
	var all []string
	for _, one := range brokerURLs(c.URL) {
		all = append(all, one.Scheme+"://"+one.Host)
	}
	return " at " + strings.Join(all, ", ")
}
