package task

import "encoding/json"

// What becomes of a plugin's process when its host ends.
const (
	OnHostExitDie     = "die"     // it ends with its host; also the meaning of ""
	OnHostExitSurvive = "survive" // it goes on and is found again; not supported yet
)

// ExecutorConfig is an executor block: an instance of a plugin, which runs tasks. The first in
// the file that offers a task type serves it, unless the type's block places it elsewhere.
type ExecutorConfig struct {
	// Name is the block's label, by which tasks show what ran them. It is unique.
	Name string
	// Plugin is the name of a built-in, or of a file in plugin_dir.
	Plugin string
	// SHA256 is the checksum of the plugin's file, which is refused if it has another. Without
	// the key any file is taken. Built-ins have none.
	SHA256 string
	// Slots is how many attempts may be out at once. Without the key, the plugin says.
	Slots int
	// OnHostExit is what becomes of the plugin's process when its host ends.
	OnHostExit string
	// Config is the plugin's own: which keys there are, it says. Relative paths are meant
	// against the folder of this file.
	Config json.RawMessage
}
