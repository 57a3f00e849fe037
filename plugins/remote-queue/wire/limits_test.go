package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/sdk"
)

// An outcome that is larger than an attempt's may be ends that attempt, with the
// reason, wherever it is noticed; one just within is as it was.
func TestOutcomeBudget(t *testing.T) {
	within := sdk.Outcome{Kind: sdk.OutcomeFailed, Code: "c", Message: "m", Details: queuetest.ManyDetails(maxDetails, 600)}
	if got := CheckOutcome(within); !reflect.DeepEqual(got, within) {
		t.Errorf("within the budget: %+v", got)
	}
	for name, o := range map[string]sdk.Outcome{
		"many details":  {Kind: sdk.OutcomeFailed, Details: queuetest.ManyDetails(20_000, 1000)},
		"one too many":  {Kind: sdk.OutcomeFailed, Details: queuetest.ManyDetails(maxDetails+1, 1)},
		"large details": {Kind: sdk.OutcomeFailed, Details: queuetest.ManyDetails(4, maxOutcomeText/4)},
		"message":       {Kind: sdk.OutcomeCanceled, Message: strings.Repeat("x", maxOutcomeText+1)},
		"content type":  {Kind: sdk.OutcomeSucceeded, Result: sdk.Result{ContentType: strings.Repeat("x", maxOutcomeText+1)}},
		"children":      {Kind: sdk.OutcomeYielded, Yield: &sdk.Yield{Children: make([]string, maxListed+1)}},
	} {
		data := AppendItem([]byte{FormatVersion}, &Item{Kind: KindFinished, Token: sdk.Token{1}, Outcome: o})
		n := 0
		bad, err := DecodeBatch(data, func(it Item) {
			if n++; it.Outcome.Kind != sdk.OutcomeFailed || it.Outcome.Code != sdk.CodeProtocolError || it.Outcome.Message == "" {
				t.Errorf("%s became %+v", name, it.Outcome)
			}
		})
		if bad != 0 || err != nil || n != 1 {
			t.Errorf("%s: %d items, %d bad, %v: its attempt would never end", name, n, bad, err)
		}
	}
}

// Times that do not fit in nanoseconds travel; ones that no store takes end the attempt.
func TestTimesFarAway(t *testing.T) {
	for _, year := range []int{1, 1677, 1678, 1679, 2026, 2261, 2262, 2263, 9999} {
		at := time.Date(year, 12, 31, 23, 59, 59, 123456789, time.UTC)
		d := decoder{b: putTime(nil, at)}
		if got := d.time(); !got.Equal(at) || d.err() != nil || len(d.b) != 0 {
			t.Errorf("%s became %s, %v", at, got, d.err())
		}
	}
	o := sdk.Outcome{Kind: sdk.OutcomeYielded, Yield: &sdk.Yield{Until: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}}
	data := AppendItem([]byte{FormatVersion}, &Item{Kind: KindFinished, Token: sdk.Token{1}, Outcome: o})
	if _, err := DecodeBatch(data, func(it Item) {
		if it.Outcome.Code != sdk.CodeProtocolError {
			t.Errorf("%+v", it.Outcome)
		}
	}); err != nil {
		t.Error(err)
	}
}

func TestHeartbeatBudget(t *testing.T) {
	types := func(n, size int) (list []sdk.TypeInfo) {
		for i := range n {
			list = append(list, sdk.TypeInfo{Name: fmt.Sprintf("t%d", i), Description: strings.Repeat("x", size)})
		}
		return list
	}
	for name, c := range map[string]struct {
		h    Heartbeat
		want string // what it exceeds; "" if it makes no sense
	}{
		"tokens":      {Heartbeat{Running: make([]byte, 16*(MaxNamed+1))}, "attempts that one worker names"},
		"bytes":       {Heartbeat{Running: make([]byte, 16*1_000_000)}, "bytes of a heartbeat"},
		"types":       {Heartbeat{Info: &WorkerInfo{Types: types(maxWorkerTypes+1, 0)}}, "task types of one worker"},
		"schemas":     {Heartbeat{Info: &WorkerInfo{Types: types(2, maxWorkerTypeBytes/2)}}, "schemas"},
		"labels":      {Heartbeat{Info: &WorkerInfo{Labels: queuetest.ManyDetails(MaxWorkerLabels+1, 1)}}, "labels of one worker"},
		"long labels": {Heartbeat{Info: &WorkerInfo{Labels: queuetest.ManyDetails(2, maxWorkerText/2)}}, "bytes of one worker's labels"},
		"slots":       {Heartbeat{Info: &WorkerInfo{Slots: 1 << 40}}, "slots"},
		"twice":       {Heartbeat{Info: &WorkerInfo{Types: []sdk.TypeInfo{{Name: "a"}, {Name: "a"}}}}, ""},
		"type slots":  {Heartbeat{Info: &WorkerInfo{TypeSlots: map[string]int{"a": 1}}}, ""},
		"used":        {Heartbeat{Used: 1 << 40}, ""},
	} {
		data, err := json.Marshal(c.h)
		if err != nil {
			t.Fatal(err)
		}
		_, err = DecodeHeartbeat(data)
		over := (*LimitError)(nil)
		if errors.As(err, &over) != (c.want != "") || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	most, err := json.Marshal(Heartbeat{Running: make([]byte, 16*MaxNamed), Info: &WorkerInfo{Types: types(maxWorkerTypes, 500), Labels: queuetest.ManyDetails(MaxWorkerLabels, 200)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeHeartbeat(most); err != nil {
		t.Errorf("within the budget: %v", err)
	}
}

// A heartbeat takes little more memory to read than it has bytes, however it is made up.
func TestHeartbeatsTakeLittleMemory(t *testing.T) {
	const size = maxWorkerTypeBytes + 64<<10
	fill := func(before, one, after string) string {
		return before + strings.Repeat(one, size/len(one)) + after
	}
	numbered := func(before, format, after string) string {
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return before + b.String() + after
	}
	for name, data := range map[string]string{
		"types":       fill(`{"about":{"types":[`, `{},`, `{}]}}`),
		"null types":  fill(`{"about":{"types":[`, `null,`, `{}]}}`),
		"infos":       fill(`{`, `"about":{"types":[{},{}],"labels":{"a":"b"}},`, `"used":1}`),
		"labels":      numbered(`{"about":{"labels":{`, `"%d":"",`, `"a":"b"}}}`),
		"type slots":  numbered(`{"about":{"type_slots":{`, `"%d":1,`, `"a":1}}}`),
		"one label":   fill(`{"about":{"labels":{`, `"a":"",`, `"a":"b"}}}`),
		"routes":      numbered(`{"about":{"types":[{"name":"a","defaults":{"route":{`, `"%d":"",`, `"a":"b"}}}]}}`),
		"concurrency": fill(`{"about":{"types":[{"name":"a","defaults":{"concurrency":[`, `{},`, `{}]}}]}}`),
	} {
		if !json.Valid([]byte(data)) {
			t.Fatalf("%s: no JSON", name)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		h, err := DecodeHeartbeat([]byte(data))
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 16*size {
			t.Errorf("%s: %d bytes took %d in memory", name, len(data), took)
		}
		if err == nil {
			t.Errorf("%s: taken, as %+.100v", name, h)
		}
	}
}
