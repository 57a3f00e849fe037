// Import is the plugin binary of the import script. Put it into the host's
// plugin_dir and name it in an executor block: plugin = "import".
package main

import (
	"runtime/debug"

	"github.com/taskhost/taskhost/plugins/import/script"
	"github.com/taskhost/taskhost/sdk"
)

func main() {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version // as the go command stamped it
	}
	sdk.Serve(script.Plugin(version))
}
