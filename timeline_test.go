package webhooks_test

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// TestListingsWithOddBounds: the server takes times before its ids began for some in the next
// century, and looks back from where it is told to.
func TestListingsWithOddBounds(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		now := time.Now()
		times := []time.Time{now.Add(-1000 * day), now.Add(-100 * day), now.Add(-80 * day), now.Add(-time.Hour)}
		_, client := historyServer(t, times)
		tests := map[string]struct {
			q    webhooks.SentEventQuery
			want []time.Time
		}{
			"no bound": {webhooks.SentEventQuery{}, []time.Time{times[3], times[2]}},
			"before tomorrow": {
				webhooks.SentEventQuery{Before: now.Add(day)},
				[]time.Time{times[3], times[2]},
			},
			"before the next century": {
				webhooks.SentEventQuery{Before: now.Add(40_000 * day)},
				[]time.Time{times[3], times[2]},
			},
			"before the ids began":    {webhooks.SentEventQuery{Before: time.Unix(1_400_000_000, 0)}, nil},
			"before 1970":             {webhooks.SentEventQuery{Before: time.Unix(-1, 0)}, nil},
			"before an empty 90 days": {webhooks.SentEventQuery{Before: now.Add(-200 * day)}, nil},
			"after now":               {webhooks.SentEventQuery{After: now}, nil},
			"after the next century":  {webhooks.SentEventQuery{After: now.Add(40_000 * day)}, nil},
			"after 1970": {
				webhooks.SentEventQuery{After: time.Unix(-1, 0)},
				[]time.Time{times[3], times[2], times[1], times[0]},
			},
			"after the end of an hour": {webhooks.SentEventQuery{After: times[3]}, nil},
		}
		for name, tt := range tests {
			for listing, list := range listings(t.Context(), client) {
				if diff := cmp.Diff(tt.want, timestamps(t, list(tt.q)), cmpopts.EquateEmpty(),
					cmpopts.EquateApproxTime(0)); diff != "" {
					t.Errorf("%s by %s (-want +got):\n%s", name, listing, diff)
				}
			}
		}
	})
}

// TestListingFindsLateAttempts: with After, the listing of an event type finds the retries of
// messages of the 48 hours before.
func TestListingFindsLateAttempts(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{RetrySchedule: []time.Duration{time.Hour, 40 * time.Hour}})
		mock.Handle(harness.HookURL, http.NotFoundHandler())
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		message, err := client.SendEvent(t.Context(), harness.KnownEvent())
		if err != nil {
			t.Fatal(err)
		}
		sent := time.Now()
		if err := mock.WaitForDeliveries(t.Context(), 4); err != nil {
			t.Fatal(err)
		}
		for after, want := range map[time.Duration]int{0: 2, 2 * time.Hour: 1, 42 * time.Hour: 0} {
			got, err := webhooks.Collect(client.ListSentEventsForEventType(t.Context(),
				webhooks.TypeOriginCreate, webhooks.SentEventQuery{After: sent.Add(after)}))
			if err != nil || len(got) != want || want > 0 && got[0].MessageID != message.ID {
				t.Errorf("after %v: got %+v, %v; want %d attempts of %s", after, got, err, want, message.ID)
			}
		}
	})
}

// historyServer is a server with attempts at the given times, in any order.
func historyServer(t *testing.T, times []time.Time) (*svixmock.Server, *webhooks.Client) {
	t.Helper()
	mock := harness.NewMock(t, svixmock.Config{})
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

// TestListingsBackToAfter: with After nothing is lost, wherever the gaps are in relation to the 90
// days that the server looks back from now, from a bound or from the last item of a page.
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
					times = append(times, at, at.Add(-time.Nanosecond*1000),
						at.Add(250*time.Millisecond), at.Add(time.Second))
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

// TestListingsMatchAModel compares the listings of a random history, with busy seconds and long
// gaps, with what they promise. Without After that is what there was in the 90 days, and of older
// events as many as the server likes.
func TestListingsMatchAModel(t *testing.T) {
	t.Parallel()
	for seed := range harness.Sized(3, 30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(uint64(seed), 0)) //nolint:gosec // reproducible
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

// randomHistory are n times, mostly close to each other, in steps of the 4 ms in which the server's
// ids count: within one it has no order.
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
	other := times[random.IntN(len(times))]
	q := webhooks.SentEventQuery{IncludeDeleted: random.IntN(2) == 0}
	switch random.IntN(6) {
	case 0:
	case 1, 2:
		q.Before = bound
	case 3:
		q.After, q.Before = bound, other
		if !bound.Before(other) {
			q.After, q.Before = other, bound.Add(time.Microsecond)
		}
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
			times = append(times, begin.Add(time.Duration(i)*1500*time.Microsecond),
				begin.Add(-time.Duration(i+1)*1500*time.Microsecond))
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

// TestListingsBoundsInOddZones: old local times are seconds away from UTC, which RFC 3339 cannot
// say.
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

// TestTimesInQueries: bounds are rounded outwards, and times that have no place in a query are not
// sent.
func TestTimesInQueries(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		now := time.Now()
		for name, q := range map[string]webhooks.SentEventQuery{
			"none":               {},
			"fraction":           {Before: now.Add(-time.Nanosecond)},
			"zone":               {Before: now.Add(-time.Hour).In(time.FixedZone("", 5*3600+1800))},
			"long ago":           {Before: time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)},
			"before Christ":      {Before: time.Date(-500, 1, 1, 0, 0, 0, 0, time.UTC)},
			"far away":           {Before: time.Date(12_026, 1, 1, 0, 0, 0, 0, time.UTC)},
			"after long ago":     {After: time.Date(-500, 1, 1, 0, 0, 0, 0, time.UTC)},
			"after the far away": {After: time.Date(12_026, 1, 1, 0, 0, 0, 0, time.UTC)},
			"after a fraction":   {After: now.Add(-time.Hour - time.Nanosecond)},
		} {
			sent := len(mock.Requests())
			ofEndpoint, errEndpoint := webhooks.Collect(client.ListSentEventsForEndpoint(t.Context(),
				harness.KnownEndpoint(), q))
			ofType, errType := webhooks.Collect(client.ListSentEventsForEventType(t.Context(),
				webhooks.TypeOriginCreate, q))
			if err := errors.Join(errEndpoint, errType); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if len(ofEndpoint) != len(ofType) {
				t.Errorf("%s: %d sent events of the endpoint, %d of the event type", name, len(ofEndpoint), len(ofType))
			}
			for _, r := range mock.Requests()[sent:] {
				query, err := url.ParseQuery(r.RawQuery)
				if err != nil {
					t.Fatal(err)
				}
				if query.Has("after") && !query.Has("before") {
					t.Errorf("%s: the query %s would begin with the oldest page", name, r.RawQuery)
				}
				for _, before := range query["before"] {
					at, err := time.Parse(time.RFC3339, before)
					if err != nil || at.Year() < 2014 || at.Year() > 2100 || !q.Before.IsZero() &&
						at.Before(q.Before) && strings.Contains(r.Path, "/attempt/endpoint/") {
						t.Errorf("%s: the query has before=%s", name, before)
					}
				}
				if strings.Contains(r.Path, "/attempt/") && query.Get("expanded_statuses") != "true" {
					t.Errorf("%s: the attempts' statuses are not all told apart: %s", name, r.RawQuery)
				}
			}
		}
	})
}

// manyServer is a server on which attempts were made to several endpoints, at times in ascending
// order; which tells to which of them.
func manyServer(t *testing.T, endpoints int, times []time.Time, which []int) (
	*svixmock.Server, *webhooks.Client, []webhooks.Endpoint,
) {
	t.Helper()
	mock := harness.NewMock(t, svixmock.Config{KeepRequests: 100_000})
	mock.Handle(harness.HookURL, http.NotFoundHandler())
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	harness.CreateEventTypes(t, client)
	all := make([]webhooks.Endpoint, endpoints)
	for i := range all {
		all[i] = webhooks.Endpoint{
			URL: fmt.Sprintf("%s/%d", harness.HookURL, i), EventType: webhooks.TypeOriginCreate, Disabled: true,
		}
		if err := client.CreateEndpoint(t.Context(), all[i], ""); err != nil {
			t.Fatal(err)
		}
		var own []time.Time
		for j, at := range times {
			if which[j] == i {
				own = append(own, at)
			}
		}
		harness.SeedAttempts(t, mock, all[i], len(own), func(j int) time.Time { return own[j] })
	}
	return mock, client, all
}

// TestListingsOfManyEndpointsMatchAModel: with After, the attempts to deliver to all endpoints are
// one list, newest first; those to a deleted one are in it if they are asked for.
func TestListingsOfManyEndpointsMatchAModel(t *testing.T) {
	t.Parallel()
	for seed := range harness.Sized(3, 30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				const endpoints, deleted = 6, 2
				random := rand.New(rand.NewPCG(uint64(seed), 1)) //nolint:gosec // reproducible
				times := randomHistory(random, 1500)
				slices.SortFunc(times, time.Time.Compare)
				times = slices.CompactFunc(times, time.Time.Equal)
				which := make([]int, len(times))
				for i := range which {
					which[i] = min(int(random.ExpFloat64()*2), endpoints-1)
				}
				_, client, all := manyServer(t, endpoints, times, which)
				if err := client.DeleteEndpoint(t.Context(), all[deleted]); err != nil {
					t.Fatal(err)
				}
				for range 6 {
					q := randomQuery(random, times)
					if q.After.IsZero() {
						q.After = times[0].Add(-time.Second)
					}
					var want, got []string
					for i, at := range slices.Backward(times) {
						if len(selected(times[i:i+1], q)) == 1 && (q.IncludeDeleted || which[i] != deleted) &&
							(q.Limit == 0 || len(want) < q.Limit) {
							want = append(want, all[which[i]].URL+" "+at.Format(time.RFC3339Nano))
						}
					}
					list := client.ListSentEventsForEventType(t.Context(), webhooks.TypeOriginCreate, q)
					for event, err := range list {
						if err != nil {
							t.Fatal(err)
						}
						got = append(got, event.EndpointURL+" "+event.Timestamp.Format(time.RFC3339Nano))
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("%+v (-want +got):\n%s", q, diff)
					}
				}
			})
		})
	}
}

// TestListingsOfTypeCostWhatIsInTheRange: the requests do not depend on what is older.
func TestListingsOfTypeCostWhatIsInTheRange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ endpoints, attempts int }{
		{1, 0}, {1, 600}, {20, 0}, {20, 30}, {20, 3000}, {260, 0}, {260, 40},
	} {
		t.Run(fmt.Sprintf("%d endpoints, %d attempts", tt.endpoints, tt.attempts), func(t *testing.T) {
			t.Parallel()
			made := map[int]int{}
			for _, older := range []int{0, 5000} {
				harness.InBubble(t, func(t *testing.T) {
					begin := time.Now().Add(-time.Hour)
					var times []time.Time
					var which []int
					for i := range older + tt.attempts {
						at := begin.Add(time.Duration(i-older) * time.Second)
						times, which = append(times, at), append(which, i%tt.endpoints)
					}
					mock, client, _ := manyServer(t, tt.endpoints, times, which)
					before := len(mock.Requests())
					q := webhooks.SentEventQuery{After: begin.Add(-time.Millisecond)}
					list := client.ListSentEventsForEventType(t.Context(), webhooks.TypeOriginCreate, q)
					events, err := webhooks.Collect(list)
					if err != nil || len(events) != tt.attempts {
						t.Errorf("got %d attempts, %v; want %d", len(events), err, tt.attempts)
					}
					made[older] = len(mock.Requests()) - before
				})
			}
			const page, payloads = 250, 3 // of a page of attempts
			pages := (tt.attempts + page - 1) / page
			most := 2*tt.endpoints + pages + payloads*pages
			if tt.attempts == 0 {
				most = tt.endpoints + (tt.endpoints+page-1)/page + 1
			}
			if made[0] > most || made[5000] != made[0] {
				t.Errorf("made %d requests, and %d after older attempts; want %d at most, whatever is older",
					made[0], made[5000], most)
			}
		})
	}
}

// TestListingsByStatus let the server select.
func TestListingsByStatus(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{RetrySchedule: []time.Duration{time.Second, time.Second}})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		tries := 0
		mock.Handle(harness.HookURL, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if tries++; tries < 3 {
				http.Error(w, "out of order", http.StatusInternalServerError)
			}
		}))
		begin := time.Now().Add(-time.Second)
		sendTo(t, mock, harness.KnownEvent())
		time.Sleep(time.Minute)
		for status, want := range map[webhooks.DeliveryStatus]int{
			0: 4, webhooks.DeliverySucceeded: 2, webhooks.DeliveryFailed: 2,
		} {
			for _, q := range []webhooks.SentEventQuery{{}, {After: begin}, {After: begin, IncludeDeleted: true}} {
				q.Status = status
				for name, list := range listings(t.Context(), client) {
					before := len(mock.Requests())
					events, err := webhooks.Collect(list(q))
					if err != nil || len(events) != want {
						t.Errorf("%s, %v: got %d attempts, %v; want %d", name, status, len(events), err, want)
					}
					for _, event := range events {
						succeeded := event.ResponseStatusCode == http.StatusOK
						if status != 0 && event.Status != status ||
							(event.Status == webhooks.DeliverySucceeded) != succeeded {
							t.Errorf("%s, %v: got %+v", name, status, event)
						}
					}
					for _, r := range mock.Requests()[before:] {
						isAsked := strings.Contains(r.RawQuery, "status=")
						if strings.Contains(r.Path, "/attempt/") && isAsked != (status != 0) {
							t.Errorf("%s, %v: the server was asked %s", name, status, r.RawQuery)
						}
					}
				}
			}
		}
	})
}
