// Package remotequeue runs attempts on other machines, over NATS JetStream: the
// executor plugin "remote-queue" in the host, and [Worker], which takes attempts
// from the broker and runs them on executors of its own.
//
// The host's store is the only truth; the broker carries attempts and never
// retries one. The life of an attempt:
//
//   - The host publishes a start to a work-queue stream, its message id the
//     attempt's token, on a subject for its type and route.
//   - A worker that has a free slot pulls it, acknowledges it and waits until the
//     broker confirms that. From here on the broker knows nothing of it.
//   - The worker asks the host. The host puts the worker's name on record
//     (Reporter.Started) and only then answers go. An attempt without that record
//     surely never ran; whoever asks for it later is refused.
//   - The worker runs it and names its token in every heartbeat. A token that goes
//     unnamed for longer than the lapse is lost.
//   - The outcome is repeated until the host says that it is committed.
//
// Everything but the start goes over core NATS, in batches of what is waiting, and
// is repeated by whoever needs the answer; nothing depends on a message arriving.
package remotequeue
