package remotequeue

import (
	"time"

	"github.com/taskhost/taskhost/sdk"
)

type token = sdk.Token

// kind is what an item of a batch says.
type kind uint8

// From a worker to the host.
const (
	kindAsk        kind = iota + 1 // accepted; may it start?
	kindFinished                   // how it ended; repeated until acked
	kindCheckpoint                 // repeated until acked
	kindHandback                   // accepted, and surely not started
	kindProgress                   // never repeated
	kindLog
)

// From the host to a worker.
const (
	kindGo       kind = iota + 32 // it is on record: start
	kindRefuse                    // nothing of this token is wanted
	kindAck                       // seq 0: the outcome is committed; else that checkpoint
	kindCancel                    // end its context, for the cause given
	kindDismiss                   // the worker's session ends, for the reason in text
	kindDescribe                  // say in the next heartbeat what you run
	kindDeny                      // the checkpoint seq was not taken
	kindPut                       // the bytes of its result are not with this process of the host
)

// item is one thing said about an attempt. Which fields count is the kind's.
type item struct {
	kind    kind
	token   token
	seq     uint64
	timeout time.Duration // go
	cause   cause
	outcome sdk.Outcome // finished
	data    []byte      // checkpoint
	ref     bool        // … which is at the host already
	host    string      // finished: the process of the host that has a Stored result; put: the one that asks
	text    string      // progress, log, refuse, deny
	done    int64
	total   int64
	at      time.Time // log
	level   int       // hclog's
	args    []string
	dropped uint64 // lines of this attempt dropped before this one
}

type cause uint8

const (
	causeCancel cause = iota + 1
	causeTimeout
	causePause
)

func (c cause) err() error {
	switch c {
	case causeTimeout:
		return sdk.ErrTimeout
	case causePause:
		return sdk.ErrPause
	}
	return sdk.ErrCancel
}

// appendItem writes it behind its length.
func appendItem(b []byte, it *item) []byte {
	var small [128]byte
	body := append(append(small[:0], byte(it.kind)), it.token[:]...)
	switch it.kind {
	case kindGo:
		body = putInt(body, int64(it.timeout))
	case kindFinished:
		body = putString(appendOutcome(body, it.outcome), it.host)
	case kindPut:
		body = putString(body, it.host)
	case kindCheckpoint:
		body = putBytes(putBool(putUint(body, it.seq), it.ref), it.data)
	case kindAck:
		body = putUint(body, it.seq)
	case kindDeny:
		body = putString(putUint(body, it.seq), it.text)
	case kindCancel:
		body = append(body, byte(it.cause))
	case kindRefuse, kindDismiss:
		body = putString(body, it.text)
	case kindProgress:
		body = putString(putInt(putInt(body, it.done), it.total), it.text)
	case kindLog:
		body = putUint(putInt(putTime(body, it.at), int64(it.level)), it.dropped)
		body = putUint(putString(body, it.text), uint64(len(it.args)))
		for _, a := range it.args {
			body = putString(body, a)
		}
	}
	return putBytes(b, body)
}

func decodeItem(b []byte) (item, error) {
	d := decoder{b: b}
	var it item
	if k := d.take(1); len(k) == 1 {
		it.kind = kind(k[0])
	}
	it.token = d.token()
	switch it.kind {
	case kindGo:
		it.timeout = time.Duration(d.int())
	case kindFinished:
		it.outcome, it.host = decodeOutcome(&d), d.string()
		if d.bad && it.token != (token{}) { // the attempt is over, whatever came of it
			d.bad, it.outcome = false, protocolError("the worker reports an outcome that cannot be read")
		}
	case kindPut:
		it.host = d.string()
	case kindCheckpoint:
		it.seq, it.ref = d.uint(), d.bool()
		it.data = d.bytes()
	case kindAck:
		it.seq = d.uint()
	case kindDeny:
		it.seq, it.text = d.uint(), d.string()
	case kindCancel:
		if c := d.take(1); len(c) == 1 {
			it.cause = cause(c[0])
		}
	case kindRefuse, kindDismiss:
		it.text = d.string()
	case kindProgress:
		it.done, it.total, it.text = d.int(), d.int(), d.string()
	case kindLog:
		it.at, it.level, it.dropped = d.time(), int(d.int()), d.uint()
		it.text = d.string()
		it.args = d.strings()
	}
	return it, d.err()
}

// decodeBatch hands each item of a message to handle, which may keep it. It returns
// how many items could not be read; an error means that the message is none of ours.
func decodeBatch(b []byte, handle func(item)) (bad int, err error) {
	if len(b) == 0 || b[0] != formatVersion {
		return 0, errGarbage
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
		if has := d.bool(); has {
			y.Checkpoint = append([]byte{}, d.bytes()...)
		}
		o.Yield = y
	}
	if o.Kind < sdk.OutcomeSucceeded || o.Kind > sdk.OutcomeInterrupted || (o.Kind == sdk.OutcomeYielded) != (o.Yield != nil) {
		return protocolError("the worker reports an outcome that makes no sense")
	}
	return checkOutcome(o)
}
