package systemtest_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// TestNoEventIsDropped sends while two other clients create and delete the endpoints that listen.
// An event is sent if one listened when SendEvent was called; with a time for the answer that
// nobody listens, if one has listened for that long.
func TestNoEventIsDropped(t *testing.T) {
	t.Parallel()
	for _, others := range []int{0, 40} { // endpoints on other channels
		for _, ttl := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 30 * time.Second} {
			for _, nobody := range []time.Duration{0, 50 * time.Millisecond} {
				t.Run(fmt.Sprintf("%d others, TTL %v, nobody listens %v", others, ttl, nobody), func(t *testing.T) {
					t.Parallel()
					d := &dice{rand: chance(t)}
					harness.InBubble(t, func(t *testing.T) { checkNoneIsDropped(t, d, others, ttl, nobody) })
				})
			}
		}
	}
}

func checkNoneIsDropped(t *testing.T, d *dice, others int, ttl, nobody time.Duration) {
	t.Helper()
	mock := harness.NewServer(t, svixmock.Config{RetrySchedule: []time.Duration{}})
	for i := range others {
		harness.RawPost(t, mock, "/app/"+identity.Application(webhooks.TypeOriginVisit)+"/endpoint",
			fmt.Sprintf(`{"url":"http://receiver.test/%d","channels":["other-%d"]}`, i, i))
	}
	network := harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		time.Sleep(d.upTo(2 * time.Millisecond))
		resp, err := mock.RoundTripper().RoundTrip(r)
		time.Sleep(d.upTo(2 * time.Millisecond))
		return resp, err
	})
	ctx, stop := context.WithTimeout(t.Context(), time.Duration(harness.Sized(1, 30))*time.Second)
	defer stop()
	var running sync.WaitGroup
	var listening [2]atomic.Pointer[time.Time] // since when, by channel; nil: perhaps not
	channel := func(i int) string { return fmt.Sprintf("https://git.example.org/%d", i) }
	for i := range listening {
		client := harness.NewClient(t, network, mock.Token())
		running.Go(func() { comeAndGo(ctx, t, d, client, channel(i), &listening[i], nobody) })
	}
	sender := harness.NewClient(t, network, mock.Token(),
		webhooks.WithCacheTTL(ttl), webhooks.WithNobodyListensTTL(nobody))
	var sent, mustBe, dropped atomic.Int64
	for range 4 {
		running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				time.Sleep(time.Millisecond) // a send from memory takes no time
				i := n % len(listening)
				since, called := listening[i].Load(), time.Now()
				message, err := sender.SendEvent(t.Context(), //nolint:contextcheck // ctx only says when to stop
					webhooks.Event{
						Type: webhooks.TypeOriginVisit, Channel: channel(i),
						Payload: webhooks.OriginVisit{VisitStatus: webhooks.VisitFull},
					})
				if err != nil {
					t.Error(err)
					return
				}
				if !message.IsZero() {
					sent.Add(1)
				}
				if since == nil || called.Sub(*since) < nobody || listening[i].Load() != since {
					continue
				}
				if mustBe.Add(1); message.IsZero() {
					dropped.Add(1)
				}
			}
		})
	}
	running.Wait()
	t.Logf("%d sent, %d of them had to be; %d dropped", sent.Load(), mustBe.Load(), dropped.Load())
	if dropped.Load() > 0 || mustBe.Load() < 20 {
		t.Errorf("%d of %d events were dropped although an endpoint listened; want none of many",
			dropped.Load(), mustBe.Load())
	}
}

// comeAndGo creates an endpoint and deletes it, again and again.
func comeAndGo(ctx context.Context, t *testing.T, d *dice, client *webhooks.Client, channel string,
	listening *atomic.Pointer[time.Time], nobody time.Duration,
) {
	t.Helper()
	ep := webhooks.Endpoint{URL: harness.NewHookURL, EventType: webhooks.TypeOriginVisit, Channel: channel}
	for ctx.Err() == nil {
		err := client.CreateEndpoint(t.Context(), ep, "") //nolint:contextcheck // ctx only says when to stop
		if err != nil {
			t.Error(err)
			return
		}
		since := time.Now()
		listening.Store(&since)
		pause(ctx, nobody+d.upTo(40*time.Millisecond))
		listening.Store(nil)
		err = client.DeleteEndpoint(t.Context(), ep) //nolint:contextcheck // ctx only says when to stop
		if err != nil {
			t.Error(err)
			return
		}
		pause(ctx, d.upTo(40*time.Millisecond))
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
