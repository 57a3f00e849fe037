// Command taskhost is the host of tasks, and the command line to one.
package main

import (
	"io"
	"os"
	_ "time/tzdata" // schedules name time zones, and not every machine has them

	"github.com/taskhost/taskhost/sdk"
)

func main() {
	os.Exit(run(os.Args[1:], builtins(), os.Stdin, os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit code.
func run(args []string, plugins []sdk.Plugin, in io.Reader, out, errOut io.Writer) int {
	p := &program{builtins: plugins, in: in, out: out, err: errOut}
	root := p.root()
	root.SetArgs(args)
	return p.exit(root.Execute())
}
