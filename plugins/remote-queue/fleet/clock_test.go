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
