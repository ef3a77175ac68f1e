package systemtest_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

var seed = flag.Uint64("seed", 0, "of the tests that go by chance; 0: a new one each time")

// chance is what a test draws from. The log tells how to draw the same again.
func chance(t *testing.T) *rand.Rand {
	t.Helper()
	drawn := *seed
	if drawn == 0 {
		drawn = rand.Uint64() //nolint:gosec // it guards nothing
	}
	t.Logf("-seed %d", drawn)
	return rand.New(rand.NewPCG(drawn, 0)) //nolint:gosec // it has to be reproducible
}

// dice are shared by goroutines.
type dice struct {
	mu   sync.Mutex
	rand *rand.Rand
}

func (d *dice) upTo(limit time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Duration(d.rand.Int64N(int64(limit)))
}

// percent is true in so many of a hundred cases.
func (d *dice) percent(p int64) bool { return d.upTo(100) < time.Duration(p) }

// dropped are the ways in which a server drops the handler of a request, and leaves the client
// without an answer.
func dropped() []svixmock.Fault {
	return []svixmock.Fault{
		{GoAway: svixmock.NothingStored}, {GoAway: svixmock.StoredNotQueued}, {GoAway: svixmock.StoredAndQueued},
	}
}

// moody is a receiver that fails often and is slow at times.
func moody(d *dice) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if d.percent(5) {
			time.Sleep(10 * time.Second)
		}
		if d.percent(30) {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}
}

// TestEveryEventIsAttempted sends while 30 % of all requests meet a fault, handlers are dropped,
// calls are cancelled in the middle and receivers fail. What is repeated until it succeeds is
// stored once and attempted at least once, and no retry that the server has planned is cancelled.
func TestEveryEventIsAttempted(t *testing.T) {
	t.Parallel()
	random := chance(t)
	harness.InBubble(t, func(t *testing.T) {
		n := harness.Sized(1_000, 10_000)
		d := &dice{rand: random}
		schedule := []time.Duration{5 * time.Second, 5 * time.Minute}
		mock := harness.NewServer(t, svixmock.Config{RetrySchedule: schedule, KeepDeliveries: 10 * n})
		mock.Handle(harness.HookURL, moody(d))
		known := len(mock.Messages())
		mock.FailRate(0.3, random.Uint64(), append(harness.EveryFault(3*time.Second), dropped()...)...)
		var requests atomic.Int64
		network := harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			requests.Add(1)
			time.Sleep(d.upTo(10 * time.Millisecond))
			return mock.RoundTripper().RoundTrip(r)
		})
		client := harness.NewClient(t, network, mock.Token(), webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 3}))

		var calls atomic.Int64
		var senders sync.WaitGroup
		var next atomic.Int64
		for range 64 {
			senders.Go(func() {
				for i := next.Add(1); i <= int64(n); i = next.Add(1) {
					calls.Add(int64(sendUntilItIsSent(t, client, d, harness.NumberedEvent(int(i), true))))
				}
			})
		}
		senders.Wait()
		mock.FailRate(0, 0)
		if err := client.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour) // until the last retry
		sent := checkAttempts(t, mock, n, known, len(schedule))
		t.Logf("%d events, %d calls, %.1f requests an event; %s",
			n, calls.Load(), float64(requests.Load())/float64(n), sent)
	})
}

// sendUntilItIsSent returns how many calls it takes. Every other first call is cancelled within 20
// ms.
func sendUntilItIsSent(t *testing.T, client *webhooks.Client, d *dice, event webhooks.Event) int {
	t.Helper()
	const enough = 50
	for call := 1; call <= enough; call++ {
		ctx, cancel := context.WithCancel(t.Context())
		if call == 1 && d.percent(50) {
			time.AfterFunc(d.upTo(20*time.Millisecond), cancel)
		}
		message, err := client.SendEvent(ctx, event)
		cancel()
		if err == nil && !message.IsZero() {
			return call
		}
	}
	t.Errorf("event %s: not sent with %d calls", event.ID, enough)
	return enough
}

// attempts are what the receivers of a message saw.
type attempts struct{ scheduled, manual, succeeded int }

// summary says what became of events.
type summary struct{ stored, delivered, twice, resent, given int }

func (s summary) String() string {
	return fmt.Sprintf("%d stored, %d delivered, %d of them twice, %d resent, %d tried in vain",
		s.stored, s.delivered, s.twice, s.resent, s.given)
}

// checkAttempts holds what the server has against what a sender was promised. All retries must be
// over.
func checkAttempts(t *testing.T, mock *svixmock.Server, n, known, retries int) summary {
	t.Helper()
	byMessage := map[string]*attempts{}
	for _, d := range mock.Deliveries() {
		a := byMessage[d.MessageID]
		if a == nil {
			a = new(attempts)
			byMessage[d.MessageID] = a
		}
		if d.Manual {
			a.manual++
		} else {
			a.scheduled++
		}
		if d.Status == http.StatusOK {
			a.succeeded++
		}
	}
	var s summary
	stored := map[string]bool{}
	for _, m := range mock.Messages()[known:] {
		if stored[m.EventID] {
			t.Errorf("event %s is stored twice", m.EventID)
		}
		stored[m.EventID] = true
		a := byMessage[m.ID]
		switch {
		case a == nil:
			t.Errorf("event %s is stored and was never attempted", m.EventID)
			continue
		case a.scheduled > 0 && a.manual > 0:
			t.Errorf("event %s was queued and resent all the same: %+v", m.EventID, *a)
		case a.scheduled > 0 && a.succeeded == 0 && a.scheduled <= retries:
			t.Errorf("event %s was given up after %d attempts", m.EventID, a.scheduled)
		}
		switch {
		case a.succeeded > 1:
			s.twice++
			s.delivered++
		case a.succeeded == 1:
			s.delivered++
		default:
			s.given++
		}
		s.resent += min(1, a.manual)
	}
	if s.stored = len(stored); s.stored != n {
		t.Errorf("%d events are stored, want %d", s.stored, n)
	}
	return s
}
