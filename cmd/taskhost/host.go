package main

import "github.com/spf13/cobra"

// hostCommands are those that need a host of their own rather than a server to
// talk to.
func hostCommands(p *program) []*cobra.Command {
	return []*cobra.Command{p.serverCmd(), p.devCmd(), p.configCmd(), p.storeCmd()}
}
