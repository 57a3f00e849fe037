package sdk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// The two enumerations are counted alike, but neither's numbers may bind the other.
var kindsToWire = [...]pb.Kind{OutcomeSucceeded: pb.Kind_KIND_SUCCEEDED, OutcomeFailed: pb.Kind_KIND_FAILED,
	OutcomeCanceled: pb.Kind_KIND_CANCELED, OutcomeLost: pb.Kind_KIND_LOST,
	OutcomeReleased: pb.Kind_KIND_RELEASED, OutcomeYielded: pb.Kind_KIND_YIELDED, OutcomeInterrupted: pb.Kind_KIND_INTERRUPTED}

func kindToWire(k OutcomeKind) pb.Kind {
	if int(k) < len(kindsToWire) {
		return kindsToWire[k]
	}
	return pb.Kind_KIND_UNSPECIFIED
}

func kindFromWire(w pb.Kind) OutcomeKind {
	for k, v := range kindsToWire {
		if v == w && w != pb.Kind_KIND_UNSPECIFIED {
			return OutcomeKind(k)
		}
	}
	return 0
}

// bounded is o as it may travel: what is larger than the executor itself promised
// or the protocol carries becomes a failure that says so. A stream that broke
// instead would take all other attempts with it.
func bounded(o Outcome, maxResult int64) Outcome {
	limit := int64(maxPayload)
	if maxResult > 0 {
		limit = min(limit, maxResult)
	}
	switch {
	case o.Kind == OutcomeSucceeded && int64(len(o.Result.Data)) > limit:
		return Outcome{Kind: OutcomeFailed, Code: CodeResultTooLarge, Permanent: true,
			Message: fmt.Sprintf("the result has %d bytes, at most %d are allowed", len(o.Result.Data), limit)}
	case o.Kind == OutcomeYielded && o.Yield == nil:
		return Outcome{Kind: OutcomeFailed, Code: CodeScriptFailed, Permanent: true,
			Message: "the script rests but does not say until when"}
	case o.Kind == OutcomeYielded && len(o.Yield.Checkpoint) > MaxCheckpoint:
		return Outcome{Kind: OutcomeFailed, Code: CodeScriptFailed, Permanent: true, Message: errCheckpointTooLarge.Error()}
	case o.Kind == OutcomeYielded && len(o.Yield.Children) > MaxChildren:
		return Outcome{Kind: OutcomeFailed, Code: CodeScriptFailed, Permanent: true,
			Message: fmt.Sprintf("the script waits for %d children, at most %d are allowed", len(o.Yield.Children), MaxChildren)}
	}
	o.Message = clip(o.Message, maxText)
	o.Code = clip(o.Code, maxName)
	o.Result.ContentType = clip(o.Result.ContentType, maxName)
	if o.Yield != nil {
		for i, id := range o.Yield.Children {
			o.Yield.Children[i] = clip(id, maxName)
		}
	}
	o.Details = boundedDetails(o.Details)
	return o
}

// leftOut is the detail that counts those which found no room.
const leftOut = "details_left_out"

// boundedDetails keeps as many details, in the order of their names, as there is room for.
func boundedDetails(in map[string]string) map[string]string {
	if len(in) == 0 {
		return in
	}
	out := make(map[string]string, min(len(in), maxDetails))
	size, kept := 0, 0
	for _, k := range slices.Sorted(maps.Keys(in)) {
		key, value := clip(k, maxName), clip(in[k], maxText)
		if k != leftOut { // which may be there from the other side
			size += len(key) + len(value)
		}
		if len(in) > maxDetails && kept >= maxDetails-1 || size > maxDetailBytes {
			break
		}
		out[key] = value
		kept++
	}
	if kept < len(in) {
		out[leftOut] = strconv.Itoa(len(in) - kept)
	}
	return out
}

// clip shortens s to n bytes, and makes it the UTF-8 that protobuf insists on.
func clip(s string, n int) string {
	if len(s) <= n && utf8.ValidString(s) {
		return s
	}
	out := make([]rune, 0, min(len(s), n))
	size := 0
	for _, r := range s {
		if size += utf8.RuneLen(r); size > n-3 {
			return string(append(out, '…'))
		}
		out = append(out, r)
	}
	return string(out)
}

// finishedToWire makes the report of an outcome that is bounded already, and the chunks of what is
// too large to stand in it.
func finishedToWire(t Token, seq, data uint64, o *Outcome) (message wireMessage, chunks []*pb.Chunk) {
	p := packer{token: t, seq: seq}
	w := newMessage(128 + len(o.Message))
	w.bytes(1, t[:])
	w.number(2, seq)
	w.number(4, data)
	w.message(3, func() { outcomeToWire(&w, &p, o) })
	return w.done(pluginMessages, 5), p.chunks
}

func outcomeToWire(w *messageWriter, p *packer, o *Outcome) {
	w.number(1, uint64(kindToWire(o.Kind)))
	w.text(4, o.Code)
	w.text(5, o.Message)
	w.texts(6, o.Details)
	w.flag(7, o.Permanent)
	if o.RetryAfter != 0 {
		w.duration(8, o.RetryAfter)
	}
	if o.Yield != nil {
		w.message(9, func() { yieldToWire(w, p, o.Yield) })
	}
	if o.Kind == OutcomeSucceeded {
		w.text(3, o.Result.ContentType)
		w.flag(10, o.Result.Stored)
		w.lastPayload(2, p, pb.Part_PART_RESULT, o.Result.Data)
	}
}

func yieldToWire(w *messageWriter, p *packer, y *Yield) {
	if at := timeToWire(y.Until); at != nil {
		w.message(1, func() {
			w.number(1, uint64(at.GetSeconds()))
			w.number(2, uint64(at.GetNanos()))
		})
	}
	for _, id := range y.Children {
		w.entry(2, id)
	}
	w.flag(3, y.Resume)
	w.payload(4, p, pb.Part_PART_CHECKPOINT, y.Checkpoint)
	w.flag(5, y.Checkpoint == nil)
	w.flag(6, y.AllChildren)
}

// finishedInline says whether all payloads of f stand in it.
func finishedInline(f *pb.Finished) bool {
	o := f.GetOutcome()
	return o.GetResult().GetChunked() == 0 && o.GetYield().GetCheckpoint().GetChunked() == 0
}

// outcomeFromWire reads a report, and bounds it as the SDK's own half does: a plugin in
// another language may not have. It waits for payloads that are chunked. A report
// that makes no sense is an outcome as well: the attempt is over either way.
func outcomeFromWire(ctx context.Context, f *pb.Finished, t Token, a *assembler) Outcome {
	w := f.GetOutcome()
	o := Outcome{Kind: kindFromWire(w.GetKind()), Code: w.GetCode(), Message: w.GetMessage(), Details: w.GetDetails(),
		Permanent: w.GetPermanent(), RetryAfter: max(w.GetRetryAfter().AsDuration(), 0)}
	switch o.Kind {
	case 0:
		return protocolError(fmt.Sprintf("the plugin reports an outcome of unknown kind %d", w.GetKind()))
	case OutcomeSucceeded:
		data, err := a.unpack(ctx, w.GetResult(), chunkKey{t, pb.Part_PART_RESULT, f.GetSeq()})
		if err != nil {
			return brokenPayload("result", err)
		}
		o.Result = Result{ContentType: w.GetContentType(), Data: data, Stored: w.GetResultStored()}
	case OutcomeYielded:
		y := w.GetYield()
		if y == nil {
			return protocolError("the plugin reports a yield without saying until when")
		}
		if y.Until != nil && !y.Until.IsValid() {
			return protocolError("the plugin reports a yield until a time that is not between the years 1 and 9999")
		}
		o.Yield = &Yield{Until: timeFromWire(y.GetUntil()), Children: y.GetChildren(), AllChildren: y.GetAllChildren(), Resume: y.GetResume()}
		if y.GetKeepCheckpoint() {
			break
		}
		data, err := a.unpack(ctx, y.GetCheckpoint(), chunkKey{t, pb.Part_PART_CHECKPOINT, f.GetSeq()})
		if err != nil {
			return brokenPayload("checkpoint", err)
		}
		o.Yield.Checkpoint = data
	case OutcomeFailed:
		if o.Code == "" {
			o.Code = CodeScriptFailed
		}
	}
	return bounded(o, 0)
}

// brokenPayload tells a plugin that sends nonsense from one that went away.
func brokenPayload(what string, err error) Outcome {
	if errors.Is(err, errTooManyBytes) { // by its neighbors: a later attempt may find room
		return Outcome{Kind: OutcomeFailed, Code: CodeExecutorFailed, Message: "the " + what + " did not arrive: " + err.Error()}
	}
	if errors.Is(err, errStreamGone) {
		return lostOutcome("its " + what + " did not arrive: " + err.Error())
	}
	return protocolError("the " + what + " did not arrive: " + err.Error())
}

func protocolError(message string) Outcome {
	return Outcome{Kind: OutcomeFailed, Code: CodeProtocolError, Permanent: true, Message: message}
}

func lostOutcome(why string) Outcome {
	return Outcome{Kind: OutcomeLost, Code: CodeExecutorLost, Message: "the attempt was lost: " + why}
}

// notBegun is the outcome of an attempt that is not begun here. One that is to be joined has
// begun before, and may have done anything.
func notBegun(rejoin bool, why string) Outcome {
	if rejoin {
		return lostOutcome(why)
	}
	return Outcome{Kind: OutcomeReleased, Message: why}
}
