package task

import "time"

// The times that RFC 3339 can write: of the years 0 to 9999, in UTC.
var (
	firstTime = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	lastTime  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
)

// CanShow says whether t can be written as RFC 3339 wants it, which JSON asks of
// every time. Stores refuse others. The zero time, for none, can.
func CanShow(t time.Time) bool { return t.IsZero() || t.Unix() >= firstTime && t.Unix() <= lastTime }

// Shown is t in UTC, or the nearest time that can be shown: for what was kept
// though it should have been refused.
func Shown(t time.Time) time.Time {
	switch {
	case CanShow(t):
		return t.UTC()
	case t.Unix() < firstTime:
		return time.Unix(firstTime, 0).UTC()
	}
	return time.Unix(lastTime, 0).UTC()
}
