// Import is the plugin binary of the import script. Put it into the host's
// plugin_dir and name it in an executor block: plugin = "import".
package main

import (
	"github.com/taskhost/taskhost/plugins/import/script"
	"github.com/taskhost/taskhost/sdk"
)

// version is set by the build.
var version = "dev"

func main() {
	sdk.Serve(sdk.Plugin{Name: "import", Version: version, New: script.New})
}
