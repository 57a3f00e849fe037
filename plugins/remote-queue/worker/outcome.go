package worker

import (
	"fmt"
	"maps"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// maxResult is the largest result that goes in a message, with all around it.
func (w *Worker) maxResult() int { return w.maxMessage() - min(64<<10, w.maxMessage()/4) }

// limitOutcome makes an outcome small enough for a message that holds limit bytes, all but
// a result.
func limitOutcome(o sdk.Outcome, limit int) sdk.Outcome {
	o.Message = wire.Clip(o.Message, wire.MaxLine)
	o.Details = maps.Clone(o.Details) // the script's, which may have given it to several
	for k, v := range o.Details {
		o.Details[k] = wire.Clip(v, wire.MaxLine)
	}
	if o.Result.Stored { // which only this worker can say, and only of what it has put there
		return wire.ProtocolError("the executor says that its result is with the host, which did not ask for it")
	}
	if y := o.Yield; y != nil {
		size := len(y.Checkpoint)
		for _, id := range y.Children {
			size += len(id) + 2
		}
		if size > limit {
			return resultTooLarge("the checkpoint with the list of children", size, limit)
		}
	}
	return wire.CheckOutcome(o)
}

func resultTooLarge(what string, n, limit int) sdk.Outcome {
	return sdk.Outcome{Kind: sdk.OutcomeFailed, Code: sdk.CodeResultTooLarge, Permanent: true,
		Message: fmt.Sprintf("%s has %d bytes: the broker carries %d, and the host's REST does not take it", what, n, limit)}
}
