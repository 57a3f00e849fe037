package board

import (
	"testing"
	"time"
)

func TestLease(t *testing.T) {
	const grace = 10 * time.Second
	type step struct {
		at   time.Duration
		do   string // heard, stop, or "" to look
		want bool   // lapsed after it
	}
	for name, c := range map[string]struct {
		length time.Duration
		steps  []step
	}{
		"silence ends it":        {20 * time.Second, []step{{19 * time.Second, "", false}, {20 * time.Second, "", true}}},
		"a word renews it whole": {20 * time.Second, []step{{15 * time.Second, "heard", false}, {34 * time.Second, "", false}, {35 * time.Second, "", true}}},
		"who hears of a stop has the grace": {20 * time.Second, []step{{5 * time.Second, "stop", false}, {10 * time.Second, "heard", false},
			{19 * time.Second, "", false}, {20 * time.Second, "", true}}},
		"the grace is given once": {20 * time.Second, []step{{5 * time.Second, "stop", false}, {10 * time.Second, "heard", false},
			{15 * time.Second, "heard", false}, {20 * time.Second, "heard", true}}},
		"the grace is given also where the lease is nearly over": {20 * time.Second, []step{{18 * time.Second, "stop", false}, {19 * time.Second, "heard", false},
			{28 * time.Second, "", false}, {29 * time.Second, "", true}}},
		"a long lease does not keep a stop from ending": {24 * time.Hour, []step{{time.Hour, "stop", false}, {time.Hour + unheard - 1, "", false}, {time.Hour + unheard, "", true}}},
		"a second stop gives no more time":              {24 * time.Hour, []step{{0, "stop", false}, {30 * time.Second, "stop", false}, {unheard, "", true}}},
		"a short lease is not made longer by a stop":    {5 * time.Second, []step{{time.Second, "stop", false}, {5 * time.Second, "", true}}},
	} {
		l := NewLease(c.length, 0)
		for _, s := range c.steps {
			switch s.do {
			case "heard":
				l = l.Heard(s.at, grace)
			case "stop":
				l = l.Stopped(s.at)
			}
			if got := l.Lapsed(s.at); got != s.want {
				t.Errorf("%s: after %q at %s: lapsed %v, want %v", name, s.do, s.at, got, s.want)
			}
		}
	}
}

// Whatever a worker does, what is to stop is over within the bound that is promised.
func FuzzStopIsBounded(f *testing.F) {
	f.Add(uint32(1000), []byte{3, 200, 7})
	f.Fuzz(func(t *testing.T, length uint32, gaps []byte) {
		const grace = 10 * time.Second
		l := NewLease(min(max(time.Duration(length)*time.Millisecond, MinLease), MaxLease), 0).Stopped(0)
		now := time.Duration(0)
		for _, g := range gaps {
			now += time.Duration(g) * time.Second / 10
			if l.Lapsed(now) {
				break
			}
			l = l.Heard(now, grace)
		}
		if !l.Lapsed(StopsWithin(grace)) {
			t.Errorf("a lease of %d ms is not over: %+v", length, l)
		}
	})
}

// While the host stands still, no lease runs down.
func TestCountedTime(t *testing.T) {
	for _, c := range []struct{ gap, want time.Duration }{
		{tickEvery, tickEvery}, {2 * tickEvery, 2 * tickEvery}, {time.Hour, 2 * tickEvery}, {0, 0},
	} {
		if got := countedTime(c.gap, tickEvery); got != c.want {
			t.Errorf("a gap of %s counts %s, want %s", c.gap, got, c.want)
		}
	}
}
