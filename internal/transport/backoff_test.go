package transport_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/softwareheritage/webhooks/internal/transport"
)

func TestFullJitter(t *testing.T) {
	t.Parallel()
	p := transport.Policy{
		MaxAttempts: 7, MinBackoff: 100 * time.Millisecond,
		MaxBackoff: time.Second, AttemptTimeout: time.Second,
	}
	ceilings := []time.Duration{
		100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond,
		time.Second, time.Second,
	}
	shortest, longest := make([]time.Duration, len(ceilings)), make([]time.Duration, len(ceilings))
	const calls = 300 // none of them in the lowest or highest tenth: once in 10^13 runs
	for range calls {
		for i, wait := range waits(t, p, answers(503, "")) {
			shortest[i], longest[i] = min(wait, orIfZero(shortest[i], wait)), max(longest[i], wait)
		}
	}
	for i, ceiling := range ceilings {
		if longest[i] > ceiling {
			t.Errorf("wait %d took up to %v, want at most %v", i+1, longest[i], ceiling)
		}
		if shortest[i] > ceiling/10 || longest[i] < ceiling*9/10 {
			t.Errorf("wait %d took %v to %v, want the whole range up to %v", i+1, shortest[i], longest[i], ceiling)
		}
	}
}

func orIfZero(d, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return d
}

// waits returns the times between the tries of a request.
func waits(t *testing.T, p transport.Policy, fault step) []time.Duration {
	t.Helper()
	srv := serverOf(fault)
	synctest.Test(t, func(t *testing.T) {
		if _, _, err := call(t.Context(), t, over(srv, p), http.MethodGet, serverURL, ""); err != nil {
			t.Fatal(err)
		}
	})
	var waits []time.Duration
	for i := 1; i < len(srv.seen); i++ {
		waits = append(waits, srv.seen[i].At.Sub(srv.seen[i-1].At))
	}
	return waits
}

func TestBackoffIsNeverAboveMaxBackoff(t *testing.T) {
	t.Parallel()
	tests := map[string]transport.Policy{
		"max below min":  {MinBackoff: time.Hour, MaxBackoff: time.Second},
		"max is zero":    {MinBackoff: time.Hour},
		"both are zero":  {},
		"far too large":  {MinBackoff: 1<<63 - 1, MaxBackoff: time.Second},
		"odd":            {MinBackoff: 1, MaxBackoff: 3},
		"many doublings": {MinBackoff: 1, MaxBackoff: time.Minute},
	}
	for name, p := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p.MaxAttempts, p.AttemptTimeout = 100, time.Second
			for i, wait := range waits(t, p, answers(503, "")) {
				if wait < 0 || wait > p.MaxBackoff {
					t.Errorf("wait %d took %v, want at most %v", i+1, wait, p.MaxBackoff)
				}
			}
		})
	}
}

// The fake clock of synctest begins at this time.
var bubbleStart = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	const ignored = -1
	p := transport.Policy{MaxAttempts: 2, MinBackoff: time.Second, MaxBackoff: time.Minute, AttemptTimeout: time.Second}
	in := func(d time.Duration, layout string) string { return bubbleStart.Add(d).Format(layout) }
	tests := map[string]struct {
		value string
		want  time.Duration
	}{
		"seconds":            {"40", 40 * time.Second},
		"no time":            {"0", 0},
		"capped":             {"61", time.Minute},
		"beyond a Duration":  {"9223372037", time.Minute},
		"beyond 64 bits":     {"99999999999999999999999", time.Minute},
		"date":               {in(7*time.Second, http.TimeFormat), 7 * time.Second},
		"date, RFC 850":      {in(7*time.Second, "Monday, 02-Jan-06 15:04:05 GMT"), 7 * time.Second},
		"date, asctime":      {in(7*time.Second, time.ANSIC), 7 * time.Second},
		"date, capped":       {in(time.Hour, http.TimeFormat), time.Minute},
		"date, far":          {"Fri, 31 Dec 9999 23:59:59 GMT", time.Minute},
		"date, past":         {in(-time.Second, http.TimeFormat), ignored},
		"date, now":          {in(0, http.TimeFormat), ignored},
		"date, not HTTP's":   {in(7*time.Second, time.RFC3339), ignored},
		"negative":           {"-5", ignored},
		"fraction":           {"1.5", ignored},
		"exponent":           {"1e1", ignored},
		"unit":               {"5s", ignored},
		"empty":              {"", ignored},
		"words":              {"later, please", ignored},
		"digits of a script": {"٤٠", ignored},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := waits(t, p, answers(503, "", "Retry-After", test.value))[0]
			if test.want == ignored && (got == 0 || got > p.MinBackoff) { // 0 is one in 10^9 of the backoff
				t.Errorf("waited %v, want the backoff of up to %v", got, p.MinBackoff)
			}
			if test.want != ignored && got != test.want {
				t.Errorf("waited %v, want %v", got, test.want)
			}
		})
	}
}

func TestRetryAfterOnEveryStatusThatIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, status := range []int{408, 425, 429, 500, 502, 503, 504} {
		for i, wait := range waits(t, policy, answers(status, "", "Retry-After", "29")) {
			if wait != 29*time.Second {
				t.Errorf("status %d: wait %d took %v, want 29s", status, i+1, wait)
			}
		}
	}
}

func TestRetryAfterOfABrokenAnswerIsObeyed(t *testing.T) {
	t.Parallel()
	broken := func(req *http.Request) (*http.Response, error) {
		resp, err := breaksOff(503)(req)
		resp.Header.Set("Retry-After", "29")
		return resp, err
	}
	srv := serverOf(broken, answers(200, "{}"))
	synctest.Test(t, func(t *testing.T) {
		if _, _, err := call(t.Context(), t, over(srv, policy), http.MethodGet, serverURL, ""); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(bubbleStart); got != 29*time.Second {
			t.Errorf("waited %v, want 29s", got)
		}
	})
}
