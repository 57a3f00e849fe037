package fetch

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// maxRetryAfter bounds what a server may ask for: beyond it, a task would be
// parked for good by a typo of somebody else.
const maxRetryAfter = 24 * time.Hour

// StatusError makes the error of an answer that is not what was wanted. 429 and
// 503 are retried after their Retry-After; 408, 425, 429 and all of 5xx are
// retried; the rest is permanent, for the same request would get the same answer.
func StatusError(resp *http.Response, now time.Time) error {
	where := ""
	if resp.Request != nil && resp.Request.URL != nil {
		where = ShowURL(resp.Request.URL) + ": "
	}
	err := fmt.Errorf("%sthe server answered %d %s", where, resp.StatusCode, http.StatusText(resp.StatusCode))
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		if d, ok := retryAfter(resp.Header.Get("Retry-After"), now); ok {
			return sdk.RetryAfter(err, d)
		}
		return err
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code >= 500:
		return err
	default:
		return sdk.Permanent(err)
	}
}

// retryAfter reads the header: seconds, or a date.
func retryAfter(v string, now time.Time) (time.Duration, bool) {
	if v == "" {
		return 0, false
	}
	var d time.Duration
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = at.Sub(now)
	} else {
		return 0, false
	}
	return min(max(d, 0), maxRetryAfter), true
}
