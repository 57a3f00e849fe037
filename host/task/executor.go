package task

import "encoding/json"

// ExecutorConfig is one executor as the operator configures it.
type ExecutorConfig struct {
	Name       string          // unique; shown with every task that it runs
	Plugin     string          // a built-in's name, or a binary's in the plugin directory
	SHA256     string          // of the binary, which is refused if it differs; "" takes any
	Slots      int             // attempts out at once; 0 leaves it to the executor
	OnHostExit string          // what its process does when the host ends; "" is "die"
	Config     json.RawMessage // the plugin's own attributes, one JSON object; nil if there are none
}
