package sdk

// Plugin is an executor's code under a name: the same value is handed to Serve
// by a program of its own, or to the host to be built in.
type Plugin struct {
	// Name is shown to operators, and what they write as plugin = "name" for a built-in. A
	// program is known by the name of its file.
	Name string
	// Version is shown to operators.
	Version string
	// New makes an executor of one block of config. An error refuses the config
	// and should name the key at fault.
	New func(Config) (Executor, error)
	// Check says what is wrong with a config and makes nothing; nil if only New
	// can know. `taskhost config validate` asks it of built-ins.
	Check func(Config) error
}
