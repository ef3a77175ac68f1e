package webhooks_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// A day is how far the server looks back, divided by 90.
const day = 24 * time.Hour

// listings are the two ways to list the sent events of knownEndpoint, the only one of its event
// type.
func listings(ctx context.Context,
	client *webhooks.Client,
) map[string]func(q webhooks.SentEventQuery) iter.Seq2[webhooks.SentEvent, error] {
	return map[string]func(q webhooks.SentEventQuery) iter.Seq2[webhooks.SentEvent, error]{
		"endpoint": func(q webhooks.SentEventQuery) iter.Seq2[webhooks.SentEvent, error] {
			return client.ListSentEventsForEndpoint(ctx, harness.KnownEndpoint(), q)
		},
		"event type": func(q webhooks.SentEventQuery) iter.Seq2[webhooks.SentEvent, error] {
			return client.ListSentEventsForEventType(ctx, webhooks.TypeOriginCreate, q)
		},
	}
}

// TestListingsLimitSavesRequests where what is wanted is not what comes first.
func TestListingsLimitSavesRequests(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		server func(t *testing.T) (*svixmock.Server, *webhooks.Client)
		q      webhooks.SentEventQuery
		want   map[string]int // requests at most; one of them compares the endpoint with its description
	}{
		"one of many in the second of Before": {
			server: func(t *testing.T) (*svixmock.Server, *webhooks.Client) {
				t.Helper()
				return historyServer(t, busySecond())
			},
			q:    webhooks.SentEventQuery{Limit: 1, Before: busySecond()[2]},
			want: map[string]int{"endpoint": 1 + 2 + 1 + 1, "event type": 1 + 1 + 2},
		},
		"10 of the 300 attempts of a message": {
			server: broadcast(300),
			q:      webhooks.SentEventQuery{Limit: 10},
			want:   map[string]int{"endpoint": 1 + 3, "event type": 1 + 1 + 2*10},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				mock, client := tt.server(t)
				// it leaves the event type in the cache
				if _, err := webhooks.Collect(client.ListEndpoints(t.Context(),
					webhooks.TypeOriginCreate, webhooks.EndpointQuery{})); err != nil {
					t.Fatal(err)
				}
				for name, list := range listings(t.Context(), client) {
					before := len(mock.Requests())
					timestamps(t, list(tt.q))
					if made := len(mock.Requests()) - before; made > tt.want[name] {
						t.Errorf("%s: made %d requests, want at most %d", name, made, tt.want[name])
					}
				}
			})
		})
	}
}

// busySecond are 250 times in the last second of the hour before the present of inBubble.
func busySecond() []time.Time {
	times := make([]time.Time, 250)
	for i := range times {
		times[i] = time.Date(2026, 11, 23, 8, 59, 59, i*int(4*time.Millisecond), time.UTC)
	}
	return times
}

// broadcast is a server on which one message was delivered to n endpoints.
func broadcast(n int) func(t *testing.T) (*svixmock.Server, *webhooks.Client) {
	return func(t *testing.T) (*svixmock.Server, *webhooks.Client) {
		t.Helper()
		mock, client := historyServer(t, nil)
		for i := range n - 1 {
			ep := webhooks.Endpoint{URL: fmt.Sprintf("%s/%d", harness.HookURL, i), EventType: webhooks.TypeOriginCreate}
			if err := client.CreateEndpoint(t.Context(), ep, ""); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := client.SendEvent(t.Context(), harness.KnownEvent()); err != nil {
			t.Fatal(err)
		}
		if err := mock.WaitForDeliveries(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		return mock, client
	}
}

// TestBreakingOutOfListings ends the requests, those that are made ahead too.
func TestBreakingOutOfListings(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		begin := time.Now().Add(-day)
		times := make([]time.Time, 2000)
		for i := range times {
			times[i] = begin.Add(time.Duration(i) * time.Second)
		}
		mock, client := historyServer(t, times)
		mock.FailRate(1, 1, svixmock.Fault{Delay: time.Second})
		for name, list := range listings(t.Context(), client) {
			for event, err := range list(webhooks.SentEventQuery{}) {
				if err != nil || !event.Timestamp.Equal(times[len(times)-1]) {
					t.Errorf("%s: got %v, %v first, want the newest event", name, event.Timestamp, err)
				}
				break
			}
			made := len(mock.Requests())
			time.Sleep(time.Minute)
			if later := len(mock.Requests()); later != made {
				t.Errorf("%s: made %d requests after the break", name, later-made)
			}
			const page, ahead = 250, 8
			if most := page/4 + 2*ahead; made > most {
				t.Errorf("%s: made %d requests for one event, want at most %d", name, made, most)
			}
		}
	})
}

// TestFirstEventIsNotHeldBack by the many messages after it that were delivered to nobody.
func TestFirstEventIsNotHeldBack(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock, client := historyServer(t, nil)
		if err := client.SetEndpointDisabled(t.Context(), harness.KnownEndpoint(), true); err != nil {
			t.Fatal(err)
		}
		for range 300 {
			harness.RawPost(t, mock, application(webhooks.TypeOriginCreate)+"/msg",
				`{"eventType":"origin.create","payload":{}}`)
		}
		time.Sleep(time.Second)
		if err := client.SetEndpointDisabled(t.Context(), harness.KnownEndpoint(), false); err != nil {
			t.Fatal(err)
		}
		sent, err := client.SendEvent(t.Context(), harness.KnownEvent())
		if err != nil {
			t.Fatal(err)
		}
		if err := mock.WaitForDeliveries(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		before := len(mock.Requests())
		for event, err := range client.ListSentEventsForEventType(t.Context(),
			webhooks.TypeOriginCreate, webhooks.SentEventQuery{}) {
			if err != nil || event.MessageID != sent.ID {
				t.Errorf("got %+v, %v; want the attempt of %s", event, err, sent.ID)
			}
			break
		}
		const ahead = 8
		if made := len(mock.Requests()) - before; made > 1+ahead+2 {
			t.Errorf("made %d requests for the newest event, want at most %d", made, 1+ahead+2)
		}
	})
}

// TestListingMeetsRecipientsAhead: where each message has an endpoint of its own, as with channels,
// these are looked up in parallel, too.
func TestListingMeetsRecipientsAhead(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		const n = 64
		mock, client := historyServer(t, nil)
		for i := range n {
			channel := fmt.Sprint("channel ", i)
			if err := client.CreateEndpoint(t.Context(),
				webhooks.Endpoint{URL: harness.HookURL, EventType: webhooks.TypeOriginCreate, Channel: channel},
				""); err != nil {
				t.Fatal(err)
			}
			event := harness.KnownEvent()
			event.Channel = channel
			if _, err := client.SendEvent(t.Context(), event); err != nil {
				t.Fatal(err)
			}
		}
		if err := mock.WaitForDeliveries(t.Context(), 2*n); err != nil { // the known endpoint is on every channel
			t.Fatal(err)
		}
		mock.FailRate(1, 1, svixmock.Fault{Delay: time.Second})
		start := time.Now()
		if got := timestamps(t, client.ListSentEventsForEventType(t.Context(),
			webhooks.TypeOriginCreate, webhooks.SentEventQuery{})); len(got) != 2*n {
			t.Errorf("got %d events, want %d", len(got), 2*n)
		}
		const requests = 1 + n + 2*(n+1)
		if took := time.Since(start); took > requests/4*time.Second {
			t.Errorf("took %v for %d requests of a second, want a quarter at most", took, requests)
		}
	})
}

// TestListingsUnderFaults: what goes wrong on the way neither hides an event nor shows one twice.
func TestListingsUnderFaults(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // reproducible
		times := randomHistory(random, 400)
		mock, _ := historyServer(t, times)
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token(),
			webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 30}))
		mock.FailRate(0.3, 1, harness.EveryFault(time.Second)...)
		for range 3 {
			q := randomQuery(random, times)
			for name, list := range listings(t.Context(), client) {
				checkAgainstModel(t, fmt.Sprintf("%s, %+v", name, q), times, q, timestamps(t, list(q)))
			}
		}
	})
}
