package webhooks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// A day is how far the server looks back, divided by 90.
const day = 24 * time.Hour

// listings are the two ways to list the sent events of knownEndpoint, the only
// one of its event type.
func listings(ctx context.Context, client *webhooks.Client) map[string]func(q webhooks.SentEventQuery) iter.Seq2[webhooks.SentEvent, error] {
	return map[string]func(q webhooks.SentEventQuery) iter.Seq2[webhooks.SentEvent, error]{
		"endpoint": func(q webhooks.SentEventQuery) iter.Seq2[webhooks.SentEvent, error] {
			return client.ListSentEventsForEndpoint(ctx, harness.KnownEndpoint(), q)
		},
		"event type": func(q webhooks.SentEventQuery) iter.Seq2[webhooks.SentEvent, error] {
			return client.ListSentEventsForEventType(ctx, webhooks.TypeOriginCreate, q)
		},
	}
}

// historyServer is a server with attempts at the given times, in any order.
func historyServer(t *testing.T, times []time.Time) (*svixmock.Server, *webhooks.Client) {
	t.Helper()
	mock := svixmock.New(svixmock.Config{KeepRequests: 10_000})
	t.Cleanup(mock.Close)
	mock.Handle(harness.HookURL, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	if err := client.CreateEventType(t.Context(), webhooks.DefaultEventTypes()[0]); err != nil {
		t.Fatal(err)
	}
	if err := client.CreateEndpoint(t.Context(), harness.KnownEndpoint(), ""); err != nil {
		t.Fatal(err)
	}
	times = slices.SortedFunc(slices.Values(times), time.Time.Compare)
	harness.SeedAttempts(t, mock, harness.KnownEndpoint(), len(times), func(i int) time.Time { return times[i] })
	return mock, client
}

// timestamps are the times of listed events, in the order of the list.
func timestamps(t *testing.T, list iter.Seq2[webhooks.SentEvent, error]) []time.Time {
	t.Helper()
	var times []time.Time
	for event, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		if len(event.Payload) == 0 {
			t.Errorf("the event of %v has no payload", event.Timestamp)
		}
		times = append(times, event.Timestamp)
	}
	return times
}

// selected are the times in a query's range, newest first.
func selected(times []time.Time, q webhooks.SentEventQuery) []time.Time {
	in := slices.DeleteFunc(slices.Clone(times), func(at time.Time) bool {
		return !q.Before.IsZero() && !at.Before(q.Before) || !q.After.IsZero() && !at.After(q.After)
	})
	slices.SortFunc(in, func(a, b time.Time) int { return b.Compare(a) })
	return in
}

// TestListingsBackToAfter: with After nothing is lost, wherever the gaps are in
// relation to the 90 days that the server looks back from now, from a bound or
// from the last item of a page.
func TestListingsBackToAfter(t *testing.T) {
	t.Parallel()
	tests := map[string][]int{ // ages in days
		"no gap of 90 days":                 {1, 50, 100, 170, 250, 300},
		"just beyond 90 days":               {91},
		"beyond the days before now":        {50, 100},
		"beyond the days before a bound":    {170, 185},
		"gaps of more than 90 days":         {1, 120, 400, 401, 800},
		"nothing new":                       {600},
		"where the server stops, and after": {88, 89, 90, 91, 178, 179, 180, 181, 182},
	}
	for name, ages := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				var times []time.Time
				for _, age := range ages {
					at := time.Now().Add(-time.Duration(age) * day)
					times = append(times, at, at.Add(-time.Nanosecond*1000), at.Add(250*time.Millisecond), at.Add(time.Second))
				}
				_, client := historyServer(t, times)
				for name, list := range listings(t.Context(), client) {
					q := webhooks.SentEventQuery{After: time.Now().Add(-1000 * day)}
					if diff := cmp.Diff(selected(times, q), timestamps(t, list(q))); diff != "" {
						t.Errorf("%s (-want +got):\n%s", name, diff)
					}
				}
			})
		})
	}
}

// TestListingsMatchAModel compares the listings of a random history, with busy
// seconds and long gaps, with what they promise. Without After that is what
// there was in the 90 days, and of older events as many as the server likes.
func TestListingsMatchAModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // reproducible
				times := randomHistory(random, 400)
				_, client := historyServer(t, times)
				for range 5 {
					q := randomQuery(random, times)
					for name, list := range listings(t.Context(), client) {
						checkAgainstModel(t, fmt.Sprintf("%s, %+v", name, q), times, q, timestamps(t, list(q)))
					}
				}
			})
		})
	}
}

// randomHistory are n times, mostly close to each other, in steps of the 4 ms in
// which the server's ids count: within one it has no order.
func randomHistory(random *rand.Rand, n int) []time.Time {
	at := time.Now()
	times := make([]time.Time, n)
	for i := range times {
		steps := []time.Duration{4 * time.Millisecond, time.Second, time.Hour, day, 89 * day, 91 * day}
		step := steps[min(int(random.ExpFloat64()), len(steps)-1)]
		if step > day && random.IntN(4) > 0 {
			step = day
		}
		at = at.Add(-step * time.Duration(1+random.IntN(2))).Truncate(4 * time.Millisecond)
		times[i] = at.UTC()
	}
	return times
}

func randomQuery(random *rand.Rand, times []time.Time) webhooks.SentEventQuery {
	bound := times[random.IntN(len(times))].Add(time.Duration(random.IntN(3)-1) * time.Microsecond)
	var q webhooks.SentEventQuery
	switch random.IntN(5) {
	case 0:
	case 1, 2:
		q.Before = bound
	default:
		q.After = bound
	}
	if random.IntN(2) == 0 {
		q.Limit = 1 + random.IntN(len(times)+100)
	}
	return q
}

func checkAgainstModel(t *testing.T, name string, times []time.Time, q webhooks.SentEventQuery, got []time.Time) {
	t.Helper()
	all := selected(times, q)
	least := len(all)
	if q.After.IsZero() {
		from := time.Now()
		if !q.Before.IsZero() {
			from = q.Before
		}
		least = len(selected(all, webhooks.SentEventQuery{After: from.Add(-90 * day)}))
	}
	if q.Limit > 0 {
		all = all[:min(len(all), q.Limit)]
		least = min(least, q.Limit)
	}
	if len(got) < least {
		t.Errorf("%s: got %d events, want %d at least", name, len(got), least)
	}
	if diff := cmp.Diff(all[:min(len(got), len(all))], got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// TestListingsBoundsWithinASlot: ids count in steps of 4 ms, bounds do not.
func TestListingsBoundsWithinASlot(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		begin := time.Now().Add(-time.Hour).Truncate(time.Second).UTC()
		var times []time.Time
		for i := range 6 {
			times = append(times, begin.Add(time.Duration(i)*1500*time.Microsecond), begin.Add(-time.Duration(i+1)*1500*time.Microsecond))
		}
		_, client := historyServer(t, times)
		for name, list := range listings(t.Context(), client) {
			for _, at := range times {
				for _, bound := range []time.Time{at.Add(-1), at, at.Add(1)} {
					for _, q := range []webhooks.SentEventQuery{{Before: bound}, {After: bound}} {
						got := timestamps(t, list(q))
						slices.SortFunc(got, func(a, b time.Time) int { return b.Compare(a) })
						if diff := cmp.Diff(selected(times, q), got, cmpopts.EquateEmpty()); diff != "" {
							t.Fatalf("%s, %+v (-want +got):\n%s", name, q, diff)
						}
					}
				}
			}
		}
	})
}

// TestListingsBoundsInOddZones: old local times are seconds away from UTC, which
// RFC 3339 cannot say.
func TestListingsBoundsInOddZones(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		begin := time.Now().Add(-time.Hour).UTC()
		times := make([]time.Time, 100)
		for i := range times {
			times[i] = begin.Add(time.Duration(i) * time.Second)
		}
		_, client := historyServer(t, times)
		for name, list := range listings(t.Context(), client) {
			for _, offset := range []int{-30, 30, 3661, -86399} {
				q := webhooks.SentEventQuery{Before: times[50].In(time.FixedZone("odd", offset))}
				if diff := cmp.Diff(selected(times, q), timestamps(t, list(q))); diff != "" {
					t.Errorf("%s, offset %d s (-want +got):\n%s", name, offset, diff)
				}
			}
		}
	})
}

// TestListingsLimitSavesRequests where what is wanted is not what comes first.
func TestListingsLimitSavesRequests(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		server func(t *testing.T) (*svixmock.Server, *webhooks.Client)
		q      webhooks.SentEventQuery
		want   map[string]int // requests at most
	}{
		"one of many in the second of Before": {
			server: func(t *testing.T) (*svixmock.Server, *webhooks.Client) {
				t.Helper()
				return historyServer(t, busySecond())
			},
			q:    webhooks.SentEventQuery{Limit: 1, Before: busySecond()[2]},
			want: map[string]int{"endpoint": 2 + 1 + 1, "event type": 1 + 1 + 2},
		},
		"10 of the 300 attempts of a message": {
			server: broadcast(300),
			q:      webhooks.SentEventQuery{Limit: 10},
			want:   map[string]int{"endpoint": 3, "event type": 1 + 1 + 2*10},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				mock, client := tt.server(t)
				if _, err := webhooks.Collect(client.ListEndpoints(t.Context(), webhooks.TypeOriginCreate, webhooks.EndpointQuery{})); err != nil { // it leaves the event type in the cache
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

// busySecond are 250 times in the last second of the hour before the present of
// inBubble.
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

// TestListingOfMessageWithoutTime: its attempts are listed all the same.
func TestListingOfMessageWithoutTime(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock, _ := historyServer(t, []time.Time{time.Now().Add(-time.Hour)})
		messages := "/api/v1/app/" + identity.Application(webhooks.TypeOriginCreate) + "/msg"
		withoutTime := harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			resp, err := mock.RoundTripper().RoundTrip(r)
			if err == nil && r.URL.Path == messages {
				err = withoutTimestamps(resp)
			}
			return resp, err
		})
		client := harness.NewClient(t, withoutTime, mock.Token())
		for _, q := range []webhooks.SentEventQuery{{}, {After: time.Now().Add(-100 * day)}, {Before: time.Now()}} {
			if got := timestamps(t, client.ListSentEventsForEventType(t.Context(), webhooks.TypeOriginCreate, q)); len(got) != 1 {
				t.Errorf("%+v: got attempts of %v, want one", q, got)
			}
		}
	})
}

// TestHeadersOfAttemptWithoutTime: what is not known is left out.
func TestHeadersOfAttemptWithoutTime(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock, _ := historyServer(t, []time.Time{time.Now().Add(-time.Hour)})
		withoutTime := harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			resp, err := mock.RoundTripper().RoundTrip(r)
			if err == nil && strings.Contains(r.URL.Path, "/attempt/") {
				err = withoutTimestamps(resp)
			}
			return resp, err
		})
		for name, list := range listings(t.Context(), harness.NewClient(t, withoutTime, mock.Token())) {
			events, err := webhooks.Collect(list(webhooks.SentEventQuery{}))
			if err != nil || len(events) != 1 {
				t.Fatalf("%s: got %+v, %v; want one event", name, events, err)
			}
			got := slices.Sorted(maps.Keys(events[0].Headers))
			if diff := cmp.Diff([]string{"Content-Length", "Content-Type", "Webhook-Id", "X-Swh-Event"}, got); diff != "" {
				t.Errorf("%s: headers (-want +got):\n%s", name, diff)
			}
		}
	})
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

// TestFirstEventIsNotHeldBack by the many messages after it that were delivered to
// nobody.
func TestFirstEventIsNotHeldBack(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock, client := historyServer(t, nil)
		if err := client.SetEndpointDisabled(t.Context(), harness.KnownEndpoint(), true); err != nil {
			t.Fatal(err)
		}
		for range 300 {
			harness.RawPost(t, mock, application(webhooks.TypeOriginCreate)+"/msg", `{"eventType":"origin.create","payload":{}}`)
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
		for event, err := range client.ListSentEventsForEventType(t.Context(), webhooks.TypeOriginCreate, webhooks.SentEventQuery{}) {
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

// TestListingMeetsRecipientsAhead: where each message has an endpoint of its own,
// as with channels, these are looked up in parallel, too.
func TestListingMeetsRecipientsAhead(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		const n = 64
		mock, client := historyServer(t, nil)
		for i := range n {
			channel := fmt.Sprint("channel ", i)
			if err := client.CreateEndpoint(t.Context(), webhooks.Endpoint{URL: harness.HookURL, EventType: webhooks.TypeOriginCreate, Channel: channel}, ""); err != nil {
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
		if got := timestamps(t, client.ListSentEventsForEventType(t.Context(), webhooks.TypeOriginCreate, webhooks.SentEventQuery{})); len(got) != 2*n {
			t.Errorf("got %d events, want %d", len(got), 2*n)
		}
		const requests = 1 + n + 2*(n+1)
		if took := time.Since(start); took > requests/4*time.Second {
			t.Errorf("took %v for %d requests of a second, want a quarter at most", took, requests)
		}
	})
}

// TestListingsUnderFaults: what goes wrong on the way neither hides an event nor
// shows one twice.
func TestListingsUnderFaults(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // reproducible
		times := randomHistory(random, 400)
		mock, _ := historyServer(t, times)
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 30}))
		mock.FailRate(0.3, 1, harness.EveryFault(time.Second)...)
		for range 3 {
			q := randomQuery(random, times)
			for name, list := range listings(t.Context(), client) {
				checkAgainstModel(t, fmt.Sprintf("%s, %+v", name, q), times, q, timestamps(t, list(q)))
			}
		}
	})
}

// TestPayloadsOfSparseAttempts: each attempt has its payload, however many
// messages of other endpoints lie between those of this one.
func TestPayloadsOfSparseAttempts(t *testing.T) {
	t.Parallel()
	for _, one := range []int{1, 2, 3, 10, 100} { // in so many is this endpoint's
		harness.InBubble(t, func(t *testing.T) {
			begin := time.Now().Add(-100 * day)
			var own, others []time.Time
			for i := range 1500 {
				at := begin.Add(time.Duration(i) * time.Hour)
				if i%one == 0 {
					own = append(own, at.UTC())
				} else {
					others = append(others, at)
				}
			}
			mock, client := historyServer(t, own)
			other := webhooks.Endpoint{URL: harness.NewHookURL, EventType: webhooks.TypeOriginCreate}
			if err := client.CreateEndpoint(t.Context(), other, ""); err != nil {
				t.Fatal(err)
			}
			harness.SeedAttempts(t, mock, other, len(others), func(i int) time.Time { return others[i] })
			q := webhooks.SentEventQuery{After: begin.Add(-day)}
			got := timestamps(t, client.ListSentEventsForEndpoint(t.Context(), harness.KnownEndpoint(), q))
			if diff := cmp.Diff(selected(own, q), got); diff != "" {
				t.Errorf("one in %d (-want +got):\n%s", one, diff)
			}
		})
	}
}

// withoutTimestamps makes the times of a page's items unreadable.
func withoutTimestamps(resp *http.Response) error {
	var page map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil {
		return err
	}
	for _, item := range page["data"].([]any) {
		item.(map[string]any)["timestamp"] = "some time ago"
	}
	text, err := json.Marshal(page)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	return errors.Join(err)
}
