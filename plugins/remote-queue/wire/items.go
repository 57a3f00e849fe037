package wire

import (
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// ItemKind is what an item of a batch says.
type ItemKind uint8

// From a worker to the host.
const (
	// KindAsk asks whether an accepted attempt may start. It is repeated until the host
	// answers with KindGo or KindRefuse.
	KindAsk ItemKind = iota + 1
	// KindFinished says how an attempt ended. It is repeated until the host acks it.
	KindFinished
	// KindCheckpoint has a checkpoint put on record. It is repeated until it is acked or
	// denied.
	KindCheckpoint
	// KindHandback gives back an attempt that was accepted and surely not started.
	KindHandback
	// KindProgress says how far an attempt is. It is never repeated.
	KindProgress
	// KindLog is one line of an attempt. It is never repeated.
	KindLog
	// KindSpawn has a child made. It is repeated until it is answered with KindSpawned or
	// denied.
	KindSpawn
)

// From the host to a worker.
const (
	// KindGo says that the worker is on record as the attempt's: it may start.
	KindGo ItemKind = iota + 32
	// KindRefuse says that nothing of a token is wanted from this worker.
	KindRefuse
	// KindAck says that the checkpoint Seq is on record, or that the outcome is where Seq
	// is 0.
	KindAck
	// KindCancel has the attempt's context end, for Cause.
	KindCancel
	// KindDismiss ends the worker's session, for the reason in Text.
	KindDismiss
	// KindDescribe has the worker say in its next heartbeat what it is.
	KindDescribe
	// KindDeny says that the checkpoint Seq was not put on record, or the child not made, and
	// in Text why; in the Outcome's Permanent and RetryAfter whether it is worth another try.
	KindDeny
	// KindPut says that the bytes of an attempt's result are not with HostProcess.
	KindPut
	// KindSpawned says that the child Seq is on record; Text is its id.
	KindSpawned
)

// Item is one thing said about an attempt. Its kind says which fields count; the others
// do not travel. What a decoded item points to is part of the message it came in.
type Item struct {
	Kind  ItemKind
	Token sdk.Token
	// Seq numbers the checkpoints and children of an attempt, from 1.
	Seq uint64
	// Timeout is how long the attempt may run from KindGo on; 0 for ever.
	Timeout time.Duration
	Cause   StopCause
	Outcome sdk.Outcome
	// Data is a checkpoint, and atHost says that the host has its bytes already; or it is the
	// input of a child.
	Data   []byte
	atHost bool
	// Child is what is asked for a child, all but its input.
	Child *sdk.Child
	// HostProcess is the process of the host that has a result which is Stored, or, in
	// KindPut, the one that asks for it.
	HostProcess string
	// Text is what progress, a line, a refusal or a denial says.
	Text string
	// Done and Total are progress.
	Done  int64
	Total int64
	// At, Level (hclog's) and Args are those of a line, and DroppedLines counts the lines
	// of the attempt that were dropped before it.
	At           time.Time
	Level        int
	Args         []string
	DroppedLines uint64
}

// StopCause is why an attempt is to stop before its time.
type StopCause uint8

// The causes, as they travel.
const (
	CauseCancel StopCause = iota + 1
	CauseTimeout
	CausePause
)

// Err is the cause of the context that ends.
func (c StopCause) Err() error {
	switch c {
	case CauseTimeout:
		return sdk.ErrTimeout
	case CausePause:
		return sdk.ErrPause
	}
	return sdk.ErrCancel
}

// AppendItem writes it behind its length.
func AppendItem(b []byte, it *Item) []byte {
	var small [128]byte
	body := append(append(small[:0], byte(it.Kind)), it.Token[:]...)
	switch it.Kind {
	case KindGo:
		body = putInt(body, int64(it.Timeout))
	case KindFinished:
		body = putString(appendOutcome(body, it.Outcome), it.HostProcess)
		body = putBool(body, it.Outcome.Yield != nil && it.Outcome.Yield.AllChildren)
	case KindPut:
		body = putString(body, it.HostProcess)
	case KindCheckpoint:
		body = putBytes(putBool(putUint(body, it.Seq), it.atHost), it.Data)
	case KindAck:
		body = putUint(body, it.Seq)
	case KindDeny:
		body = putString(putUint(body, it.Seq), it.Text)
		body = putInt(putBool(body, it.Outcome.Permanent), int64(it.Outcome.RetryAfter))
	case KindSpawn:
		body = putBytes(appendChild(putUint(body, it.Seq), it.Child), it.Data)
	case KindSpawned:
		body = putString(putUint(body, it.Seq), it.Text)
	case KindCancel:
		body = append(body, byte(it.Cause))
	case KindRefuse, KindDismiss:
		body = putString(body, it.Text)
	case KindProgress:
		body = putString(putInt(putInt(body, it.Done), it.Total), it.Text)
	case KindLog:
		body = putUint(putInt(putTime(body, it.At), int64(it.Level)), it.DroppedLines)
		body = putUint(putString(body, it.Text), uint64(len(it.Args)))
		for _, a := range it.Args {
			body = putString(body, a)
		}
	}
	return putBytes(b, body)
}

func decodeItem(b []byte) (Item, error) {
	d := decoder{b: b}
	var it Item
	if k := d.take(1); len(k) == 1 {
		it.Kind = ItemKind(k[0])
	}
	it.Token = d.token()
	switch it.Kind {
	case KindGo:
		it.Timeout = time.Duration(d.int())
	case KindFinished:
		it.Outcome, it.HostProcess = decodeOutcome(&d), d.string()
		if all := d.bool(); it.Outcome.Yield != nil {
			it.Outcome.Yield.AllChildren = all
		}
		if d.bad && it.Token != (sdk.Token{}) { // the attempt is over, whatever came of it
			d.bad, it.Outcome = false, ProtocolError("the worker reports an outcome that cannot be read")
		}
	case KindPut:
		it.HostProcess = d.string()
	case KindCheckpoint:
		it.Seq, it.atHost = d.uint(), d.bool()
		it.Data = d.bytes()
	case KindAck:
		it.Seq = d.uint()
	case KindDeny:
		it.Seq, it.Text = d.uint(), d.string()
		it.Outcome.Permanent, it.Outcome.RetryAfter = d.bool(), max(time.Duration(d.int()), 0)
	case KindSpawn:
		it.Seq, it.Child = d.uint(), decodeChild(&d)
		it.Data = d.bytes()
	case KindSpawned:
		it.Seq, it.Text = d.uint(), d.string()
	case KindCancel:
		if c := d.take(1); len(c) == 1 {
			it.Cause = StopCause(c[0])
		}
	case KindRefuse, KindDismiss:
		it.Text = d.string()
	case KindProgress:
		it.Done, it.Total, it.Text = d.int(), d.int(), d.string()
	case KindLog:
		it.At, it.Level, it.DroppedLines = d.time(), int(d.int()), d.uint()
		it.Text = d.string()
		it.Args = d.strings()
	}
	return it, d.err()
}

// DecodeBatch hands each item of a message to handle, which may keep it. It returns
// how many items could not be read; an error means that the message is none of ours.
func DecodeBatch(b []byte, handle func(Item)) (bad int, err error) {
	if len(b) == 0 || b[0] != FormatVersion {
		return 0, ErrGarbled
	}
	d := decoder{b: b[1:]}
	for len(d.b) > 0 {
		body := d.bytes()
		if d.bad {
			return bad + 1, nil
		}
		it, err := decodeItem(body)
		if err != nil {
			bad++
			continue
		}
		handle(it)
	}
	return bad, nil
}
