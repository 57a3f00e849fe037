package fleet

import (
	"errors"
	"fmt"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// checkStart says why the broker never carries the start of t, if it does not.
func (f *fleet) checkStart(act wire.Action, t *sdk.Task) error {
	if wire.StartFits(t, f.maxStart()) {
		return nil
	}
	_, err := f.appendStart(nil, act, t)
	return err
}

// appendStart writes the start of t behind what b has, so that the broker carries it.
func (f *fleet) appendStart(b []byte, act wire.Action, t *sdk.Task) ([]byte, error) {
	limit := f.maxStart()
	body, refs, fits := wire.AppendStart(b, act, t, limit)
	switch {
	case t.Secret && f.restURL == "":
		return b, errSecret
	case !fits || refs && f.restURL == "":
		return b, fmt.Errorf("it takes more than the %d bytes that the broker carries, and the workers cannot fetch it from the host's REST", limit)
	}
	return body, nil
}

// notCarried is what becomes of a task that the broker never carries.
func notCarried(err error) sdk.Outcome {
	o := sdk.Outcome{Kind: sdk.OutcomeFailed, Code: sdk.CodeExecutorFailed, Permanent: true, Message: "the task is too large: " + err.Error()}
	if errors.Is(err, errSecret) {
		o.Message = err.Error()
	}
	return o
}

// errSecret is of a task whose input no broker is given, where workers can't fetch it either.
var errSecret = errors.New("the task's input has values that are secret, which no broker is given, and the workers cannot fetch it from the host's REST: set host_url")

// maxMessage is what a message may hold in bytes, less room for what stands around it.
func (f *fleet) maxMessage() int { return wire.MessageLimit(f.broker.MaxPayload()) }

// maxStart is what a start may take, in bytes: the queue has to hold it as well.
func (f *fleet) maxStart() int {
	if n := f.queueConfig.MaxBytes; n > 0 {
		return min(f.maxMessage(), wire.MessageLimit(n))
	}
	return f.maxMessage()
}
