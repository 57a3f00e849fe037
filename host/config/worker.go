package config

import (
	"encoding/json"

	"github.com/hashicorp/hcl/v2"
)

// Worker is the config of `taskhost worker`. LoadWorker gives one that is valid.
type Worker struct {
	Common
	Name   string            // how operators see it
	Labels map[string]string // what a task's route asks for
	Queue  json.RawMessage   // the queue block's attributes, one JSON object: the plugin's to read

	values map[string]string // each value as it is shown, by the key's path
}

// LoadWorker reads a worker's config: the file of that name, whose content is src. A
// worker has no default data directory.
func LoadWorker(name string, src []byte) (*Worker, error) {
	w := &Worker{Common: Common{LogLevel: defaultLogLevel, LogFormat: defaultLogFormat, PluginDir: pluginDir()}}
	w.values = map[string]string{"log_level": w.LogLevel, "log_format": w.LogFormat, "plugin_dir": w.PluginDir}
	d := &decoder{note: func(key, value, _ string) { w.values[key] = value }}
	err := d.file(name, src, func(body hcl.Body) {
		set := w.setters()
		set["name"] = text(&w.Name)
		set["labels"] = textMap(&w.Labels)
		content := d.body(body, "", append(namedBlocks("executor"), hcl.BlockHeaderSchema{Type: "queue"}), set)
		w.Executors = d.executors(content)
		queues := content.Blocks.OfType("queue")
		if len(queues) != 1 {
			d.fault(body.MissingItemRange(), "One queue block is needed", "A worker takes its attempts from one queue: queue { url = \"nats://…\" } or queue { join = \"DATA_DIR\" }.")
		} else {
			w.Queue = d.attributes(queues[0].Body, "queue")
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
