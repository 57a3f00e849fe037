package sdk

import "context"

// A NodeController can act on the nodes that its Info names. The host asks for
// it by type assertion when an operator acts on a worker.
type NodeController interface {
	// DrainNode tells the node to take no further attempt and to finish what it
	// runs. It returns once the node was told; Info.Nodes shows the rest. A name
	// that is not among the nodes is an error.
	DrainNode(ctx context.Context, node string) error
}
