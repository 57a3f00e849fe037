package remotequeue

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

func sampleItems() []item {
	tok := token{1, 2, 3}
	at := time.Unix(1_800_000_000, 123456789)
	return []item{
		{kind: kindAsk, token: tok},
		{kind: kindGo, token: tok, timeout: time.Minute},
		{kind: kindRefuse, token: tok, text: "why"},
		{kind: kindAck, token: tok, seq: 7},
		{kind: kindDeny, token: tok, seq: 7, text: "full"},
		{kind: kindCancel, token: tok, cause: causePause},
		{kind: kindCheckpoint, token: tok, seq: 9, data: []byte("data")},
		{kind: kindProgress, token: tok, done: 5, total: -1, text: "copying"},
		{kind: kindLog, token: tok, at: at, level: 3, text: "line", args: []string{"k", "v"}, dropped: 2},
		{kind: kindHandback, token: tok}, {kind: kindDismiss, text: "why"}, {kind: kindDescribe},
		{kind: kindFinished, token: tok, outcome: sdk.Outcome{Kind: sdk.OutcomeSucceeded, Result: sdk.Text("hello")}},
		{kind: kindFinished, token: tok, outcome: sdk.Outcome{Kind: sdk.OutcomeSucceeded, Result: sdk.Result{ContentType: "x/y", Stored: true}}, host: "PROCESS"},
		{kind: kindPut, token: tok, host: "PROCESS"},
		{kind: kindFinished, token: tok, outcome: sdk.Outcome{Kind: sdk.OutcomeFailed, Code: "c", Message: "m", Permanent: true,
			RetryAfter: time.Second, Details: map[string]string{"a": "b", "c": "d"}}},
		{kind: kindFinished, token: tok, outcome: sdk.Outcome{Kind: sdk.OutcomeInterrupted, Message: "m"}},
		{kind: kindFinished, token: tok, outcome: sdk.Outcome{Kind: sdk.OutcomeYielded, Yield: &sdk.Yield{Until: at, Checkpoint: []byte{}}}},
		{kind: kindFinished, token: tok, outcome: sdk.Outcome{Kind: sdk.OutcomeYielded, Yield: &sdk.Yield{Until: time.Unix(250_000_000_000, 5)}}},
		{kind: kindFinished, token: tok, outcome: sdk.Outcome{Kind: sdk.OutcomeYielded, Yield: &sdk.Yield{Children: []string{"a", "b"}}}},
		{kind: kindFinished, token: tok, outcome: sdk.Outcome{Kind: sdk.OutcomeYielded, Yield: &sdk.Yield{Resume: true, Checkpoint: []byte("c")}}},
	}
}

func TestItemsTravel(t *testing.T) {
	want := sampleItems()
	data := []byte{formatVersion}
	for i := range want {
		data = appendItem(data, &want[i])
	}
	var got []item
	bad, err := decodeBatch(data, func(it item) { got = append(got, it) })
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
	tok := token{9}
	data := putBytes([]byte{formatVersion}, append([]byte{200}, tok[:]...))
	data = putBytes(data, append(putUint(append([]byte{byte(kindAck)}, tok[:]...), 5), "more"...))
	var got []item
	bad, err := decodeBatch(data, func(it item) { got = append(got, it) })
	if err != nil || bad != 0 || len(got) != 2 || got[0].kind != 200 || got[1].seq != 5 {
		t.Errorf("%+v, %d bad, %v", got, bad, err)
	}
	if _, err := decodeBatch([]byte{formatVersion + 1}, func(item) {}); err == nil {
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
		data := appendItem([]byte{formatVersion}, &item{kind: kindFinished, outcome: o})
		_, err := decodeBatch(data, func(it item) {
			if it.outcome.Kind != sdk.OutcomeFailed || it.outcome.Code != sdk.CodeProtocolError {
				t.Errorf("%+v became %+v", o, it.outcome)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func sampleTask() sdk.Task {
	return sdk.Task{ID: "01990f4e", Type: "import", Attempt: 3, Token: token{5}, Input: json.RawMessage(`{"a":1}`), Checkpoint: []byte("c"),
		Timeout: time.Hour, Suspect: true, Labels: map[string]string{"l": "1"}, Route: map[string]string{"r": "2"}, Trace: map[string]string{"traceparent": "3"},
		Result: &sdk.Result{ContentType: "x/y", Data: []byte("r")}, Failure: &sdk.Failure{Code: "c", Message: "m"}}
}

func TestStartTravels(t *testing.T) {
	for _, task := range []sdk.Task{sampleTask(), {Type: "t", Token: token{1}}, {Type: "t", Token: token{1}, Checkpoint: []byte{}}} {
		body, refs, fits := encodeStart(actRevert, task, 1<<20)
		if !fits || refs {
			t.Fatalf("fits %v, refs %v", fits, refs)
		}
		got, err := decodeStart(body)
		if err != nil || got.action != actRevert || !reflect.DeepEqual(got.task, task) {
			t.Errorf("%v\n got %+v\nwant %+v", err, got.task, task)
		}
	}
}

// What does not fit stays with the host, the largest first.
func TestStartSheds(t *testing.T) {
	task := sampleTask()
	task.Input = json.RawMessage(`"` + strings.Repeat("i", 3000) + `"`)
	task.Checkpoint = bytes.Repeat([]byte("c"), 2000)
	task.Result.Data = bytes.Repeat([]byte("r"), 1000)
	for _, c := range []struct {
		limit                     int
		input, checkpoint, result bool
		fits                      bool
	}{{10000, false, false, false, true}, {4000, true, false, false, true}, {2000, true, true, false, true}, {500, true, true, true, true}, {50, false, false, false, false}} {
		body, refs, fits := encodeStart(actRevert, task, c.limit)
		if fits != c.fits {
			t.Errorf("%d: fits %v", c.limit, fits)
		}
		if !fits {
			continue
		}
		s, err := decodeStart(body)
		if err != nil || s.refInput != c.input || s.refCheckpoint != c.checkpoint || s.refResult != c.result || refs != (c.input || c.checkpoint || c.result) || len(body) > c.limit {
			t.Errorf("%d: %d bytes, input %v, checkpoint %v, result %v, %v", c.limit, len(body), s.refInput, s.refCheckpoint, s.refResult, err)
		}
	}
	if len(task.Result.Data) != 1000 {
		t.Error("the caller's task was changed")
	}
}

func FuzzBatch(f *testing.F) {
	data := []byte{formatVersion}
	for _, it := range sampleItems() {
		one := appendItem([]byte{formatVersion}, &it)
		f.Add(one)
		data = append(data, one[1:]...)
	}
	f.Add(data)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		again := []byte{formatVersion}
		n := 0
		_, err := decodeBatch(b, func(it item) { again = appendItem(again, &it); n++ })
		if err != nil {
			return
		}
		if bad, err := decodeBatch(again, func(item) { n-- }); err != nil || bad != 0 || n != 0 {
			t.Errorf("what was read cannot be written: %d bad, %d missing, %v", bad, n, err)
		}
	})
}

func FuzzStart(f *testing.F) {
	body, _, _ := encodeStart(actExecute, sampleTask(), 1<<20)
	f.Add(body)
	body, _, _ = encodeStart(actRevert, sampleTask(), 150)
	f.Add(body)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeStart(b)
		if err != nil {
			return
		}
		again, err := decodeStart(appendStart(nil, &s))
		if err != nil || again.task.Token != s.task.Token || again.task.Type != s.task.Type || !bytes.Equal(again.task.Input, s.task.Input) {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}

func FuzzHeartbeat(f *testing.F) {
	f.Add([]byte(`{"run":"AQIDBAUGBwgJCgsMDQ4PEA==","used":1,"about":{"slots":3,"types":[{"name":"import"}]}}`))
	f.Add([]byte(`{"bye":true}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHeartbeat(b)
		if err != nil {
			return
		}
		n := 0
		h.tokens(func(token) { n++ })
		if n*len(token{}) != len(h.Running) {
			t.Errorf("%d tokens of %d bytes", n, len(h.Running))
		}
	})
}

func FuzzOffer(f *testing.F) {
	f.Add([]byte(`{"id":"a","host":"h","heartbeat":1000000000,"lanes":[{"consumer":"any_import","type":"import"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := decodeOffer(b); err == nil && (o.ID == "" || o.Heartbeat <= 0) {
			t.Errorf("taken: %+v", o)
		}
	})
}

func TestClock(t *testing.T) {
	var c clock
	usual := time.Second
	c.tick(time.Second, usual, true)
	c.tick(time.Hour, usual, true)    // the process stood still
	c.tick(time.Second, usual, false) // the broker was away
	if c.now() != 3*time.Second {
		t.Errorf("%s counted", c.now())
	}
}

func TestRouteKey(t *testing.T) {
	a, b := map[string]string{"x": "1", "y": "2"}, map[string]string{"y": "2", "x": "1"}
	if routeKey(a) != routeKey(b) || routeKey(nil) != anyRoute || routeKey(a) == routeKey(map[string]string{"x": "1", "y": "3"}) ||
		routeKey(map[string]string{"a": "b\"=\"c"}) == routeKey(map[string]string{"a\"=\"b": "c"}) {
		t.Error("routes are confused")
	}
	if !satisfies(a, map[string]string{"x": "1"}) || satisfies(a, map[string]string{"x": "2"}) || satisfies(nil, a) || !satisfies(nil, nil) {
		t.Error("labels are confused")
	}
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
