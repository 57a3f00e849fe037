// Package supervisor keeps plugin processes: it finds their binaries, verifies
// and starts them, notices when they die or freeze, starts them again with
// backoff, puts those that keep failing into quarantine, and ends them.
//
// Nothing a plugin does reaches the host: each runs in a process group of its
// own, from a private copy of its binary, with a short environment; whatever it
// prints is bounded; every wait for it has an end; and what it leaves behind is
// ended at the next Open, also after a kill -9 of the host.
package supervisor
