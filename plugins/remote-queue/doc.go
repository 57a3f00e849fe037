// Package remotequeue runs attempts on other machines: the executor plugin
// "remote-queue" in the host, and [Worker], which takes attempts from a broker and
// runs them on executors of its own.
//
// The host's store is the only truth; the broker carries attempts and never
// retries one. The life of an attempt:
//
//   - The host publishes a start to the lane of its type and route, under the
//     attempt's token.
//   - A worker that has a free slot pulls it and acknowledges it. From here on the broker
//     knows nothing of it; if it did not hear that, it delivers the start again, in vain.
//   - The worker asks the host. The host puts the worker's name on record
//     (Reporter.Started) and only then answers go. An attempt without that record
//     surely never ran; whoever asks for it later is refused.
//   - The worker runs it and names its token in every heartbeat. A token that goes
//     unnamed for longer than the lapse is lost.
//   - The outcome is repeated until the host says that it is committed.
//
// Everything but the start goes in batches of what is waiting, and is repeated by
// whoever needs the answer; nothing depends on a message arriving.
//
// The rooms: wire is what the halves say to one another, fleet is the host's half and
// worker the consuming one, config is what operators write. This package joins them to
// a broker. The line between the halves and a broker:
//
//   - Above it is all that decides: which starts there are, who may start one, what is
//     lost, who owns the queue and when, how often anything is repeated.
//   - Below it, in a folder a broker, is how things travel and where they wait.
//     fleet.Broker is a link to the workers, a store of starts by lane, and one record
//     with compare-and-set, the claim of the queue; worker.Broker is a link to the host
//     and lanes to pull from. The package broker has the types and errors of both.
//   - A broker need not keep anything but the claim: what is gone is published again.
//     It may deliver a start more than once: the host lets one run.
package remotequeue
