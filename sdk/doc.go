// Package sdk is what the author of an executor plugin writes against, and all
// that it needs: the contract between taskhost and whatever runs its tasks.
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
// A plugin with needs of its own implements [Executor]. Either way the same
// [Plugin] value is handed to [Serve] to become a program of its own, or to the
// host to be built in; the executor cannot tell the difference, and the suite in
// sdk/sdktest runs every case both ways.
//
// Three rules carry the contract:
//
//   - Executors return outcomes; only the host writes state.
//   - What an attempt may say is a closed set ([Outcome]) and crosses a process
//     as data, never as a type or a text to be matched.
//   - Why a context ended is data too: see [ErrCancel] and its neighbours.
package sdk
