package supervisor

import "time"

// State is how an executor, or one of its processes, is.
type State string

// The states, as operators see them.
const (
	Starting    State = "starting"    // a process is being started
	Ready       State = "ready"       // attempts run
	Degraded    State = "degraded"    // it failed, and is tried again by itself soon
	Quarantined State = "quarantined" // it failed too often: tried again rarely, or by Restart
	Draining    State = "draining"    // it finishes what runs and takes nothing new
	Stopped     State = "stopped"     // by an operator or by the host's end
)

// Status is what can be said of an executor at one moment.
type Status struct {
	State State
	// Reason says why it is not Ready, and what to do where an operator can.
	Reason string
	// LastError is the last failure with the last lines the process wrote to
	// stderr; it stays after a recovery, with LastErrorAt.
	LastError   string
	LastErrorAt time.Time
	// Instances are the processes: two while one is replaced.
	Instances []Instance
}

// Instance is one plugin process.
type Instance struct {
	ID      string // chosen by the supervisor; stands in the process's environment
	Pid     int
	Version string // what the plugin says of itself; empty until it is connected
	State   State
	Since   time.Time // of the state
	Reason  string    // why it is Draining, where nobody asked for that
	// Restarts counts the processes this executor had before this one.
	Restarts int
}
