package wire

import (
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// appendOutcome writes an outcome, without its length.
func appendOutcome(b []byte, o sdk.Outcome) []byte {
	b = append(b, byte(o.Kind))
	b = putBool(putBytes(putString(b, o.Result.ContentType), o.Result.Data), o.Result.Stored)
	b = putMap(putString(putString(b, o.Code), o.Message), o.Details)
	b = putInt(putBool(b, o.Permanent), int64(o.RetryAfter))
	y := o.Yield
	if b = putBool(b, y != nil); y == nil {
		return b
	}
	b = putUint(putTime(b, y.Until), uint64(len(y.Children)))
	for _, id := range y.Children {
		b = putString(b, id)
	}
	return putBytes(putBool(putBool(b, y.Resume), y.Checkpoint != nil), y.Checkpoint)
}

// decodeOutcome reads an outcome; one of no known kind is a protocol error, for
// the attempt is over either way.
func decodeOutcome(d *decoder) sdk.Outcome {
	var o sdk.Outcome
	if k := d.take(1); len(k) == 1 {
		o.Kind = sdk.OutcomeKind(k[0])
	}
	o.Result.ContentType, o.Result.Data, o.Result.Stored = d.string(), d.bytes(), d.bool()
	o.Code, o.Message, o.Details = d.string(), d.string(), d.stringMap()
	o.Permanent, o.RetryAfter = d.bool(), max(time.Duration(d.int()), 0)
	if d.bool() {
		y := &sdk.Yield{Until: d.time(), Children: d.strings(), Resume: d.bool()}
		has, data := d.bool(), d.bytes() // there is room for it in any case
		if has {
			y.Checkpoint = append([]byte{}, data...)
		}
		o.Yield = y
	}
	if o.Kind < sdk.OutcomeSucceeded || o.Kind > sdk.OutcomeInterrupted || (o.Kind == sdk.OutcomeYielded) != (o.Yield != nil) {
		return ProtocolError("the worker reports an outcome that makes no sense")
	}
	return CheckOutcome(o)
}

// CheckOutcome makes a protocol error of an outcome that is larger than an attempt's
// may be. Both ends ask it: the worker, so that the outcome surely travels, and the
// host, which takes no worker's word for it.
func CheckOutcome(o sdk.Outcome) sdk.Outcome {
	text := len(o.Code) + len(o.Message) + len(o.Result.ContentType)
	for k, v := range o.Details {
		text += len(k) + len(v)
	}
	switch {
	case len(o.Details) > maxDetails:
		return ProtocolError(ExceedsLimit("the outcome's error details", len(o.Details), maxDetails).Error())
	case text > maxOutcomeText:
		return ProtocolError(ExceedsLimit("bytes of the outcome's message and error details", text, maxOutcomeText).Error())
	}
	return o
}

// ProtocolError is the outcome of an attempt whose worker or executor said what it may not.
func ProtocolError(why string) sdk.Outcome {
	return sdk.Outcome{Kind: sdk.OutcomeFailed, Code: sdk.CodeProtocolError, Permanent: true, Message: why}
}

// LostOutcome is that of an attempt that may have run, and of which nothing is known.
func LostOutcome(why string) sdk.Outcome {
	return sdk.Outcome{Kind: sdk.OutcomeLost, Code: sdk.CodeExecutorLost, Message: why}
}

// ReleasedOutcome is that of an attempt that surely did not run.
func ReleasedOutcome(why string) sdk.Outcome {
	return sdk.Outcome{Kind: sdk.OutcomeReleased, Message: why}
}
