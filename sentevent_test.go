package webhooks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
			want: map[string]int{"endpoint": 1 + 2 + 1 + 1, "event type": 2 + 1 + 2},
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

// TestPagesBeginAtWhatTheLimitNeeds, so that large payloads and responses do not come for nothing.
func TestPagesBeginAtWhatTheLimitNeeds(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock, client := historyServer(t, busySecond())
		for _, q := range []webhooks.SentEventQuery{{}, {After: busySecond()[10]}, {Before: busySecond()[249].Add(1)}} {
			for limit := 1; limit < 300; limit = 3*limit + 1 {
				q.Limit = limit
				for name, list := range listings(t.Context(), client) {
					before := len(mock.Requests())
					want := min(limit, len(selected(busySecond(), q)))
					if got := timestamps(t, list(q)); len(got) != want {
						t.Errorf("%s, %+v: got %d attempts, want %d", name, q, len(got), want)
					}
					for _, r := range mock.Requests()[before:] {
						query, err := url.ParseQuery(r.RawQuery)
						if err != nil {
							t.Fatal(err)
						}
						asked, _ := strconv.Atoi(query.Get("limit"))
						ofMessages := strings.HasSuffix(r.Path, "/msg") && query.Has("iterator") // for payloads
						if most := min(limit, 250); !strings.HasSuffix(r.Path, "/endpoint") &&
							!ofMessages && asked > most {
							t.Errorf("%s, %+v: asked for %d at %s", name, q, asked, r.Path)
						}
					}
				}
			}
		}
	})
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

// follow ranges over a sequence in the background. The channel is closed at its end.
func follow(t *testing.T, seq iter.Seq2[webhooks.SentEvent, error]) (
	events <-chan webhooks.SentEvent, end <-chan error,
) {
	t.Helper()
	given, failed := make(chan webhooks.SentEvent, 1000), make(chan error, 1)
	go func() {
		defer close(given)
		defer close(failed)
		for event, err := range seq {
			if err != nil {
				failed <- err
				continue
			}
			given <- event
		}
	}()
	return given, failed
}

// drain returns the ids of the messages of the events that have come, in their order.
func drain(events <-chan webhooks.SentEvent) []string {
	var ids []string
	for {
		select {
		case event, ok := <-events:
			if !ok {
				return ids
			}
			ids = append(ids, event.MessageID)
		default:
			return ids
		}
	}
}

// TestFollowSentEvents gives what appears from now on, each attempt once, though some take long.
func TestFollowSentEvents(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{RetrySchedule: []time.Duration{}})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		mock.Handle(harness.HookURL, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(harness.NewHookURL, r.URL.Path) {
				time.Sleep(25 * time.Second)
			}
		}))
		slow := webhooks.Endpoint{URL: harness.NewHookURL, EventType: webhooks.TypeOriginCreate, Channel: "slow"}
		if err := client.CreateEndpoint(t.Context(), slow, ""); err != nil {
			t.Fatal(err)
		}
		send := func(channel string) string {
			event := harness.KnownEvent()
			event.Channel = channel
			return sendTo(t, mock, event).ID
		}
		running := send("slow") // its attempt at the slow endpoint ends when the other one was long there
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		events, end := follow(t, client.FollowSentEvents(ctx, webhooks.TypeOriginCreate, webhooks.SentEventQuery{}))
		time.Sleep(3 * time.Second)
		if got := drain(events); len(got) != 0 {
			t.Errorf("got the attempts %v of before", got)
		}
		var want []string
		for range 5 {
			want = append(want, send(""))
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Second)
		if diff := cmp.Diff(want, drain(events)); diff != "" {
			t.Errorf("attempts from now on (-want +got):\n%s", diff)
		}
		time.Sleep(20 * time.Second)
		if diff := cmp.Diff([]string{running}, drain(events)); diff != "" {
			t.Errorf("the attempt that began before (-want +got):\n%s", diff)
		}

		created := slow
		created.URL, created.Channel = harness.HookURL+"/created", "created"
		if err := client.CreateEndpoint(t.Context(), created, ""); err != nil {
			t.Fatal(err)
		}
		late := send("created")
		time.Sleep(35 * time.Second)
		if diff := cmp.Diff([]string{late, late}, drain(events)); diff != "" {
			t.Errorf("attempts to an endpoint that was created meanwhile (-want +got):\n%s", diff)
		}
		if err := client.DeleteEndpoint(t.Context(), created); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		last := send("")
		time.Sleep(3 * time.Second)
		if diff := cmp.Diff([]string{last}, drain(events)); diff != "" {
			t.Errorf("ten minutes later (-want +got):\n%s", diff)
		}
		cancel()
		if err := <-end; !errors.Is(err, context.Canceled) {
			t.Errorf("got the last error %v, want that of the context", err)
		}
	})
}

// TestFollowSentEventsFromAfter begins with the oldest, however many there are, and goes on.
func TestFollowSentEventsFromAfter(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		begin := time.Now().Add(-200 * day)
		var times []time.Time
		for i := range 700 {
			times = append(times, begin.Add(time.Duration(i)*time.Second).UTC())
		}
		for i := range 300 {
			times = append(times, time.Now().Add(-time.Minute+time.Duration(i)*100*time.Millisecond).UTC())
		}
		mock, client := historyServer(t, times)
		ctx, cancel := context.WithCancel(t.Context())
		q := webhooks.SentEventQuery{After: times[99]}
		events, end := follow(t, client.FollowSentEvents(ctx, webhooks.TypeOriginCreate, q))
		sent := false
		for i := 100; i < len(times); i++ {
			event := <-events
			if !event.Timestamp.Equal(times[i]) || len(event.Payload) == 0 {
				t.Fatalf("number %d is of %v with the payload %s, want %v", i, event.Timestamp, event.Payload, times[i])
			}
			if i == 500 && !sent {
				sent = true
				sendTo(t, mock, harness.KnownEvent())
			}
		}
		if event := <-events; time.Since(event.Timestamp) > time.Minute {
			t.Errorf("got %+v, want what was sent meanwhile", event)
		}
		time.Sleep(time.Hour)
		if got := drain(events); len(got) != 0 {
			t.Errorf("got %d attempts twice", len(got))
		}
		cancel()
		if err := <-end; !errors.Is(err, context.Canceled) {
			t.Errorf("got the last error %v, want that of the context", err)
		}
	})
}

// TestFollowSentEventsAsksEachEndpointOnce in two seconds.
func TestFollowSentEventsAsksEachEndpointOnce(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		const endpoints, minutes = 10, 10
		mock, client := broadcast(endpoints)(t)
		ctx, cancel := context.WithCancel(t.Context())
		before := len(mock.Requests())
		_, end := follow(t, client.FollowSentEvents(ctx, webhooks.TypeOriginCreate, webhooks.SentEventQuery{}))
		time.Sleep(minutes * time.Minute)
		cancel()
		if err := <-end; !errors.Is(err, context.Canceled) {
			t.Errorf("got the last error %v, want that of the context", err)
		}
		const refreshes = minutes*2 + 1
		most := minutes*30*endpoints + endpoints + refreshes*2
		if made := len(mock.Requests()) - before; made > most {
			t.Errorf("made %d requests, want at most %d", made, most)
		}
	})
}

// TestFollowSentEventsOutlivesTheServer: what the server cannot answer now it can later, and
// nothing is lost or given twice.
func TestFollowSentEventsOutlivesTheServer(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{})
		var log bytes.Buffer
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token(),
			webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1}),
			webhooks.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		ctx, cancel := context.WithCancel(t.Context())
		events, end := follow(t, client.FollowSentEvents(ctx, webhooks.TypeOriginCreate, webhooks.SentEventQuery{}))
		time.Sleep(time.Second)
		var want []string
		random := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // reproducible
		reads := func(r *http.Request) bool { return r.Method == http.MethodGet }
		for i := range 40 {
			mock.FailRate(0, 0)
			want = append(want, sendTo(t, mock, harness.KnownEvent()).ID)
			mock.FailRate(0.4, uint64(i), svixmock.Fault{Status: http.StatusServiceUnavailable, Only: reads},
				svixmock.Fault{Status: http.StatusTooManyRequests, Only: reads},
				svixmock.Fault{Reset: true, Only: reads},
				svixmock.Fault{Status: http.StatusBadGateway, Body: "<html>", Only: reads})
			if i == 20 { // away for minutes
				mock.FailRate(1, 1, svixmock.Fault{Reset: true, Only: reads})
			}
			time.Sleep(time.Duration(1+random.IntN(200)) * time.Second)
		}
		mock.FailRate(0, 0)
		time.Sleep(time.Minute)
		if diff := cmp.Diff(want, drain(events)); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
		cancel()
		if err := <-end; !errors.Is(err, context.Canceled) {
			t.Errorf("got the last error %v, want that of the context", err)
		}
		if !strings.Contains(log.String(), "level=WARN") {
			t.Errorf("nothing was logged: %s", log.String())
		}
	})
}

// TestFollowSentEventsEnds with an error that does not pass, and with the limit.
func TestFollowSentEventsEnds(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		hourAgo := time.Now().Add(-time.Hour)
		const eventType = webhooks.TypeOriginCreate
		refused := svixmock.Fault{
			Status: http.StatusUnauthorized, Body: `{"code":"authentication_failed","detail":"Invalid token"}`,
		}
		login, none := svixmock.Fault{Status: http.StatusOK, Body: "<html>"}, svixmock.Fault{}
		tests := map[string]struct {
			eventType string
			q         webhooks.SentEventQuery
			fault     svixmock.Fault
			events    int
			want      error // nil: none
		}{
			"limit": {eventType, webhooks.SentEventQuery{After: hourAgo, Limit: 1}, none, 1, nil},
			"before": {
				eventType,
				webhooks.SentEventQuery{Before: time.Now()},
				none, 0,
				webhooks.ErrInvalidQuery,
			},
			"deleted": {
				eventType,
				webhooks.SentEventQuery{IncludeDeleted: true},
				none, 0,
				webhooks.ErrInvalidQuery,
			},
			"negative limit": {eventType, webhooks.SentEventQuery{Limit: -1}, none, 0, webhooks.ErrInvalidQuery},
			"type not there": {"origin.none", webhooks.SentEventQuery{}, none, 0, webhooks.ErrEventTypeNotFound},
			"not a type":     {"origin", webhooks.SentEventQuery{}, none, 0, webhooks.ErrEventTypeNotFound},
			"token refused": {
				eventType,
				webhooks.SentEventQuery{After: hourAgo},
				refused, 0,
				webhooks.ErrUnauthorized,
			},
			"another server":  {eventType, webhooks.SentEventQuery{After: hourAgo}, login, 0, new(webhooks.APIError)},
			"without a limit": {eventType, webhooks.SentEventQuery{After: hourAgo}, none, 1, context.DeadlineExceeded},
		}
		for name, tt := range tests {
			if tt.fault.Status != 0 {
				mock.FailNext(1, tt.fault)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			events, errs := pairs(client.FollowSentEvents(ctx, tt.eventType, tt.q))
			cancel()
			var api *webhooks.APIError
			err := errs[len(errs)-1]
			switch {
			case tt.want == nil:
				if err != nil || len(events) != tt.events {
					t.Errorf("%s: got %d events, %v; want %d and no error", name, len(events), err, tt.events)
				}
			case errors.As(tt.want, &api):
				if !errors.As(err, &api) {
					t.Errorf("%s: got the error %v, want an APIError", name, err)
				}
			case !errors.Is(err, tt.want) || len(errs) != tt.events+1:
				t.Errorf("%s: got the errors %v, want %d events and %v", name, errs, tt.events, tt.want)
			}
		}
	})
}
