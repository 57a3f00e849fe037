// Package sdk is what the author of an executor plugin writes against, and all
// that it needs: the contract between taskhost and whatever runs its tasks.
//
// # A plugin
//
// The shortest plugin is one typed function:
//
//	func main() {
//		sdk.Serve(sdk.Plugin{
//			Name:    "hello",
//			Version: "1.0.0",
//			New:     sdk.Scripts(sdk.Func("greet", greet)),
//		})
//	}
//
// [Func] makes a [Script] of it and derives the schema of its input; what it needs beside
// its input is in [TaskFrom]. [Plugin] is an executor's code under a name, and the same
// value is handed to [Serve] to become a program of its own, or to the host to be built
// in: the executor cannot tell the difference, and the suite in sdk/sdktest runs every
// case both ways.
//
// What a plugin is told by its operator it reads in [Plugin].New, and hands to its
// functions as Go does it: as the receiver of a method, or in a closure.
//
//	func newGreeter(cfg sdk.Config) (sdk.Executor, error) {
//		g := greeter{Salutation: "Hello"} // the default
//		if err := cfg.Decode(&g); err != nil {
//			return nil, err
//		}
//		return sdk.NewScripts(sdk.Func("greet", g.greet))
//	}
//
// Test it with the suite in sdk/sdktest, and the program that came of it with
// `taskhost plugin check FILE`. The examples/hello-plugin of the repository is a whole one.
//
// # An executor
//
// A plugin with needs of its own implements [Executor]:
//
//   - New gets a [Config], the executor's block of the operator's config.
//   - Describe answers with an [Info]: its task types ([TypeInfo]), its slots, its nodes
//     ([Node]) and its abilities.
//   - Execute gets a [Task], which is one attempt with its secret [Token], and a
//     [Reporter] by which the attempt speaks while it runs. It returns a [Result], made
//     by [JSON], [Text] or [Bytes], or an error.
//   - An attempt spawns a [Child] by its Reporter, rests with [YieldForChildren], and the
//     next one finds what became of it in Task.Children, each a [ChildStatus].
//   - Revert undoes it. Embed [Irreversible] where nothing can be undone.
//
// An error is a failure that may be tried again, unless [Permanent] or [RetryAfter] says
// otherwise. [ErrLost], [ErrReleased] and [ErrInterrupted] say what else became of an
// attempt. [YieldUntil], [YieldForChildren] and [YieldUntilResumed] rest the task. Why a
// context ended is context.Cause(ctx): [ErrCancel], [ErrTimeout], [ErrPause] or [ErrDetach].
//
// An executor whose nodes can be told something is a [NodeController] too, one that wants
// to hear that an outcome is on record a [Settler], and one that runs attempts itself
// keeps a [JoinTable]. One whose attempts run elsewhere is an [AsyncExecutor], so that none
// of them costs a goroutine while it is away; [Await] makes an Execute of it.
//
// Three rules carry the contract:
//
//   - Executors return outcomes; only the host writes state.
//   - What an attempt may say is a closed set ([Outcome]) and crosses a process
//     as data, never as a type or a text to be matched.
//   - Why a context ended is data too.
//
// # Not there yet
//
// Some of the contract is there so that plugins need not change when hosts can do more,
// and no host does it yet: nothing is undone (Executor.Revert, Script.Undo).
//
// # For whoever runs executors
//
// A host, a worker and a test need what an author does not: [NewConfig], [NewReporter]
// with its [ReporterFuncs], [Execute], [ExecuteAsync] and [Revert], which call an executor and
// survive its panic, [OutcomeOf], which says what the call returned, and [FailedWith], which is the
// way back. [EncodeChildren] and [DecodeChildren] carry a task's children. [OutcomeKind] and
// the codes (CodeScriptFailed and the others) are what an [Outcome] is made of.
//
// # The two ends of a plugin process
//
// What begins with Host is the host's end: [HostSide] gives a [HostConnection] to the
// process, made with [HostOptions] and dialed with [HostDialOptions]; [ErrConfigRefused]
// says that the plugin refused its config. What begins with Plugin, but for [Plugin]
// itself, is the other end, for a program that cannot use Serve: [PluginSide] on a
// [PluginGRPCServer], dispensed by [PluginKey], and [PluginHello], which the process says
// first. Both ends take [Handshake]. The protocol itself is executor.proto, and unexported.
package sdk
