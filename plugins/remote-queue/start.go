package remotequeue

import (
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// taskAction is what is done with a task.
type taskAction uint8

const (
	actExecute taskAction = iota + 1
	actRevert
)

// startMessage is what the stream carries: one attempt. Payloads that are too large for
// a message stay with the host, and the worker fetches them by the token.
type startMessage struct {
	action taskAction
	task   sdk.Task
	// refs says which payloads the host keeps.
	refInput, refCheckpoint, refResult bool
}

// encodeStartWithin writes the start of t so that it takes at most limit bytes, leaving
// the largest payloads out first: refs says that it left some. It does not fit if
// even that is not enough.
func encodeStartWithin(act taskAction, t sdk.Task, limit int) (body []byte, refs, fits bool) {
	s := startMessage{action: act, task: t}
	for {
		if n := s.payloadSize(); n <= limit {
			if b := appendStart(make([]byte, 0, n+256), &s); len(b) <= limit {
				return b, refs, true
			}
		}
		if !s.dropLargest() {
			return nil, refs, false
		}
		refs = true
	}
}

func (s *startMessage) payloadSize() int {
	n := len(s.task.Input) + len(s.task.Checkpoint)
	if s.task.Result != nil {
		n += len(s.task.Result.Data)
	}
	return n
}

// dropLargest leaves the largest payload to the host.
func (s *startMessage) dropLargest() bool {
	var result []byte
	if s.task.Result != nil {
		result = s.task.Result.Data
	}
	switch n := max(len(s.task.Input), len(s.task.Checkpoint), len(result)); {
	case n == 0:
		return false
	case n == len(s.task.Input):
		s.task.Input, s.refInput = nil, true
	case n == len(s.task.Checkpoint):
		s.task.Checkpoint, s.refCheckpoint = nil, true
	default:
		r := *s.task.Result
		r.Data = nil
		s.task.Result, s.refResult = &r, true
	}
	return true
}

func appendStart(b []byte, s *startMessage) []byte {
	t := &s.task
	b = append(b, formatVersion, byte(s.action))
	b = append(b, t.Token[:]...)
	b = putInt(putString(putString(b, t.ID), t.Type), int64(t.Attempt))
	b = putInt(b, int64(t.Timeout))
	b = putMap(putMap(putMap(b, t.Labels), t.Route), t.Trace)
	b = putBytes(putBool(b, s.refInput), t.Input)
	b = putBytes(putBool(putBool(b, t.Checkpoint != nil), s.refCheckpoint), t.Checkpoint)
	if b = putBool(b, t.Result != nil); t.Result != nil {
		b = putBytes(putBool(putString(b, t.Result.ContentType), s.refResult), t.Result.Data)
	}
	if b = putBool(b, t.Failure != nil); t.Failure != nil {
		b = putString(putString(b, t.Failure.Code), t.Failure.Message)
	}
	return putBool(b, t.Suspect)
}

// decodeStart reads what appendStart wrote. The payloads are part of b.
func decodeStart(b []byte) (startMessage, error) {
	var s startMessage
	if len(b) < 2 || b[0] != formatVersion {
		return s, errGarbage
	}
	s.action = taskAction(b[1])
	d := decoder{b: b[2:]}
	t := &s.task
	t.Token = d.token()
	t.ID, t.Type, t.Attempt = d.string(), d.string(), int(d.int())
	t.Timeout = max(time.Duration(d.int()), 0)
	t.Labels, t.Route, t.Trace = d.stringMap(), d.stringMap(), d.stringMap()
	s.refInput, t.Input = d.bool(), d.bytes()
	has := d.bool()
	s.refCheckpoint, t.Checkpoint = d.bool(), d.bytes()
	if has && t.Checkpoint == nil {
		t.Checkpoint = []byte{}
	}
	if d.bool() {
		t.Result = &sdk.Result{ContentType: d.string()}
		s.refResult, t.Result.Data = d.bool(), d.bytes()
	}
	if d.bool() {
		t.Failure = &sdk.Failure{Code: d.string(), Message: d.string()}
	}
	t.Suspect = d.bool()
	if d.bad || t.Type == "" || t.Token == (token{}) || s.action != actExecute && s.action != actRevert {
		return startMessage{}, errGarbage
	}
	return s, nil
}
