package wire

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// What a decoder hands out is the receiver's: the next item of the batch does not
// write over it.
func TestItemsOutliveTheirBatch(t *testing.T) {
	data := []byte{FormatVersion}
	for seq := range uint64(3) {
		data = AppendItem(data, &Item{Kind: KindCheckpoint, Seq: seq, Data: []byte{byte(seq)}})
	}
	var later []func() Item
	if _, err := DecodeBatch(data, func(it Item) { later = append(later, func() Item { return it }) }); err != nil {
		t.Fatal(err)
	}
	for seq, it := range later {
		if got := it(); got.Seq != uint64(seq) || got.Data[0] != byte(seq) {
			t.Errorf("item %d became number %d with %v", seq, got.Seq, got.Data)
		}
	}
}

func sampleItems() []Item {
	tok := sdk.Token{1, 2, 3}
	at := time.Unix(1_800_000_000, 123456789)
	return []Item{
		{Kind: KindAsk, Token: tok},
		{Kind: KindGo, Token: tok, Timeout: time.Minute},
		{Kind: KindRefuse, Token: tok, Text: "why"},
		{Kind: KindAck, Token: tok, Seq: 7},
		{Kind: KindDeny, Token: tok, Seq: 7, Text: "full"},
		{Kind: KindCancel, Token: tok, Cause: CausePause},
		{Kind: KindCheckpoint, Token: tok, Seq: 9, Data: []byte("data")},
		{Kind: KindProgress, Token: tok, Done: 5, Total: -1, Text: "copying"},
		{Kind: KindLog, Token: tok, At: at, Level: 3, Text: "line", Args: []string{"k", "v"}, DroppedLines: 2},
		{Kind: KindHandback, Token: tok}, {Kind: KindDismiss, Text: "why"}, {Kind: KindDescribe},
		{Kind: KindFinished, Token: tok, Outcome: sdk.Outcome{Kind: sdk.OutcomeSucceeded, Result: sdk.Text("hello")}},
		{Kind: KindFinished, Token: tok, Outcome: sdk.Outcome{Kind: sdk.OutcomeSucceeded, Result: sdk.Result{ContentType: "x/y", Stored: true}}, HostProcess: "PROCESS"},
		{Kind: KindPut, Token: tok, HostProcess: "PROCESS"},
		{Kind: KindFinished, Token: tok, Outcome: sdk.Outcome{Kind: sdk.OutcomeFailed, Code: "c", Message: "m", Permanent: true,
			RetryAfter: time.Second, Details: map[string]string{"a": "b", "c": "d"}}},
		{Kind: KindFinished, Token: tok, Outcome: sdk.Outcome{Kind: sdk.OutcomeInterrupted, Message: "m"}},
		{Kind: KindFinished, Token: tok, Outcome: sdk.Outcome{Kind: sdk.OutcomeYielded, Yield: &sdk.Yield{Until: at, Checkpoint: []byte{}}}},
		{Kind: KindFinished, Token: tok, Outcome: sdk.Outcome{Kind: sdk.OutcomeYielded, Yield: &sdk.Yield{Until: time.Unix(250_000_000_000, 5)}}},
		{Kind: KindFinished, Token: tok, Outcome: sdk.Outcome{Kind: sdk.OutcomeYielded, Yield: &sdk.Yield{Children: []string{"a", "b"}}}},
		{Kind: KindFinished, Token: tok, Outcome: sdk.Outcome{Kind: sdk.OutcomeYielded, Yield: &sdk.Yield{Resume: true, Checkpoint: []byte("c")}}},
		{Kind: KindFinished, Token: tok, HostProcess: "PROCESS", Outcome: sdk.Outcome{Kind: sdk.OutcomeYielded, Yield: &sdk.Yield{AllChildren: true}}},
		{Kind: KindSpawn, Token: tok, Seq: 3, Data: []byte(`{"a":1}`), Child: &sdk.Child{Name: "n", Type: "t", Executor: "x", Priority: -3, Labels: map[string]string{"a": "b"},
			Route: map[string]string{"c": "d"}, Timeout: time.Minute, MaxAttempts: 4, MaxLost: new(0), Retain: new(time.Hour), Exclusive: []string{"e"}, Shared: []string{"s", "t"}}},
		{Kind: KindSpawn, Token: tok, Seq: 4, Data: []byte("null"), Child: &sdk.Child{Name: "n", Type: "t"}},
		{Kind: KindSpawned, Token: tok, Seq: 3, Text: "id"},
		{Kind: KindDeny, Token: tok, Seq: 8, Text: "no", Outcome: sdk.Outcome{Permanent: true, RetryAfter: time.Second}},
	}
}

func TestItemsTravel(t *testing.T) {
	want := sampleItems()
	data := []byte{FormatVersion}
	for i := range want {
		data = AppendItem(data, &want[i])
	}
	var got []Item
	bad, err := DecodeBatch(data, func(it Item) { got = append(got, it) })
	if err != nil || bad != 0 {
		t.Fatalf("%d bad, %v", bad, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

// What a later version adds is passed over: kinds of its own, and more at the end of
// a known one.
func TestLaterVersionsAreUnderstood(t *testing.T) {
	tok := sdk.Token{9}
	data := putBytes([]byte{FormatVersion}, append([]byte{200}, tok[:]...))
	data = putBytes(data, append(putUint(append([]byte{byte(KindAck)}, tok[:]...), 5), "more"...))
	var got []Item
	bad, err := DecodeBatch(data, func(it Item) { got = append(got, it) })
	if err != nil || bad != 0 || len(got) != 2 || got[0].Kind != 200 || got[1].Seq != 5 {
		t.Errorf("%+v, %d bad, %v", got, bad, err)
	}
	if _, err := DecodeBatch([]byte{FormatVersion + 1}, func(Item) {}); err == nil {
		t.Error("another format was taken")
	}
}

// Times that nanoseconds in an int64 do not reach travel as they are.
func TestTimesBeyond2262Travel(t *testing.T) {
	for _, c := range []struct {
		in, want time.Time
	}{
		{time.Time{}, time.Time{}},
		{time.Unix(1e9, 5), time.Unix(1e9, 5)},
		{time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)},
		{time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		if got := (&decoder{b: putTime(nil, c.in)}).time(); !got.Equal(c.want) {
			t.Errorf("%s travels as %s", c.in, got)
		}
	}
}

func TestOutcomesThatMakeNoSense(t *testing.T) {
	for _, o := range []sdk.Outcome{{}, {Kind: 99}, {Kind: sdk.OutcomeYielded}, {Kind: sdk.OutcomeSucceeded, Yield: &sdk.Yield{}}} {
		data := AppendItem([]byte{FormatVersion}, &Item{Kind: KindFinished, Outcome: o})
		_, err := DecodeBatch(data, func(it Item) {
			if it.Outcome.Kind != sdk.OutcomeFailed || it.Outcome.Code != sdk.CodeProtocolError {
				t.Errorf("%+v became %+v", o, it.Outcome)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// What a child has left until its deadline travels, whatever the clocks say.
func TestDeadlineOfAChildTravels(t *testing.T) {
	data := AppendItem([]byte{FormatVersion}, &Item{Kind: KindSpawn, Child: &sdk.Child{Name: "n", Deadline: time.Now().Add(time.Hour)}})
	_, err := DecodeBatch(data, func(it Item) {
		if left := time.Until(it.ChildOf().Deadline); left < 30*time.Minute || left > time.Hour {
			t.Errorf("%s are left of an hour", left)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func sampleTask() sdk.Task {
	return sdk.Task{ID: "01990f4e", Type: "import", Attempt: 3, Token: sdk.Token{5}, Input: json.RawMessage(`{"a":1}`), Checkpoint: []byte("c"),
		Timeout: time.Hour, Suspect: true, Labels: map[string]string{"l": "1"}, Route: map[string]string{"r": "2"}, Trace: map[string]string{"traceparent": "3"},
		Result: &sdk.Result{ContentType: "x/y", Data: []byte("r")}, Failure: &sdk.Failure{Code: "c", Message: "m"},
		Children: []sdk.ChildStatus{{Name: "a", ID: "1", Type: "t", State: "succeeded", Result: &sdk.Result{ContentType: "x/y", Data: []byte{0, 255}}}, {Name: "b", State: "pending"}}}
}

func TestStartTravels(t *testing.T) {
	for _, task := range []sdk.Task{sampleTask(), {Type: "t", Token: sdk.Token{1}}, {Type: "t", Token: sdk.Token{1}, Checkpoint: []byte{}}} {
		body, refs, fits := AppendStart(nil, ActionRevert, &task, 1<<20)
		if !fits || refs {
			t.Fatalf("fits %v, refs %v", fits, refs)
		}
		got, err := DecodeStart(body)
		if err == nil {
			got.Task.Children, err = sdk.DecodeChildren(got.Children)
		}
		if err != nil || got.Action != ActionRevert || !reflect.DeepEqual(got.Task, task) {
			t.Errorf("%v\n got %+v\nwant %+v", err, got.Task, task)
		}
		if token := StartToken(body); token != task.Token {
			t.Errorf("its token is %v, want %v", token, task.Token)
		}
		if token := StartToken(body[:startHead-1]); token != (sdk.Token{}) {
			t.Errorf("a start that was cut has the token %v", token)
		}
	}
}

// A secret input stays with the host, however small, and the worker hears that it is one.
func TestSecretStaysWithTheHost(t *testing.T) {
	task := sampleTask()
	task.Secret = true
	body, refs, fits := AppendStart(nil, ActionExecute, &task, 1<<20)
	s, err := DecodeStart(body)
	if err != nil || !fits || !refs || !s.RefInput || s.RefCheckpoint || !s.Task.Secret || len(s.Task.Input) > 0 || bytes.Contains(body, task.Input) {
		t.Errorf("%q: %+v, %v", body, s, err)
	}
}

// Several starts travel in one message. A worker of an earlier version reads the first; of one
// that makes no sense the others know nothing, and there are so many and no more.
func TestStartsTravelTogether(t *testing.T) {
	var starts [][]byte
	for i := range MaxStarts {
		task := sampleTask()
		task.Token[0] = byte(i + 1)
		body, _, _ := AppendStart(nil, ActionExecute, &task, 1<<20)
		starts = append(starts, body)
	}
	for _, n := range []int{1, 2, MaxStarts} {
		message := JoinStarts(starts[:n])
		got, bad, err := DecodeStarts(message)
		if err != nil || bad != 0 || len(got) != n {
			t.Fatalf("%d of %d, %d bad, %v", len(got), n, bad, err)
		}
		if n > 1 {
			clear(message) // what each has is its own
		}
		for i, s := range got {
			if n > 1 && (s.Task.Token[0] != byte(i+1) || string(s.Task.Input) != `{"a":1}` || string(s.Task.Result.Data) != "r") {
				t.Errorf("start %d of %d became %+v", i, n, s.Task)
			}
		}
	}
	message := JoinStarts([][]byte{starts[0], {FormatVersion + 1, 1}, starts[1]})
	if first, err := DecodeStart(message); err != nil || StartToken(message) != first.Task.Token || first.Task.Token[0] != 1 {
		t.Errorf("the first is %v, %v", first.Task.Token, err)
	}
	if got, bad, err := DecodeStarts(message); err != nil || bad != 1 || len(got) != 2 {
		t.Errorf("%d starts, %d bad, %v", len(got), bad, err)
	}
	if got, bad, err := DecodeStarts(JoinStarts(append(starts, starts...))); err != nil || bad != 1 || len(got) != MaxStarts {
		t.Errorf("of too many %d starts, %d bad, %v", len(got), bad, err)
	}
}

// A start that surely fits is written whole in so many bytes, behind what is there already.
func TestStartFits(t *testing.T) {
	plain := sampleTask()
	plain.Children = nil
	whole, _, _ := AppendStart(nil, ActionExecute, &plain, 1<<20)
	for limit := range 2000 {
		body, refs, _ := AppendStart([]byte("before"), ActionExecute, &plain, limit)
		if StartFits(&plain, limit) && (refs || string(body) != "before"+string(whole) || len(whole) > limit) {
			t.Fatalf("in %d bytes it became %q", limit, body)
		}
		if !StartFits(&plain, limit) && limit > len(whole)+1000 {
			t.Fatalf("%d bytes do not surely fit in %d", len(whole), limit)
		}
	}
	secret, parent := plain, sampleTask()
	secret.Secret = true
	if StartFits(&secret, 1<<20) || StartFits(&parent, 1<<20) {
		t.Error("what is left out, or may be, surely fits")
	}
}

// What does not fit stays with the host, the largest first.
func TestStartSheds(t *testing.T) {
	task := sampleTask()
	task.Input = json.RawMessage(`"` + strings.Repeat("i", 3000) + `"`)
	task.Checkpoint = bytes.Repeat([]byte("c"), 2000)
	task.Result.Data = bytes.Repeat([]byte("r"), 1000)
	task.Children[0].Result.Data = bytes.Repeat([]byte("k"), 400)
	for _, c := range []struct {
		limit                               int
		input, checkpoint, result, children bool
		fits                                bool
	}{{10000, false, false, false, false, true}, {5000, true, false, false, false, true}, {2500, true, true, false, false, true}, {1000, true, true, true, false, true},
		{300, true, true, true, true, true}, {50, false, false, false, false, false}} {
		body, refs, fits := AppendStart(nil, ActionRevert, &task, c.limit)
		if fits != c.fits {
			t.Errorf("%d: fits %v", c.limit, fits)
		}
		if !fits {
			continue
		}
		s, err := DecodeStart(body)
		if err != nil || s.RefInput != c.input || s.RefCheckpoint != c.checkpoint || s.RefResult != c.result || s.RefChildren != c.children || refs != (c.input || c.checkpoint || c.result) || len(body) > c.limit {
			t.Errorf("%d: %d bytes, input %v, checkpoint %v, result %v, children %v, %v", c.limit, len(body), s.RefInput, s.RefCheckpoint, s.RefResult, s.RefChildren, err)
		}
	}
	if len(task.Result.Data) != 1000 {
		t.Error("the caller's task was changed")
	}
}

func FuzzBatch(f *testing.F) {
	data := []byte{FormatVersion}
	for _, it := range sampleItems() {
		one := AppendItem([]byte{FormatVersion}, &it)
		f.Add(one)
		data = append(data, one[1:]...)
	}
	f.Add(data)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		again := []byte{FormatVersion}
		n := 0
		_, err := DecodeBatch(b, func(it Item) { again = AppendItem(again, &it); n++ })
		if err != nil {
			return
		}
		if bad, err := DecodeBatch(again, func(Item) { n-- }); err != nil || bad != 0 || n != 0 {
			t.Errorf("what was read cannot be written: %d bad, %d missing, %v", bad, n, err)
		}
	})
}

func FuzzStart(f *testing.F) {
	body, _, _ := AppendStart(nil, ActionExecute, new(sampleTask()), 1<<20)
	f.Add(body)
	body, _, _ = AppendStart(nil, ActionRevert, new(sampleTask()), 150)
	f.Add(body)
	f.Add(JoinStarts([][]byte{body, body}))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, bad, several := DecodeStarts(b)
		s, err := DecodeStart(b)
		if (err == nil) != (several == nil) || err == nil && (all[0].Task.Token != s.Task.Token || len(all)+bad > MaxStarts+1) {
			t.Fatalf("one start: %v; several: %d, %d bad, %v", err, len(all), bad, several)
		}
		if err != nil {
			return
		}
		again, err := DecodeStart(appendStart(nil, &s))
		if err != nil || again.Task.Token != s.Task.Token || again.Task.Type != s.Task.Type || !bytes.Equal(again.Task.Input, s.Task.Input) {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}

func FuzzHeartbeat(f *testing.F) {
	f.Add([]byte(`{"run":"AQIDBAUGBwgJCgsMDQ4PEA==","used":1,"about":{"slots":3,"types":[{"name":"import"}]}}`))
	f.Add([]byte(`{"bye":true}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeHeartbeat(b)
		if err != nil {
			return
		}
		n := 0
		h.EachToken(func(sdk.Token) { n++ })
		if n*len(sdk.Token{}) != len(h.Running) {
			t.Errorf("%d tokens of %d bytes", n, len(h.Running))
		}
	})
}

func FuzzOffer(f *testing.F) {
	f.Add([]byte(`{"id":"a","host":"h","heartbeat":1000000000,"lanes":[{"consumer":"any_import","type":"import"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := DecodeOffer(b); err == nil && (o.ID == "" || o.Heartbeat <= 0) {
			t.Errorf("taken: %+v", o)
		}
	})
}

// Every kind of outcome travels.
func TestOutcomeKindsTravel(t *testing.T) {
	for k := sdk.OutcomeSucceeded; k.String() != sdk.OutcomeKind(0).String(); k++ {
		o := sdk.Outcome{Kind: k}
		if k == sdk.OutcomeYielded {
			o.Yield = &sdk.Yield{Resume: true}
		}
		d := decoder{b: appendOutcome(nil, o)}
		if got := decodeOutcome(&d); got.Kind != k {
			t.Errorf("%s became %+v", k, got)
		}
	}
}
