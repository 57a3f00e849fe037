package wire

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// Action is what is done with a task.
type Action uint8

// The actions, as they travel.
const (
	ActionExecute Action = iota + 1
	ActionRevert
)

// Start is one attempt as the broker carries it. Payloads that are too large for
// a message stay with the host, and the worker fetches them by the token.
type Start struct {
	Action Action
	Task   sdk.Task
	// Children are the task's, as sdk.EncodeChildren writes them.
	Children []byte
	// refs says which payloads the host keeps.
	RefInput, RefCheckpoint, RefResult, RefChildren bool
}

// AppendStart writes the start of t behind what b has, so that it takes at most limit bytes, leaving
// the largest payloads out first: refs says that it left some. It does not fit if
// even that is not enough: body is b as it was then. A secret input is always left out: brokers write
// what they carry.
func AppendStart(b []byte, act Action, t *sdk.Task, limit int) (body []byte, refs, fits bool) {
	s := Start{Action: act, Task: *t, Children: sdk.EncodeChildren(t.Children)}
	if t.Secret {
		s.Task.Input = nil
		s.RefInput = true
		refs = true
	}
	for {
		if n := s.payloadSize(); n <= limit {
			if body := appendStart(slices.Grow(b, n+256), &s); len(body)-len(b) <= limit {
				return body, refs, true
			}
		}
		if !s.dropLargest() {
			return b, refs, false
		}
		refs = true
	}
}

// StartFits says that the start of t surely takes at most limit bytes, with all payloads. Where it
// does not say so AppendStart tells.
func StartFits(t *sdk.Task, limit int) bool {
	const fixed = 512 // numbers, flags, and how long the rest is, but for maps
	s := Start{Task: *t}
	n := fixed + s.payloadSize() + len(t.ID) + len(t.Type)
	for _, m := range []map[string]string{t.Labels, t.Route, t.Trace} {
		for k, v := range m {
			n += 2*binary.MaxVarintLen64 + len(k) + len(v)
		}
	}
	if t.Result != nil {
		n += len(t.Result.ContentType)
	}
	if t.Failure != nil {
		n += len(t.Failure.Code) + len(t.Failure.Message)
	}
	return n <= limit && len(t.Children) == 0 && !t.Secret
}

func (s *Start) payloadSize() int {
	n := len(s.Task.Input) + len(s.Task.Checkpoint) + len(s.Children)
	if s.Task.Result != nil {
		n += len(s.Task.Result.Data)
	}
	return n
}

// dropLargest leaves the largest payload to the host.
func (s *Start) dropLargest() bool {
	var result []byte
	if s.Task.Result != nil {
		result = s.Task.Result.Data
	}
	switch n := max(len(s.Task.Input), len(s.Task.Checkpoint), len(s.Children), len(result)); {
	case n == 0:
		return false
	case n == len(s.Task.Input):
		s.Task.Input = nil
		s.RefInput = true
	case n == len(s.Task.Checkpoint):
		s.Task.Checkpoint = nil
		s.RefCheckpoint = true
	case n == len(s.Children):
		s.Children = nil
		s.RefChildren = true
	default:
		r := *s.Task.Result
		r.Data = nil
		s.Task.Result = &r
		s.RefResult = true
	}
	return true
}

func appendStart(b []byte, s *Start) []byte {
	t := &s.Task
	b = append(b, FormatVersion, byte(s.Action))
	b = append(b, t.Token[:]...)
	b = putInt(putString(putString(b, t.ID), t.Type), int64(t.Attempt))
	b = putInt(b, int64(t.Timeout))
	b = putMap(putMap(putMap(b, t.Labels), t.Route), t.Trace)
	b = putBytes(putBool(b, s.RefInput), t.Input)
	b = putBytes(putBool(putBool(b, t.Checkpoint != nil), s.RefCheckpoint), t.Checkpoint)
	if b = putBool(b, t.Result != nil); t.Result != nil {
		b = putBytes(putBool(putString(b, t.Result.ContentType), s.RefResult), t.Result.Data)
	}
	if b = putBool(b, t.Failure != nil); t.Failure != nil {
		b = putString(putString(b, t.Failure.Code), t.Failure.Message)
	}
	b = putBytes(putBool(putBool(b, t.Suspect), s.RefChildren), s.Children)
	return putBool(b, t.Secret)
}

// StartToken is the token of a start that appendStart wrote, of several in a message that of
// the first; zero if it is none.
func StartToken(b []byte) (t sdk.Token) {
	if len(b) >= startHead {
		copy(t[:], b[2:startHead])
	}
	return t
}

// startHead is how many bytes a start has up to the end of its token: the format's version,
// the action and the token.
const startHead = 2 + len(sdk.Token{})

// MaxStarts is how many starts one message carries at the most.
const MaxStarts = 64

// JoinStarts makes one message of several starts. All but the first are a field at the first
// one's end: a worker of an earlier version passes over it. It keeps none of them.
func JoinStarts(starts [][]byte) []byte {
	if len(starts) == 1 {
		return bytes.Clone(starts[0])
	}
	further := 0
	for _, s := range starts[1:] {
		further += uintSize(uint64(len(s))) + len(s)
	}
	b := append(make([]byte, 0, len(starts[0])+uintSize(uint64(further))+further), starts[0]...)
	b = putUint(b, uint64(further))
	for _, s := range starts[1:] {
		b = putBytes(b, s)
	}
	return b
}

// uintSize is how many bytes putUint writes.
func uintSize(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// DecodeStarts reads the starts of a message. Bad counts those that make no sense; an error
// means that it begins with none.
func DecodeStarts(b []byte) (starts []Start, bad int, err error) {
	first, further, err := decodeStart(b)
	if err != nil {
		return nil, 0, err
	}
	if len(further) > 0 {
		first.copyPayloads()
	}
	starts = append(make([]Start, 0, 1+min(countStarts(further), MaxStarts)), first)
	for d := (decoder{b: further}); len(d.b) > 0; {
		body := d.bytes()
		if len(starts)+bad >= MaxStarts {
			return starts, bad + 1, nil
		}
		s, _, err := decodeStart(body)
		if err != nil {
			bad++
			continue
		}
		s.copyPayloads()
		starts = append(starts, s)
	}
	return starts, bad, nil
}

// countStarts is how many there are behind the first of a message, about.
func countStarts(further []byte) (n int) {
	for d := (decoder{b: further}); len(d.b) > 0; n++ {
		d.bytes()
	}
	return n
}

// copyPayloads makes the payloads the start's own: one that runs long does not keep what came
// in the same message.
func (s *Start) copyPayloads() {
	t := &s.Task
	t.Input, t.Checkpoint, s.Children = bytes.Clone(t.Input), bytes.Clone(t.Checkpoint), bytes.Clone(s.Children)
	if t.Result != nil {
		t.Result.Data = bytes.Clone(t.Result.Data)
	}
}

// DecodeStart reads the first start of a message. The payloads are part of b.
func DecodeStart(b []byte) (Start, error) {
	s, _, err := decodeStart(b)
	return s, err
}

// decodeStart reads what appendStart wrote. Further are the starts that came with it.
func decodeStart(b []byte) (s Start, further []byte, err error) {
	if len(b) < 2 || b[0] != FormatVersion {
		return s, nil, ErrGarbled
	}
	s.Action = Action(b[1])
	d := decoder{b: b[2:]}
	t := &s.Task
	t.Token = d.token()
	t.ID, t.Type, t.Attempt = d.string(), d.string(), int(d.int())
	t.Timeout = max(time.Duration(d.int()), 0)
	t.Labels, t.Route, t.Trace = d.stringMap(), d.stringMap(), d.stringMap()
	s.RefInput, t.Input = d.bool(), d.bytes()
	has := d.bool()
	s.RefCheckpoint, t.Checkpoint = d.bool(), d.bytes()
	if has && t.Checkpoint == nil {
		t.Checkpoint = []byte{}
	}
	if d.bool() {
		t.Result = &sdk.Result{ContentType: d.string()}
		s.RefResult, t.Result.Data = d.bool(), d.bytes()
	}
	if d.bool() {
		t.Failure = &sdk.Failure{Code: d.string(), Message: d.string()}
	}
	t.Suspect = d.bool()
	s.RefChildren, s.Children = d.bool(), d.bytes()
	t.Secret = d.bool()
	further = d.bytes()
	if d.bad || t.Type == "" || t.Token == (sdk.Token{}) || s.Action != ActionExecute && s.Action != ActionRevert {
		return Start{}, nil, ErrGarbled
	}
	return s, further, nil
}
