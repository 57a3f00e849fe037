package supervisor

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/sdk"
)

func TestDelay(t *testing.T) {
	const low, high = 100 * time.Millisecond, time.Second
	for _, test := range []struct {
		failures int
		jitter   float64
		want     time.Duration
	}{
		{0, 1, low}, {1, 1, low}, {1, 0, low / 2}, {2, 1, 2 * low}, {3, 1, 4 * low},
		{5, 1, high}, {1000, 1, high}, {1000, 0, high / 2},
	} {
		if got := backoffDelay(test.failures, low, high, test.jitter); got != test.want {
			t.Errorf("delay after %d failures with jitter %v: %s, want %s", test.failures, test.jitter, got, test.want)
		}
	}
}

func TestEventsFallOutOfTheWindow(t *testing.T) {
	var r recentEvents
	at := time.Now()
	for i, want := range []int{1, 2, 3, 3, 3} {
		if got := r.add(at.Add(time.Duration(i)*time.Minute), 3*time.Minute); got != want {
			t.Errorf("event %d: %d within the window, want %d", i+1, got, want)
		}
	}
}

// What follows the ends of an executor's processes: failures lead to quarantine, what
// explains itself otherwise never does, and waits a second at the most.
func TestEndings(t *testing.T) {
	o := Options{BackoffMin: 100 * time.Millisecond, BackoffMax: time.Minute, QuarantineAfter: 3, QuarantineWindow: time.Hour, QuarantineRetry: 5 * time.Minute}
	type step struct {
		end        ending
		wait       time.Duration
		quarantine bool
	}
	many := func(n int, s step) (out []step) {
		for range n {
			out = append(out, s)
		}
		return out
	}
	for name, steps := range map[string][]step{
		"failures": {{endFailed, 100 * time.Millisecond, false}, {endFailed, 200 * time.Millisecond, false},
			{endFailed, o.QuarantineRetry, true}, {endFailed, o.QuarantineRetry, true}},
		"an operator is needed": {{endNeedsOperator, o.QuarantineRetry, true}, {endNeedsOperator, o.QuarantineRetry, true}},
		"its file is absent":    {{endFileMissing, time.Minute, true}, {endFileMissing, time.Minute, true}, {endFileMissing, time.Minute, true}, {endFailed, 100 * time.Millisecond, false}},
		"excused": append([]step{{endExcused, 0, false}, {endExcused, 100 * time.Millisecond, false}, {endExcused, 200 * time.Millisecond, false},
			{endExcused, 400 * time.Millisecond, false}, {endExcused, 800 * time.Millisecond, false}}, many(100, step{endExcused, time.Second, false})...),
		"excused among failures": {{endFailed, 100 * time.Millisecond, false}, {endExcused, 0, false}, {endFailed, 200 * time.Millisecond, false},
			{endExcused, 100 * time.Millisecond, false}, {endFailed, o.QuarantineRetry, true}, {endExcused, 200 * time.Millisecond, false}},
	} {
		var h endings
		for i, s := range steps {
			wait, quarantine, _ := h.next(s.end, time.Unix(int64(i), 0), o, 1)
			if wait != s.wait || quarantine != s.quarantine {
				t.Errorf("%s, step %d: wait %s, quarantine %v; want %s, %v", name, i+1, wait, quarantine, s.wait, s.quarantine)
			}
		}
	}
	h := endings{afterQuarantine: true}
	h.noteReady(time.Minute, o)
	if _, quarantine, _ := h.next(endFailed, time.Unix(0, 0), o, 1); !quarantine {
		t.Error("one that failed soon after its quarantine is not put back")
	}
	h = endings{afterQuarantine: true}
	h.noteReady(time.Hour, o)
	if _, quarantine, _ := h.next(endFailed, time.Unix(0, 0), o, 1); quarantine {
		t.Error("one that served long after its quarantine is put back by its first failure")
	}
}

// Whose attempts run where, who is given up, and what a death may be put down to.
func TestBoard(t *testing.T) {
	b := newAttemptTable()
	one, two := &instance{}, &instance{}
	task := func(n byte, suspect bool) *sdk.Task { return &sdk.Task{Token: sdk.Token{n}, Suspect: suspect} }
	first := b.enter(task(1, false), one)
	second := b.enter(task(2, true), one)
	if b.enter(task(1, false), two) != first || first.inst != one {
		t.Error("a token that runs is not joined where it runs")
	}
	b.returned(first, false)
	if got, want := one.load, (load{running: 2, suspects: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if on := b.settled(sdk.Token{1}); on != one || len(b.stuck) != 1 || one.load.onlyAbandoned() {
		t.Errorf("given up beside another: %+v", one.load)
	}
	b.returned(second, false)
	if !one.load.onlyAbandoned() || b.forgetInstance(one) {
		t.Error("what is left was given up, and no suspect runs")
	}
	b.returned(first, true)
	if len(b.byToken) != 0 || len(b.stuck) != 0 || one.load != (load{}) {
		t.Errorf("what is over is remembered: %+v", b.byToken)
	}
	for n, name := range []string{"which has not returned", "which has"} {
		a := b.enter(task(byte(3+n), true), two)
		if n == 1 {
			b.returned(a, true)
		}
		if !b.forgetInstance(two) {
			t.Errorf("a suspect, %s, does not explain the death", name)
		}
		two = &instance{}
	}
	if b.settled(sdk.Token{9}) != nil {
		t.Error("a token that nobody knows is somewhere")
	}
}

func TestAllowed(t *testing.T) {
	env := []string{"PATH=/bin", "LC_ALL=C", "LCX=1", "SECRET=1", "A_B=1", "A=2", instanceVar + "=of a host inside a plugin", "odd"}
	got := filterEnv(env, defaultEnv, []string{"A_*", instanceVar})
	if want := []string{"PATH=/bin", "LC_ALL=C", "A_B=1"}; !slices.Equal(got, want) {
		t.Errorf("allowed %q, want %q", got, want)
	}
}

func TestParseStat(t *testing.T) {
	line := "42 (a) S (b) Z 1 77 77 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 123456 1 2 3"
	got, err := parseStat([]byte(line))
	if want := (stat{state: 'Z', pgrp: 77, start: 123456}); err != nil || got != want {
		t.Errorf("stat %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "42 (a", "42 (a) S 1", strings.Replace(line, "123456", "x", 1), strings.Replace(line, "77", "x", 1)} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestIsHandshake(t *testing.T) {
	for line, want := range map[string]bool{
		"1|1|unix|/a|grpc|cert": true, "1|1|unix|/a": true, "9|9|9|9": true,
		"": false, "hello": false, "a|b|c|d": false, "1|1|unix": false,
	} {
		if got := isHandshake(line); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

// A log that takes no lines holds up nobody: lines are dropped, and counted.
func TestSlowLogDropsLines(t *testing.T) {
	gate := &gate{open: make(chan struct{})}
	o := newOutput(hclog.New(&hclog.LoggerOptions{Output: gate}))
	o.read(strings.NewReader(strings.Repeat("line\n", 3*maxQueuedLines)))
	o.read(strings.NewReader("the last\n"))
	if last := o.tailText(); !strings.HasSuffix(last, "the last") {
		t.Errorf("kept %q", last)
	}
	close(gate.open)
	gate.wait(t, "dropped=")
	o.end()
}

// What a plugin prints cannot pass for a line of the host's, nor steer a terminal.
func TestPluginForgesNoLines(t *testing.T) {
	for name, printed := range map[string]string{
		"plain":             "before\r2026-01-01T00:00:00.000Z [INFO]  taskhost: forged\x1b[2K\u009b1m\u2028\u202e\n",
		"a message":         `{"@level":"info","@message":"before\n2026-01-01T00:00:00.000Z [INFO]  taskhost: forged\u001b[2K\u202e"}` + "\n",
		"the name of a key": `{"@level":"info","@message":"m","k\n2026-01-01T00:00:00.000Z [INFO]  taskhost: forged\u001b[2K\u202e":"v"}` + "\n",
		"a value":           `{"@level":"info","@message":"m","k":"v\n2026-01-01T00:00:00.000Z [INFO]  taskhost: forged\u001b[2K\u202e"}` + "\n",
		"a nested value":    `{"@level":"info","@message":"m","k":["v\n2026-01-01T00:00:00.000Z [INFO]  taskhost: forged\u001b[2K\u202e"]}` + "\n",
	} {
		log := &lines{}
		o := newOutput(hclog.New(&hclog.LoggerOptions{Output: log}))
		o.read(strings.NewReader(printed))
		log.wait(t, "forged")
		o.end()
		text := log.String()
		if strings.ContainsAny(text, "\r\x1b\u009b\u2028\u202e") || strings.Contains(text, "\n2026-01-01") {
			t.Errorf("%s: %q", name, text)
		}
		if name == "plain" && strings.ContainsAny(o.tailText(), "\r\x1b\u009b\u2028\u202e") {
			t.Errorf("kept for errors: %q", o.tailText())
		}
	}
}

type gate struct {
	lines
	open chan struct{}
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	return g.lines.Write(p)
}

func FuzzOutput(f *testing.F) {
	f.Add([]byte(`{"@message": 1}`))
	f.Add([]byte("{\"@level\":\"info\",\"@message\":\"m\",\"k\":{\"a\":[1]}}\nplain\n\n[ERROR] x\r\n"))
	f.Add(bytes.Repeat([]byte{0xff}, 3*maxLine))
	f.Fuzz(func(t *testing.T, data []byte) {
		o := newOutput(hclog.NewNullLogger())
		defer o.end()
		o.read(bytes.NewReader(data))
		_, _ = o.Write(data)
		if len(o.tail) > tailLines {
			t.Errorf("%d lines kept", len(o.tail))
		}
		for _, line := range o.tail {
			if len(line) > tailLine+10 {
				t.Errorf("a line of %d bytes kept", len(line))
			}
		}
	})
}
