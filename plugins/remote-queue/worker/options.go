package worker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/sdk"
)

// Options is what a worker is made of.
type Options struct {
	// Name is how hosts and operators know it; with a token of its own it proves it.
	Name    string
	Version string
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

	Log   hclog.Logger
	Local []Local
}

// ParseQueue reads the queue block of a worker's config, one JSON object, into o.
// Unknown keys are refused.
func (o *Options) ParseQueue(block []byte) error {
	var q struct {
		URL      string `json:"url"`
		Join     string `json:"join"`
		Executor string `json:"executor"`
		Queue    string `json:"queue"`
		config.Credentials
		Open bool `json:"allow_no_credentials"`
	}
	dec := json.NewDecoder(bytes.NewReader(block))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&q); err != nil {
		return fmt.Errorf("queue: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	o.URL = q.URL
	o.Join = q.Join
	o.JoinExecutor = q.Executor
	o.Queue = q.Queue
	o.Credentials = q.Credentials
	o.AllowNoCredentials = q.Open
	return nil
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
