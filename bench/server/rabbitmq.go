package server

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
)

// RabbitMQ is a RabbitMQ broker, with Erlang's port mapper beside it.
type RabbitMQ struct {
	// URL is where clients connect.
	URL string
	// Version is the broker's.
	Version string

	mapper, broker *Process
}

// StartRabbitMQ serves from dir, which takes some ten seconds. No plugin is on.
func StartRabbitMQ(ctx context.Context, dir string) (_ *RabbitMQ, err error) {
	script, err := find("/usr/lib/rabbitmq/bin/rabbitmq-server") // not the one in PATH, which is for the service
	if err != nil {
		return nil, err
	}
	epmd, err := find("epmd")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	r := &RabbitMQ{URL: fmt.Sprintf("amqp://guest:guest@%s//", loopback(ports[0]))}
	defer func() {
		if err != nil {
			r.Stop()
		}
	}()
	// A port mapper that Erlang starts itself would be a daemon that outlives the broker.
	mapper := exec.Command(epmd, "-address", "127.0.0.1", "-port", strconv.Itoa(ports[1]))
	if r.mapper, err = Start(dir, "epmd", mapper, syscall.SIGTERM); err != nil {
		return nil, err
	}
	if err := r.mapper.Ready(ctx, accepts(ports[1])); err != nil {
		return nil, err
	}
	for _, file := range []string{"rabbitmq.conf", "enabled_plugins"} {
		text := map[string]string{"rabbitmq.conf": "", "enabled_plugins": "[]."}[file]
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"HOME="+dir,                  // for the cookie
		"RUNNING_UNDER_SYSTEMD=true", // no shell stays in between
		"ERL_EPMD_PORT="+strconv.Itoa(ports[1]),
		"RABBITMQ_NODENAME=bench@localhost",
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT="+strconv.Itoa(ports[0]),
		"RABBITMQ_DIST_PORT="+strconv.Itoa(ports[2]),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
		"RABBITMQ_MNESIA_BASE="+filepath.Join(dir, "mnesia"),
		"RABBITMQ_LOG_BASE="+filepath.Join(dir, "log"),
		"RABBITMQ_PID_FILE="+filepath.Join(dir, "pid"),
		"RABBITMQ_CONF_ENV_FILE="+filepath.Join(dir, "no-such-file"),
		"RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "rabbitmq.conf"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "enabled_plugins"),
	)
	if r.broker, err = Start(dir, "rabbitmq", cmd, syscall.SIGKILL); err != nil { // nothing of it is needed again
		return nil, err
	}
	if err := r.broker.Ready(ctx, accepts(ports[0])); err != nil {
		return nil, err
	}
	r.Version, err = r.loggedVersion()
	return r, err
}

var brokerVersion = regexp.MustCompile(`RabbitMQ (\d+\.\d+\.\d+)`)

// loggedVersion reads what the broker says of itself when it starts: its own tool takes seconds.
func (r *RabbitMQ) loggedVersion() (string, error) {
	text, err := os.ReadFile(r.broker.log.Name())
	if err != nil {
		return "", err
	}
	m := brokerVersion.FindSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("the log of RabbitMQ tells no version: %s", r.broker.lastLines())
	}
	return string(m[1]), nil
}

// Stop ends the broker at once, and the port mapper.
func (r *RabbitMQ) Stop() {
	r.broker.Stop()
	r.mapper.Stop()
}

// Pids are the processes that Stop ends.
func (r *RabbitMQ) Pids() []int { return []int{r.mapper.Pid(), r.broker.Pid()} }
