package worker

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// Options is what a worker is made of.
type Options struct {
	// Name is how hosts and operators know it; with a token of its own it proves it.
	Name string
	// Version is shown to operators.
	Version string
	// TypeVersion is the version of each task type whose executor tells none, a semantic one
	// or "".
	TypeVersion string
	// Labels are what a task's route may ask for.
	Labels map[string]string

	// URL of the broker, several separated by commas for a cluster; or Join, the
	// data directory of a host on this machine with an embedded broker, with
	// JoinExecutor where that host has several.
	URL          string
	Join         string
	JoinExecutor string
	// Queue is the host's, "default" if it has not named one. Join finds it.
	Queue string
	// Credentials are what lets the worker in. Join finds a token.
	config.Credentials
	// AllowNoCredentials has a worker join a broker at URL without any, though it is
	// not on loopback.
	AllowNoCredentials bool
	// HostCA is a file with the authorities by which a host's REST is checked that speaks
	// TLS: what no message carries goes there. "": the system's.
	HostCA string

	Log   hclog.Logger
	Local []Local
}

// queueBlock is the queue block of a worker's config.
type queueBlock struct {
	URL      string   `json:"url" jsonschema:"the broker: NATS at nats:// or tls://, RabbitMQ at amqp:// or amqps://; several, separated by commas, are a cluster. Either this or join"`
	Join     sdk.Path `json:"join" jsonschema:"the data directory of a host on this machine that runs a broker of its own. Either this or url"`
	Executor string   `json:"executor" jsonschema:"with join: which executor of that host, where several have a broker"`
	Queue    string   `json:"queue" jsonschema:"the queue's name, if the host has given it one; join finds it"`
	config.Credentials
	AllowNoCredentials bool     `json:"allow_no_credentials" jsonschema:"goes without credentials to a broker at url that is not on loopback"`
	HostCA             sdk.Path `json:"host_ca" jsonschema:"a file, for a host that speaks TLS: who signed its certificate. Without it, the system's authorities count. What the broker cannot carry is fetched from the host, and put there"`
}

// QueueSchema is the JSON Schema of a worker's queue block.
func QueueSchema() json.RawMessage { return sdk.ConfigSchema(queueBlock{}) }

// ParseQueue reads the queue block of a worker's config, one JSON object, into o. Relative
// paths are meant against dir. Unknown keys are refused.
func (o *Options) ParseQueue(block []byte, dir string) error {
	cfg := sdk.NewConfig("", block, nil)
	cfg.Dir = dir
	var q queueBlock
	if err := cfg.Decode(&q); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	o.URL = q.URL
	o.Join = string(q.Join)
	o.JoinExecutor = q.Executor
	o.Queue = q.Queue
	o.Credentials = q.Credentials
	o.AllowNoCredentials = q.AllowNoCredentials
	o.HostCA = string(q.HostCA)
	return nil
}

// CheckName says what is wrong with the worker's name.
func (o *Options) CheckName() error { return wire.CheckWorkerName(o.Name) }

// CheckQueue says what of the way to the broker can never work; it looks for nothing.
func (o *Options) CheckQueue() error {
	switch {
	case (o.URL == "") == (o.Join == ""):
		return errors.New("a worker needs the url of a broker, or the data directory of a host to join: one of the two")
	case (o.Cert == "") != (o.Key == ""):
		return errors.New("cert and key go together")
	}
	if o.Queue != "" {
		if err := wire.CheckQueueName(o.Queue); err != nil {
			return err
		}
	}
	if o.URL == "" {
		return nil
	}
	if _, err := config.OnRabbitMQ(o.URL); err != nil {
		return err
	}
	return config.CheckCredentials(o.URL, o.Credentials, o.AllowNoCredentials)
}

// Local is one executor of a worker.
type Local struct {
	Name     string
	Executor sdk.Executor
	// Slots are how many attempts it runs at once. 0 means what the executor says, or else 16.
	Slots int
	// Changed says that Describe should be asked again; it may be nil.
	Changed <-chan struct{}
}

// restClient speaks to the REST side of hosts.
func (o *Options) restClient() (*http.Client, error) {
	tr := &http.Transport{ResponseHeaderTimeout: 30 * time.Second, MaxIdleConnsPerHost: 8, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	if o.HostCA != "" {
		pem, err := os.ReadFile(o.HostCA)
		if err != nil {
			return nil, fmt.Errorf("host_ca: %w", err)
		}
		tr.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !tr.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("host_ca: %s holds no certificate in PEM", o.HostCA)
		}
	}
	return &http.Client{Transport: tr}, nil
}
