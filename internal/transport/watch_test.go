package transport_test

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/softwareheritage/webhooks/internal/transport"
)

// Tries share a timer, yet each has a deadline of its own.
func TestTriesUnderWayEndEachInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		once := policy
		once.MaxAttempts = 1
		rt := over(serverOf(hangs), once)
		var running sync.WaitGroup
		// Others begin at the second at which the first end, and after all have ended.
		for _, after := range []time.Duration{
			0, 0, time.Second, 14999 * time.Millisecond,
			15 * time.Second, 16 * time.Second, 10 * time.Minute,
		} {
			running.Go(func() {
				time.Sleep(after)
				start := time.Now()
				_, _, err := call(t.Context(), t, rt, http.MethodPost, serverURL, "{}")
				if got := time.Since(start); got != once.AttemptTimeout {
					t.Errorf("the try after %v took %v, want %v", after, got, once.AttemptTimeout)
				}
				isTimeoutOfOurs(t, err)
			})
		}
		running.Wait()
	})
}

// Tests of users may share a client. A timer that was set under one clock never fires under
// another.
func TestDeadlinesHoldUnderEveryClock(t *testing.T) {
	t.Parallel()
	once := transport.Policy{MaxAttempts: 1, AttemptTimeout: 20 * time.Millisecond}
	slow := true
	rt := over(roundTripper(func(req *http.Request) (*http.Response, error) {
		if slow {
			return hangs(req)
		}
		return answers(204, "")(req)
	}), once)
	times := func() {
		for _, slow = range []bool{true, false} {
			_, _, err := call(t.Context(), t, rt, http.MethodGet, serverURL, "")
			if (err != nil) != slow {
				t.Errorf("got error %v", err)
			}
		}
	}
	for range 2 {
		times()
		synctest.Test(t, func(*testing.T) { times() })
	}
}
