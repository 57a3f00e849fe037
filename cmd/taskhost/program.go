package main

import (
	"io"

	"github.com/taskhost/taskhost/sdk"
)

// program is one run of the command line.
type program struct {
	builtins []sdk.Plugin
	in       io.Reader
	out, err io.Writer

	// addr is where the server is, as --addr or the environment has it.
	addr string
	// format is one of formats.
	format string
	// parsed says that flags and arguments were understood: an error before is one of usage.
	parsed bool
}
