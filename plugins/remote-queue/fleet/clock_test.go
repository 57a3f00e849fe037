package fleet

import (
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	var c lapseClock
	usual := time.Second
	c.tick(time.Second, usual, true)
	c.tick(time.Hour, usual, true)    // the process stood still
	c.tick(time.Second, usual, false) // the broker was away
	if c.now() != 3*time.Second {
		t.Errorf("%s counted", c.now())
	}
}

// hearing is a broker that is there, with nothing to be read.
type hearing struct{ Broker }

func (hearing) Connected() bool      { return true }
func (hearing) Unread() (int, error) { return 0, nil }

// When the broker is back, silence counts once workers can have found it: those try it the less
// often the longer it was away.
func TestSilenceAfterAnOutage(t *testing.T) {
	f := bareFleet()
	f.starts.init(f)
	f.broker = hearing{}
	f.owner.validFor = time.Hour
	f.owner.confirmedAt.Store(new(time.Now()))
	for away, grace := range map[time.Duration]time.Duration{0: 0, 2 * time.Second: 2 * time.Second, time.Hour: maxWorkerPause} {
		if away > 0 {
			f.status.noteBroker("it is away")
			f.status.broker.since = time.Now().Add(-away)
		}
		f.handleConnected()
		now := time.Now()
		if !f.silenceCounts(now.Add(grace + time.Minute)) {
			t.Errorf("away for %s: silence never counts", away)
		}
		if grace > 0 && f.silenceCounts(now.Add(grace/2)) {
			t.Errorf("away for %s: silence counts after %s", away, grace/2)
		}
	}
}
