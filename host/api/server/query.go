package server

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// query reads the parameters of a request; second values where one is wanted are
// faults. That it has no others than its route declares is seen to before: see checkQuery.
type query struct {
	values url.Values
	bad    faults
}

func newQuery(r *http.Request) *query {
	q := &query{}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		q.bad.add(nil, "the query cannot be read: %v", err)
	}
	q.values = values
	return q
}

// has says whether the parameter was given, be it empty.
func (q *query) has(name string) bool { return q.values.Has(name) }

// repeated is every value of a parameter that may repeat.
func (q *query) repeated(name string) []string { return q.values[name] }

// single is the value of a parameter that may be given once; "" if it is not.
func (q *query) single(name string) string {
	v := q.repeated(name)
	if len(v) > 1 {
		q.bad.add(place{name}, "query parameter %s may be given once", name)
	}
	if len(v) == 0 {
		return ""
	}
	return v[0]
}

// filled is the value of a filter; "" if it is not given. An empty one is a fault: it would
// have a list, or a stream, show everything.
func (q *query) filled(name string) string {
	v := q.single(name)
	if v == "" && q.has(name) {
		q.bad.add(place{name}, "query parameter %s is empty: leave it out where it is not to select", name)
	}
	return v
}

// integer is between lo and hi; 0 if it is not given.
func (q *query) integer(name string, lo, hi int64) int64 {
	v := q.single(name)
	if v == "" {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < lo || n > hi {
		q.bad.add(place{name}, "query parameter %s is not an integer from %d to %d", name, lo, hi)
		return 0
	}
	return n
}

// page is which page of a list by name is asked for: up to limit of those behind after.
func (q *query) page() (after string, limit int) {
	limit = cmp.Or(int(q.integer("limit", 1, task.MaxListLimit)), task.DefaultListed)
	return q.text("cursor"), limit
}

// pageOf is a page of all, which go by name, and the after of the next one; "" on the last.
func pageOf[T any](all []T, after string, limit int, name func(*T) string) (page []T, next string) {
	first := sort.Search(len(all), func(i int) bool { return name(&all[i]) > after })
	page = all[first:]
	if len(page) > limit {
		page = page[:limit]
		next = name(&page[limit-1])
	}
	return page, next
}

// cursor is what a page gave as its next.
func (q *query) cursor(name string) task.ID {
	v := q.single(name)
	if v == "" {
		return task.ID{}
	}
	id, err := task.ParseID(v)
	if err != nil || id.IsZero() {
		q.bad.add(place{name}, "query parameter %s is not what an earlier page gave as next: list anew without it", name)
	}
	return id
}

// id is an id to select by; zero if it is not given.
func (q *query) id(name string) task.ID {
	v := q.filled(name)
	if v == "" {
		return task.ID{}
	}
	id, err := task.ParseID(v)
	if err != nil || id.IsZero() {
		q.bad.add(place{name}, "query parameter %s is not an id: want a UUID", name)
	}
	return id
}

// time is a time to select by, in UTC; zero if it is not given.
func (q *query) time(name string) time.Time {
	v := q.filled(name)
	if v == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		q.bad.add(place{name}, "query parameter %s is not a time of RFC 3339, such as 2026-11-23T12:00:00.5Z", name)
	} else if !task.ValidTime(t) {
		q.bad.add(place{name}, "query parameter %s is not %s", name, task.TimeRange)
		return time.Time{}
	}
	return t.UTC()
}

// boolean is true for "?name", "?name=true" and "?name=1".
func (q *query) boolean(name string) bool {
	_, there := q.values[name]
	v := q.single(name)
	if !there || v == "" {
		return there
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		q.bad.add(place{name}, "query parameter %s is neither true nor false", name)
	}
	return b
}

// duration is a duration such as 30s, or a number of seconds.
func (q *query) duration(name string) time.Duration {
	v := q.single(name)
	if v == "" {
		return 0
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		n, nerr := strconv.ParseUint(v, 10, 31)
		d, err = time.Duration(n)*time.Second, nerr
	}
	if err != nil || d < 0 {
		q.bad.add(place{name}, "query parameter %s is not a duration such as 30s", name)
		return 0
	}
	return d
}

// err says what is wrong with the query, once what the route reads of it was read.
func (q *query) err() error {
	if len(q.bad) == 0 {
		return nil
	}
	return &task.Error{Code: task.CodeInvalidRequest, Message: q.bad[0].Message, Fields: q.bad}
}

// text is a cursor that is text, as textCursor made it; "" if it is not given.
func (q *query) text(name string) string {
	text, err := base64.RawURLEncoding.DecodeString(q.single(name))
	if err != nil {
		q.bad.add(place{name}, "query parameter %s is not what an earlier page gave as next: list anew without it", name)
	}
	return string(text)
}

// textCursor is how a cursor that is text stands in a URL.
func textCursor(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
