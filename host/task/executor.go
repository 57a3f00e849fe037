package task

import "encoding/json"

// What becomes of a plugin's process when its host ends.
const (
	OnHostExitDie     = "die"     // it ends with its host; also the meaning of ""
	OnHostExitSurvive = "survive" // it goes on and is found again; not supported yet
)

// ExecutorConfig is one executor as the operator configures it.
type ExecutorConfig struct {
	Name       string          // unique; shown with every task that it runs
	Plugin     string          // a built-in's name, or a binary's in the plugin directory
	SHA256     string          // of the binary, which is refused if it differs; "" takes any
	Slots      int             // attempts out at once; 0 leaves it to the executor
	OnHostExit string          // OnHostExitDie or OnHostExitSurvive
	Config     json.RawMessage // the plugin's own attributes, one JSON object; nil if there are none
}
