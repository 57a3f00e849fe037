package sdk

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// bytesOf is a frame of messages as it is sent.
func bytesOf(tb testing.TB, messages ...wireMessage) []byte {
	tb.Helper()
	data, err := newFrameCodec().Marshal(sentFrame(messages))
	if err != nil {
		tb.Fatal(err)
	}
	return data.Materialize()
}

// hostMessagesOf reads messages that were written for a frame as protobuf does.
func hostMessagesOf(tb testing.TB, messages ...wireMessage) []*pb.HostMessage {
	tb.Helper()
	frame := &pb.ControlRequest{}
	if err := proto.Unmarshal(bytesOf(tb, messages...), frame); err != nil {
		tb.Fatal(err)
	}
	return frame.GetMessages()
}

// pluginMessagesOf is hostMessagesOf of what a plugin says.
func pluginMessagesOf(tb testing.TB, messages ...wireMessage) []*pb.PluginMessage {
	tb.Helper()
	frame := &pb.ControlResponse{}
	if err := proto.Unmarshal(bytesOf(tb, messages...), frame); err != nil {
		tb.Fatal(err)
	}
	return frame.GetMessages()
}

// bodyOf is what a reader of frames gives of the one message of a frame.
func bodyOf(tb testing.TB, message wireMessage, messages protowire.Number) (body []byte) {
	tb.Helper()
	err := eachMessage(bytesOf(tb, message), messages, func(message []byte) error {
		body = message
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

// plainTask is a task of which all that is common is set.
var plainTask = Task{ID: "01990f4e-0000-7000-8000-000000000000", Type: "a", Attempt: 3, Token: Token{1, 2}, Input: []byte(`{"a":1}`), Priority: -7,
	Timeout: time.Minute + 1, Labels: map[string]string{"k": "v", "": ""}, Trace: map[string]string{"traceparent": "00"}}

// All that an executor may go by in what it does with an attempt crosses, as it is.
func TestStartCrosses(t *testing.T) {
	all := plainTask
	all.Checkpoint = []byte{}
	all.Handle = []byte("h")
	all.Rejoin = true
	all.Suspect = true
	all.Secret = true
	all.Route = map[string]string{"zone": "b"}
	all.MinVersion = "1.2.0"
	all.Children = []ChildStatus{{Name: "c", ID: "1", Type: "t", State: "pending"}}
	all.Result = &Result{ContentType: "x/y", Data: []byte("r")}
	all.Failure = &Failure{Code: "c", Message: "m"}
	for _, in := range []Task{{Type: "a"}, plainTask, all} {
		message, chunks := startToWire(&in, EncodeChildren(in.Children), pb.Action_ACTION_REVERT, time.Now())
		m := hostMessagesOf(t, message)[0].GetStart()
		out, err := taskFromWire(t.Context(), m, in.Token, time.Time{}, newAssembler())
		if err != nil || !reflect.DeepEqual(in, out) || m.GetAction() != pb.Action_ACTION_REVERT || !bytes.Equal(m.GetToken(), in.Token[:]) || len(chunks) > 0 {
			t.Errorf("%+v became %+v, %v", in, out, err)
		}
	}
	large := Task{Input: make([]byte, inlineBytes+1), Deadline: time.Now().Add(time.Hour)}
	message, chunks := startToWire(&large, nil, pb.Action_ACTION_UNSPECIFIED, time.Now())
	m := hostMessagesOf(t, message)[0].GetStart()
	if m.GetInput().GetChunked() != inlineBytes+1 || len(chunks) != 2 || !bytes.Equal(chunks[1].GetToken(), m.GetToken()) {
		t.Errorf("a large input: %v, %d chunks", m, len(chunks))
	}
	if left := m.GetRemaining().AsDuration(); left <= 0 || left > time.Hour {
		t.Errorf("%s remain of an hour", left)
	}
}

// All that an outcome may be crosses, as it is.
func TestOutcomeCrosses(t *testing.T) {
	for _, in := range []Outcome{
		{Kind: OutcomeSucceeded, Result: Result{ContentType: ContentJSON, Data: []byte("null")}},
		{Kind: OutcomeSucceeded, Result: Result{ContentType: "x/y", Data: []byte{}, Stored: true}},
		{Kind: OutcomeFailed, Code: "c", Message: "m", Details: map[string]string{"a": "", "": "b"}, Permanent: true, RetryAfter: time.Hour + 1},
		{Kind: OutcomeLost, Code: CodeExecutorLost, Message: "gone"},
		{Kind: OutcomeYielded, Yield: &Yield{Until: time.Unix(1e9, 5).UTC(), Checkpoint: []byte("c")}},
		{Kind: OutcomeYielded, Yield: &Yield{Until: time.Unix(-1e9, 0).UTC(), Checkpoint: []byte{}}},
		{Kind: OutcomeYielded, Yield: &Yield{Children: []string{"a", ""}, AllChildren: true, Resume: true}},
	} {
		message, chunks := finishedToWire(Token{9}, 3, 7, &in)
		m := pluginMessagesOf(t, message)[0].GetFinished()
		out := outcomeFromWire(t.Context(), m, Token{9}, newAssembler())
		if !reflect.DeepEqual(in, out) || m.GetSeq() != 3 || m.GetData() != 7 || !bytes.Equal(m.GetToken(), append([]byte{9}, make([]byte, 15)...)) || len(chunks) > 0 {
			t.Errorf("%+v became %+v in %v", in, out, m)
		}
	}
	message, chunks := finishedToWire(Token{9}, 3, 0, &Outcome{Kind: OutcomeSucceeded, Result: Result{Data: make([]byte, inlineBytes+1)}})
	if got := pluginMessagesOf(t, message)[0].GetFinished().GetOutcome().GetResult().GetChunked(); got != inlineBytes+1 || len(chunks) != 2 || chunks[1].GetSeq() != 3 {
		t.Errorf("%d bytes of a result are announced, in %d chunks", got, len(chunks))
	}
}

// What most attempts say is not left to protobuf, which would be slower.
func TestCommonMessagesArePlain(t *testing.T) {
	task := plainTask
	task.Deadline = time.Now().Add(time.Minute)
	start, _ := startToWire(&task, nil, pb.Action_ACTION_UNSPECIFIED, time.Now())
	if !new(plainStart).read(bodyOf(t, start, hostMessages)) {
		t.Error("a start")
	}
	for _, o := range []Outcome{{Kind: OutcomeSucceeded, Result: Result{ContentType: ContentJSON, Data: []byte("null")}},
		{Kind: OutcomeFailed, Code: CodeScriptFailed, Message: "m", Permanent: true}} {
		finished, _ := finishedToWire(Token{}, 1, 1, &o)
		if !new(plainFinished).read(bodyOf(t, finished, pluginMessages)) {
			t.Errorf("a finished that %s", o.Kind)
		}
	}
}

// A text that is not UTF-8 ends no connection.
func TestTextsAreUTF8(t *testing.T) {
	message, _ := startToWire(&Task{Type: "a\xff", Labels: map[string]string{"k": "\xff"}}, nil, pb.Action_ACTION_UNSPECIFIED, time.Now())
	if m := hostMessagesOf(t, message)[0].GetStart(); m.GetType() != "a\ufffd" || m.GetLabels()["k"] != "\ufffd" {
		t.Errorf("it became %v", m)
	}
}

// Whatever bytes come as a frame: its messages are those that protobuf finds.
func FuzzFrame(f *testing.F) {
	start, _ := startToWire(&plainTask, nil, pb.Action_ACTION_UNSPECIFIED, time.Now())
	f.Add(slices.Concat([]byte{1 << 3, 9}, bytesOf(f, start, start), []byte{1<<3 | 2, 1, 'x', 3<<3 | 3, 3<<3 | 4}))
	f.Add([]byte{2<<3 | 2, 200})
	f.Fuzz(func(t *testing.T, frame []byte) {
		want := &pb.ControlRequest{}
		err := proto.Unmarshal(frame, want)
		var got []*pb.HostMessage
		ours := eachMessage(frame, hostMessages, func(message []byte) error {
			m := &pb.HostMessage{}
			got = append(got, m)
			return proto.Unmarshal(message, m)
		})
		if (err == nil) != (ours == nil) {
			t.Fatalf("protobuf says %v, and this %v", err, ours)
		}
		if err == nil && !proto.Equal(&pb.ControlRequest{Messages: got}, &pb.ControlRequest{Messages: want.GetMessages()}) {
			t.Errorf("%v, want %v", got, want.GetMessages())
		}
	})
}

// Whatever bytes come as a message: what is read as plain is what protobuf reads, and nothing of
// it but its token goes with the bytes.
func FuzzPlainMessages(f *testing.F) {
	used := plainTask
	used.Deadline = time.Now().Add(time.Hour)
	start, _ := startToWire(&used, nil, pb.Action_ACTION_UNSPECIFIED, time.Now())
	usedStart := bodyOf(f, start, hostMessages)
	f.Add(usedStart)
	finished, _ := finishedToWire(Token{1}, 2, 3, &Outcome{Kind: OutcomeSucceeded, Message: "m", Code: "c", Permanent: true, Result: Result{ContentType: "x/y", Data: []byte("null")}})
	usedFinished := bodyOf(f, finished, pluginMessages)
	f.Add(usedFinished)
	for _, o := range []Outcome{{Kind: OutcomeSucceeded, Result: Result{ContentType: "x/y", Data: []byte("null")}}, {Kind: OutcomeFailed, Code: "c", Message: "m", Permanent: true}} {
		finished, _ := finishedToWire(Token{1}, 2, 3, &o)
		f.Add(bodyOf(f, finished, pluginMessages))
	}
	add := func(m proto.Message) {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(append(b, b...))
	}
	add(&pb.HostMessage{Kind: &pb.HostMessage_Start{Start: &pb.Start{Remaining: &durationpb.Duration{Seconds: -1, Nanos: -1}, Input: &pb.Payload{Chunked: 1}, Children: &pb.Payload{}}}})
	add(&pb.HostMessage{Kind: &pb.HostMessage_Start{Start: &pb.Start{Input: &pb.Payload{}, Remaining: &durationpb.Duration{}, Labels: map[string]string{"": "x"}}}})
	add(&pb.PluginMessage{Kind: &pb.PluginMessage_Finished{Finished: &pb.Finished{Outcome: &pb.Outcome{Kind: -1, Result: &pb.Payload{Inline: []byte("x")}}}}})
	f.Add([]byte{1<<3 | 2, 3, 3<<3 | 2, 1, 0xff})       // no UTF-8
	f.Add([]byte{1<<3 | 2, 4, 3 << 3, 1, 4 << 3, 0x80}) // the wrong kind, and cut short
	f.Add([]byte{1<<3 | 2, 4, 9<<3 | 2, 0, 10<<3 | 2, 0})
	f.Add([]byte{1<<3 | 2, 7, 5<<3 | 2, 3, 1<<3 | 2, 1, 'x', 5<<3 | 2, 0}) // what is said twice is one
	f.Add([]byte{1<<3 | 2, 6, 9<<3 | 2, 2, 1 << 3, 1, 9<<3 | 2, 0})
	f.Add([]byte{1<<3 | 2, 7, 10<<3 | 2, 3, 1 << 3, 0x80, 0x01, 10<<3 | 2, 0})
	f.Add([]byte{5<<3 | 2, 6, 3<<3 | 2, 2, 1 << 3, 1, 3<<3 | 2, 0})
	f.Add([]byte{5<<3 | 2, 9, 3<<3 | 2, 7, 2<<3 | 2, 3, 1<<3 | 2, 1, 'x', 2<<3 | 2, 0})
	f.Add([]byte{5<<3 | 2, 4, 3<<3 | 2, 2, 7 << 3, 2}) // a flag of another number
	f.Fuzz(func(t *testing.T, message []byte) {
		var s plainStart
		var p plainFinished
		if !s.read(usedStart) || !p.read(usedFinished) { // the room was used
			t.Fatal("what is plain is not read")
		}
		check(t, message, s.read, func() (proto.Message, *[]byte) { return &s.start, &s.start.Token }, func() (proto.Message, error) {
			m := &pb.HostMessage{}
			err := proto.Unmarshal(message, m)
			return m.GetStart(), err
		})
		check(t, message, p.read, func() (proto.Message, *[]byte) { return &p.finished, &p.finished.Token }, func() (proto.Message, error) {
			m := &pb.PluginMessage{}
			err := proto.Unmarshal(message, m)
			return m.GetFinished(), err
		})
		if read := s.read(message); read && !startInline(&s.start) {
			t.Error("a plain start has payloads elsewhere")
		}
		if read := p.read(message); read && !finishedInline(&p.finished) {
			t.Error("a plain finished has payloads elsewhere")
		}
	})
}

// check compares what read made of a message, which got gives with its token, with what protobuf makes.
func check(t *testing.T, message []byte, read func([]byte) bool, got func() (proto.Message, *[]byte), want func() (proto.Message, error)) {
	t.Helper()
	theirs, err := want()
	bytesOfFrame := bytes.Clone(message)
	if !read(bytesOfFrame) {
		return
	}
	ours, token := got()
	*token = bytes.Clone(*token)
	clear(bytesOfFrame)
	if err != nil || !proto.Equal(ours, theirs) {
		t.Errorf("%v, want %v, %v", ours, theirs, err)
	}
}

// A frame that is none ends the connection, and the attempts on it, with an error.
func TestBrokenFrame(t *testing.T) {
	c, a := fuzzConnection(t, Token{1})
	stop := errors.New("stop")
	for frame, want := range map[string]string{"\x0a\xff": "unexpected EOF", "\x0a\x01\xff": "cannot parse"} {
		if err := eachMessage([]byte(frame), pluginMessages, c.handleEncoded); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%x: %v", frame, err)
		}
	}
	if err := eachMessage([]byte{1<<3 | 2, 0}, pluginMessages, func([]byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an error of who takes the messages became %v", err)
	}
	if a.ended() {
		t.Error("an attempt has ended over it")
	}
}
