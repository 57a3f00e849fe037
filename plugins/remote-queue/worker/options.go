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
	Labels  map[string]string // what a task's route may ask for

	// URL of the broker, several separated by commas for a cluster; or Join, the
	// data directory of a host on this machine with an embedded broker, with
	// JoinExecutor where that host has several.
	URL          string
	Join         string
	JoinExecutor string
	// Queue is the host's, "default" if it has not named one. Join finds it.
	Queue string
	// Token is what lets the worker in. User and Password, Creds (a file), and the
	// TLS files CA, Cert and Key are for brokers that ask for them.
	Token, User, Password, Creds, CA, Cert, Key string
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
		Token    string `json:"token"`
		User     string `json:"user"`
		Password string `json:"password"`
		Creds    string `json:"creds"`
		CA       string `json:"ca"`
		Cert     string `json:"cert"`
		Key      string `json:"key"`
		Open     bool   `json:"allow_no_credentials"`
	}
	dec := json.NewDecoder(bytes.NewReader(block))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&q); err != nil {
		return fmt.Errorf("queue: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	o.URL, o.Join, o.JoinExecutor, o.Queue = q.URL, q.Join, q.Executor, q.Queue
	o.Token, o.User, o.Password, o.Creds, o.CA, o.Cert, o.Key = q.Token, q.User, q.Password, q.Creds, q.CA, q.Cert, q.Key
	o.AllowNoCredentials = q.Open
	return nil
}

func (o *Options) credentials() config.Credentials {
	return config.Credentials{Token: o.Token, User: o.User, Password: o.Password, Creds: o.Creds, CA: o.CA, Cert: o.Cert, Key: o.Key}
}

// Local is one executor of a worker.
type Local struct {
	Name     string
	Executor sdk.Executor
	Slots    int // attempts at once; 0: what the executor says, or else 16
	// Changed says that Describe should be asked again; it may be nil.
	Changed <-chan struct{}
}
