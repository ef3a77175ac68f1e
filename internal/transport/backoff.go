package transport

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// wait returns the time between a try, the first being 1, and the next.
func (p Policy) wait(try int, header http.Header) time.Duration {
	if asked, ok := retryAfter(header.Get("Retry-After")); ok {
		return min(asked, p.MaxBackoff)
	}
	return time.Duration(rand.Float64() * float64(p.ceiling(try))) //nolint:gosec // spreads load, guards nothing
}

// ceiling is MinBackoff doubled for each try after the first. The whole range
// below it is drawn from ("full jitter"): clients that failed together do not
// come back together.
func (p Policy) ceiling(try int) time.Duration {
	d := min(p.MinBackoff, p.MaxBackoff)
	for range try - 1 {
		if d > p.MaxBackoff/2 {
			return p.MaxBackoff
		}
		d *= 2
	}
	return d
}

// longest stands for every time that a Duration cannot hold.
const longest = time.Duration(1<<63 - 1)

// retryAfter reads a Retry-After header: a number of seconds, or a date that
// is still to come (RFC 9110, 10.2.3). Anything else is no advice.
func retryAfter(value string) (time.Duration, bool) {
	seconds, err := strconv.ParseUint(value, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange), seconds > uint64(longest/time.Second):
		return longest, true
	case err == nil:
		return time.Duration(seconds) * time.Second, true
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	d := time.Until(date)
	return d, d > 0
}

// RetryAfter returns how long the server asked to wait; zero if it did not.
func (a *Answer) RetryAfter() time.Duration {
	asked, _ := retryAfter(a.Header.Get("Retry-After"))
	return asked
}

// pause returns after d, or when ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
