package remotequeue

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// config is an executor block of this plugin.
type config struct {
	// URL is a broker that exists; several, separated by commas, are a cluster.
	// Without it the host runs one of its own.
	URL string `json:"url"`
	// Listen is where workers reach the embedded broker. Without it that is a
	// loopback port of its own choice, found by the join file.
	Listen string `json:"listen"`
	// Queue keeps hosts that share a broker apart.
	Queue string `json:"queue"`

	// Token is one secret for all workers, WorkerTokens one for each by name. With
	// url, Token, User and Password, or Creds are the host's own credentials.
	Token        string            `json:"token"`
	WorkerTokens map[string]string `json:"worker_tokens"`
	User         string            `json:"user"`
	Password     string            `json:"password"`
	Creds        string            `json:"creds"` // file

	// AllowNoCredentials has a broker at url that is not on loopback without any.
	AllowNoCredentials bool `json:"allow_no_credentials"`

	// CA, Cert and Key are files: with url the client's, embedded the server's.
	CA   string `json:"ca"`
	Cert string `json:"cert"`
	Key  string `json:"key"`

	// Heartbeat is how often workers are heard, Lapse how long an attempt may go
	// unnamed before it is lost, Rejoin how long that may take after the host came
	// back, when workers have to find it first.
	Heartbeat duration `json:"heartbeat"`
	Lapse     duration `json:"lapse"`
	Rejoin    duration `json:"rejoin"`

	// HostURL is the host's REST as workers reach it, if not as the host says;
	// "none" if they can't.
	HostURL string `json:"host_url"`
	// Replicas and MaxBytes are the stream's, where the broker is shared.
	Replicas int   `json:"replicas"`
	MaxBytes int64 `json:"max_bytes"`
}

// duration is written as Go does: "1.5s".
type duration time.Duration

func (d *duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("a duration is written like \"10s\", not %s", b)
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return err
	}
	if v <= 0 {
		return fmt.Errorf("duration %q is not positive", s)
	}
	*d = duration(v)
	return nil
}

func parseConfig(cfg sdk.Config) (config, error) {
	c := config{Queue: "default", Heartbeat: duration(time.Second), Lapse: duration(10 * time.Second), Replicas: 1}
	if err := cfg.Decode(&c); err != nil {
		return c, err
	}
	if c.Rejoin == 0 {
		c.Rejoin = duration(max(30*time.Second, 3*time.Duration(c.Lapse)))
	}
	if err := c.validate(); err != nil {
		return c, fmt.Errorf("config of executor %q: %w", cfg.Executor, err)
	}
	return c, nil
}

func (c *config) validate() error {
	switch {
	case !queueName.MatchString(c.Queue):
		return fmt.Errorf("queue %q: letters, digits, '_' and '-', 32 at the most", c.Queue)
	case c.Lapse < 2*c.Heartbeat:
		return fmt.Errorf("lapse %s is less than two heartbeats of %s", time.Duration(c.Lapse), time.Duration(c.Heartbeat))
	case (c.Cert == "") != (c.Key == ""):
		return errors.New("cert and key go together")
	case c.Replicas < 1 || c.Replicas > 5:
		return fmt.Errorf("replicas %d: between 1 and 5", c.Replicas)
	case c.HostURL != "" && c.HostURL != "none" && !strings.HasPrefix(c.HostURL, "http://") && !strings.HasPrefix(c.HostURL, "https://"):
		return fmt.Errorf("host_url %q: an http or https URL, or \"none\"", c.HostURL)
	case c.URL != "" && (c.Listen != "" || len(c.WorkerTokens) > 0):
		return errors.New("listen and worker_tokens belong to the embedded broker: leave them out where url is set")
	case c.URL == "" && (c.User != "" || c.Password != "" || c.Creds != "" || c.AllowNoCredentials):
		return errors.New("user, password, creds and allow_no_credentials are for a broker at url")
	}
	if c.URL != "" {
		return checkCredentials(c.URL, c.credentials(), c.AllowNoCredentials)
	}
	return c.checkListen()
}

// credentials are those of the host for a broker at url.
func (c *config) credentials() credentials {
	return credentials{Token: c.Token, User: c.User, Password: c.Password, Creds: c.Creds, CA: c.CA, Cert: c.Cert, Key: c.Key}
}

// openToAll says that whoever reaches the broker may be a worker, or a host: what runs is
// theirs to read and to answer.
func (c *config) openToAll() bool {
	if c.URL != "" {
		return !c.credentials().canAuthenticate(c.URL)
	}
	return c.Listen != "" && c.Token == "" && len(c.WorkerTokens) == 0
}

// checkCredentials insists on some for a broker that other machines reach.
func checkCredentials(urls string, c credentials, allowed bool) error {
	if allowed || onLoopback(urls) || c.canAuthenticate(urls) {
		return nil
	}
	return errors.New("the broker at url is not on this machine, and anyone who reaches it could take tasks and answer for them: " +
		"set token, user and password, creds, or cert and key, so that it can ask who one is (allow_no_credentials = true goes without)")
}

// checkListen insists on a secret wherever others than this machine can connect.
func (c *config) checkListen() error {
	for name, secret := range c.WorkerTokens {
		if !workerName.MatchString(name) || secret == "" {
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

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// restURL is the host's REST for workers; "" if they are not to use it, or cannot:
// it is on loopback, and the broker is where other machines reach it.
func (c *config) restURL(hosts string) string {
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
func (c *config) onlyLocal() bool {
	if c.URL == "" {
		host, _, err := net.SplitHostPort(c.Listen)
		return c.Listen == "" || err == nil && isLoopback(host)
	}
	return onLoopback(c.URL)
}

// onLoopback says that all brokers of a list are on this machine.
func onLoopback(urls string) bool {
	all := brokerURLs(urls)
	for _, u := range all {
		if !isLoopback(u.Hostname()) {
			return false
		}
	}
	return len(all) == strings.Count(urls, ",")+1
}

// credentials are how one proves to a broker who one is.
type credentials struct{ Token, User, Password, Creds, CA, Cert, Key string }

// canAuthenticate says that there is something to prove it by. A ca says who the broker is.
func (c credentials) canAuthenticate(urls string) bool {
	if c.Token != "" || c.User != "" && c.Password != "" || c.Creds != "" || c.Cert != "" {
		return true
	}
	all := brokerURLs(urls)
	for _, u := range all {
		if u.User == nil {
			return false
		}
	}
	return len(all) > 0
}
