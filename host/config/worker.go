package config

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/hashicorp/hcl/v2"
)

// Worker is the config of `taskhost worker`. LoadWorker gives one that is valid.
type Worker struct {
	Common
	// Name is how operators see the worker, and with a token of its own what it proves to be.
	Name string
	// Labels are what the route of a task may ask for.
	Labels map[string]string
	// Version is a semantic version of what the worker offers, such as "1.4.0": that of each
	// task type whose plugin tells none. Task types may ask for a least one.
	Version string
	// Queue says from where the worker takes its attempts.
	Queue json.RawMessage

	values map[string]string // as they are shown, by the key's path
}

// setters are the setters of a worker's file.
func (w *Worker) setters() map[string]setter {
	set := w.Common.setters()
	set["name"] = text(&w.Name)
	set["labels"] = textMap(&w.Labels)
	set["version"] = semanticVersion(&w.Version)
	return set
}

// DefaultDir is the worker's data directory where its config names none. Its name must have
// been checked: it is part of the path.
func (w *Worker) DefaultDir() (string, error) {
	base, err := stateDir("taskhost-worker")
	if err != nil {
		return "", err
	}
	return filepath.Join(base, w.Name), nil
}

// LoadWorker reads a worker's config: the file of that name, whose content is src. It has
// no data directory if the file names none: see DefaultDir.
func LoadWorker(name string, src []byte) (*Worker, error) {
	plugins, err := pluginDir()
	if err != nil {
		return nil, err
	}
	w := &Worker{Common: Common{LogLevel: defaultLogLevel, LogFormat: defaultLogFormat, PluginDir: plugins}}
	if w.source, err = newSource(name, src); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	w.values = map[string]string{"log_level": w.LogLevel, "log_format": w.LogFormat, "plugin_dir": w.PluginDir}
	d := &decoder{source: &w.source, note: func(key, value, _ string) { w.values[key] = value }}
	err = d.file(workerFile, func(body hcl.Body) {
		content := d.body(body, "", append(namedBlocks("executor"), hcl.BlockHeaderSchema{Type: "queue"}), w.setters())
		w.Executors = d.executors(content)
		queues := content.Blocks.OfType("queue")
		if len(queues) != 1 {
			d.fault(body.MissingItemRange(), "One queue block is needed", "A worker takes its attempts from one queue: queue { url = \"nats://…\" } or queue { join = \"DATA_DIR\" }.")
		} else {
			w.Queue = d.attributes(queues[0], "queue")
		}
		if w.Name == "" {
			d.fault(body.MissingItemRange(), "A worker needs a name", "Set name = \"…\": it is how operators see the worker.")
		}
		if len(w.Executors) == 0 {
			d.fault(body.MissingItemRange(), "A worker needs an executor", "Add a block such as executor \"local\" { plugin = \"eventlet-style\" }.")
		}
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}
