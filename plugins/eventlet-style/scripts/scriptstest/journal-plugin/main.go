// Journal-plugin serves the journal script as a plugin process, for tests that
// kill one.
package main

import (
	"github.com/taskhost/taskhost/plugins/eventlet-style/scripts/scriptstest"
	"github.com/taskhost/taskhost/sdk"
)

func main() {
	sdk.Serve(scriptstest.Plugin())
}
