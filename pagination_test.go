package webhooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

var errPage = errors.New("the page cannot be had")

// A pageServer gives the pages it has; the iterator of each is the number of the next.
type pageServer struct {
	pages  []webhooks.Page[int]
	errAt  int // the page that fails; 0: none does
	asked  []string
	cancel context.CancelFunc // called with the second page, where it is set
}

func (s *pageServer) list(_ context.Context, iterator *string) (webhooks.Page[int], error) {
	which := 0
	s.asked = append(s.asked, "first")
	if iterator != nil {
		which, _ = strconv.Atoi(*iterator)
		s.asked[len(s.asked)-1] = *iterator
	}
	if s.cancel != nil && which == 1 {
		s.cancel()
	}
	if which > 0 && which == s.errAt {
		return webhooks.Page[int]{}, errPage
	}
	page := s.pages[which]
	if page.Iterator == nil {
		next := strconv.Itoa(which + 1)
		page.Iterator = &next
	}
	return page, nil
}

func TestPaginate(t *testing.T) {
	t.Parallel()
	page := func(numbers ...int) webhooks.Page[int] { return webhooks.Page[int]{Data: numbers} }
	last := func(numbers ...int) webhooks.Page[int] { return webhooks.Page[int]{Data: numbers, Done: true} }
	back := func(iterator string) webhooks.Page[int] {
		return webhooks.Page[int]{Data: []int{0}, Iterator: &iterator}
	}
	tests := map[string]struct {
		server  pageServer
		want    []int
		asked   string
		wantErr string // part of its text
	}{
		"one page": {
			server: pageServer{pages: []webhooks.Page[int]{last(1, 2)}},
			want:   []int{1, 2}, asked: "first",
		},
		"nothing": {server: pageServer{pages: []webhooks.Page[int]{last()}}, asked: "first"},
		"several pages": {
			server: pageServer{pages: []webhooks.Page[int]{page(1, 2), page(3), last(4)}},
			want:   []int{1, 2, 3, 4}, asked: "first 1 2",
		},
		"last page empty": {
			server: pageServer{pages: []webhooks.Page[int]{page(1), last()}},
			want:   []int{1}, asked: "first 1",
		},
		"empty pages do not end it": {
			server: pageServer{pages: []webhooks.Page[int]{page(), page(), last(1)}},
			want:   []int{1}, asked: "first 1 2",
		},
		"first page fails": {
			server: pageServer{pages: []webhooks.Page[int]{back("1")}, errAt: 1},
			want:   []int{0}, asked: "first 1", wantErr: errPage.Error(),
		},
		"page in the middle fails": {server: pageServer{
			pages: []webhooks.Page[int]{page(1), page(2), last(3)},
			errAt: 2,
		}, want: []int{1, 2}, asked: "first 1 2", wantErr: errPage.Error()},
		"not done, no iterator": {
			server: pageServer{pages: []webhooks.Page[int]{back("")}},
			want:   []int{0}, asked: "first", wantErr: "does not say where to go on",
		},
		"a page repeats itself": {
			server: pageServer{pages: []webhooks.Page[int]{page(1), back("1")}},
			want:   []int{1, 0}, asked: "first 1", wantErr: "repeats",
		},
		"pages go round in a circle": {server: pageServer{pages: []webhooks.Page[int]{
			page(1),
			page(2), page(3), back("1"),
		}}, wantErr: "repeats"},
		"back to the very first page": {
			server:  pageServer{pages: []webhooks.Page[int]{page(1), back("0")}},
			wantErr: "repeats",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := webhooks.Collect(webhooks.Paginate(t.Context(), tt.server.list))
			if tt.asked != "" { // where it is a circle, how soon that is noticed is free
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("items (-want +got):\n%s", diff)
				}
				if asked := strings.Join(tt.server.asked, " "); asked != tt.asked {
					t.Errorf("asked for the pages %q, want %q", asked, tt.asked)
				}
			}
			switch {
			case tt.wantErr == "" && err != nil:
				t.Errorf("got the error %v, want none", err)
			case tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)):
				t.Errorf("got the error %v, want one that says %q", err, tt.wantErr)
			case tt.wantErr == errPage.Error() && !errors.Is(err, errPage):
				t.Errorf("got the error %v, want the one of the page", err)
			}
		})
	}
}

func TestPaginateAsksNoEarlierThanNeeded(t *testing.T) {
	t.Parallel()
	server := pageServer{pages: []webhooks.Page[int]{
		{Data: []int{1, 2}},
		{Data: []int{3}},
		{Data: []int{4}, Done: true},
	}}
	seq := webhooks.Paginate(t.Context(), server.list)
	if len(server.asked) != 0 {
		t.Error("asked for a page before the first item was wanted")
	}
	for item, err := range seq {
		if err != nil || item == 2 {
			break
		}
	}
	if got := strings.Join(server.asked, " "); got != "first" {
		t.Errorf("asked for %q until the break, want only the first page", got)
	}
	got, err := webhooks.Collect(seq)
	if diff := cmp.Diff([]int{1, 2, 3, 4}, got); diff != "" || err != nil {
		t.Errorf("ranged again: error %v, items (-want +got):\n%s", err, diff)
	}
}

func TestPaginateStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := pageServer{pages: []webhooks.Page[int]{
		{Data: []int{1}},
		{Data: []int{2, 3}},
		{Data: []int{4}, Done: true},
	}, cancel: cancel}
	got, err := webhooks.Collect(webhooks.Paginate(ctx, server.list))
	if diff := cmp.Diff([]int{1, 2, 3}, got); diff != "" || !errors.Is(err, context.Canceled) {
		t.Errorf("got the error %v, want context.Canceled; items (-want +got):\n%s", err, diff)
	}
	if _, err := webhooks.Collect(webhooks.Paginate(ctx, server.list)); !errors.Is(err, context.Canceled) ||
		len(server.asked) != 2 {
		t.Errorf("with a cancelled context: error %v after %d pages, want context.Canceled and no page more than 2",
			err, len(server.asked))
	}
}

// pairs returns the items and the errors of a sequence, to the end.
func pairs[T any](seq iter.Seq2[T, error]) (items []T, errs []error) {
	for item, err := range seq {
		items, errs = append(items, item), append(errs, err)
	}
	return items, errs
}

func TestPaginateGivesAnErrorOnce(t *testing.T) {
	t.Parallel()
	server := pageServer{pages: []webhooks.Page[int]{{Data: []int{7}}, {}}, errAt: 1}
	items, errs := pairs(webhooks.Paginate(t.Context(), server.list))
	if diff := cmp.Diff([]int{7, 0}, items); diff != "" || len(errs) != 2 || errs[0] != nil ||
		!errors.Is(errs[1], errPage) {
		t.Errorf("got the errors %v, want the page's as that of the last pair; items (-want +got):\n%s", errs, diff)
	}
}

func TestCollect(t *testing.T) {
	t.Parallel()
	seq := func(yield func(string, error) bool) {
		_ = yield("a", nil) && yield("b", nil) && yield("", errPage) && yield("c", nil)
	}
	got, err := webhooks.Collect(seq)
	if diff := cmp.Diff([]string{"a", "b"}, got); diff != "" || !errors.Is(err, errPage) {
		t.Errorf("got the error %v, want the sequence's; items (-want +got):\n%s", err, diff)
	}
	none, err := webhooks.Collect(func(func(string, error) bool) {})
	if none != nil || err != nil {
		t.Errorf("of an empty sequence: got %v, %v; want nil, nil", none, err)
	}
}

// pageAnswer is a fault that answers the requests for one path with a page.
func pageAnswer(suffix string, items ...string) svixmock.Fault {
	return svixmock.Fault{
		Status: http.StatusOK, Body: `{"data":[` + strings.Join(items, ",") +
			`],"iterator":"x","prevIterator":7,"done":true,"new":{"a":1e999}}`,
		Only: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, suffix) },
	}
}

// TestOddItemsCostNoPage: one odd value in one item costs that value only, and what is not an item
// at all is left out.
func TestOddItemsCostNoPage(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())

		mock.FailNext(1, pageAnswer("/event-type",
			`{"name":"a.a","archived":"maybe","schemas":7,"featureFlags":[1e400]}`, `{}`,
			`{"name":"b.b","description":null,"schemas":{"1":{"type":"object"}}}`, `{"name":5}`,
			`null`, `1`, `[{"name":"c.c"}]`, `"d.d"`, `true`))
		types, err := webhooks.Collect(client.ListEventTypes(t.Context()))
		wantTypes := []webhooks.EventType{
			{Name: "a.a"},
			{Name: "b.b", Schema: json.RawMessage(`{"type":"object"}`)},
		}
		if diff := cmp.Diff(wantTypes, types); diff != "" || err != nil {
			t.Errorf("event types: %v (-want +got):\n%s", err, diff)
		}

		mock.FailNext(1, pageAnswer("/endpoint",
			`{"id":"ep_1","url":"https://example.org/","version":99999999999999999999,`+
				`"rateLimit":-1e99,"status":"new"}`,
			`{"id":"ep_2","metadata":{"a":1,"b":"c"},"channels":[7],"disabled":"no"}`,
			`{"url":"https://example.org/no-id"}`, `null`, `1`, `{}`))
		endpoints, err := webhooks.Collect(client.ListEndpoints(t.Context(),
			webhooks.TypeOriginCreate, webhooks.EndpointQuery{}))
		if err != nil || len(endpoints) != 2 || endpoints[0].URL != "https://example.org/" ||
			endpoints[1].ID != "ep_2" {
			t.Errorf("endpoints: got %+v, %v; want those with an id", endpoints, err)
		}

		attempts := []string{
			`{"id":"atmpt_3","msgId":"../../event-type","endpointId":"?","status":99,"statusText":"new",` +
				`"responseStatusCode":99999999999999999999,"responseDurationMs":"long","timestamp":"soon"}`,
			`{"id":"atmpt_2"}`, `{"id":"atmpt_1","url":"https://example.org/","response":{},"status":null,` +
				`"timestamp":"2026-11-23T09:00:00.123456"}`, `null`, `1`, `{}`, `{"id":7}`,
		}
		known, err := webhooks.Collect(client.ListEndpoints(t.Context(), webhooks.TypeOriginCreate,
			webhooks.EndpointQuery{}))
		if err != nil {
			t.Fatal(err)
		}
		mock.FailNext(1, pageAnswer("/attempt/endpoint/"+known[0].ID, attempts...))
		before := len(mock.Requests())
		events, err := webhooks.Collect(client.ListSentEventsForEndpoint(t.Context(),
			harness.KnownEndpoint(), webhooks.SentEventQuery{}))
		if err != nil || len(events) != 3 || events[2].EndpointURL != "https://example.org/" ||
			!events[2].Timestamp.Equal(time.Date(2026, 11, 23, 9, 0, 0, 123456000, time.UTC)) {
			t.Errorf("sent events: got %+v, %v; want three", events, err)
		}
		for _, r := range mock.Requests()[before:] {
			if r.Path != path.Clean(r.Path) || strings.HasPrefix(r.Path, "/api/v1/event-type/") ||
				r.Status == http.StatusNotFound {
				t.Errorf("an id of an answer led to the request %s %s", r.Method, r.Path)
			}
		}

		mock.FailNext(1, pageAnswer("/msg", `{"id":"../x","payload":1}`, `{"id":"msg_1","timestamp":"never"}`, `{}`))
		mock.FailNext(1, pageAnswer("/attempt/msg/msg_1", attempts...))
		events, err = webhooks.Collect(client.ListSentEventsForEventType(t.Context(),
			webhooks.TypeOriginCreate, webhooks.SentEventQuery{}))
		if err != nil || len(events) != 3 {
			t.Errorf("sent events of the event type: got %+v, %v; want three", events, err)
		}
	})
}

// TestPagesThatDoNotEnd: a server that does not say where to go on, or that goes round, is an
// error.
func TestPagesThatDoNotEnd(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		page    string // %d: its number
		isError bool
	}{
		"no iterator":               {`{"data":[],"done":false,"iterator":null}`, true},
		"iterator is left out":      {`{"data":[]}`, true},
		"empty iterator":            {`{"data":[],"done":false,"iterator":""}`, true},
		"the same iterator":         {`{"data":[],"done":false,"iterator":"x"}`, true},
		"three in a circle":         {`{"data":[],"done":false,"iterator":"%[1]d"}`, true},
		"done, though there's more": {`{"data":[],"done":true,"iterator":"x"}`, false},
	}
	listings := []string{"ListEventTypes", "ListEndpoints", "ListSentEventsForEndpoint", "ListSentEventsForEventType"}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, listing := range listings {
				mock := harness.NewServer(t, svixmock.Config{})
				requests := 0
				client := harness.NewClient(t, harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
					if !r.URL.Query().Has("limit") {
						return mock.RoundTripper().RoundTrip(r)
					}
					if requests++; requests > 100 {
						return nil, errors.New("too many requests")
					}
					page := strings.ReplaceAll(test.page, "%[1]d", strconv.Itoa(requests%3))
					return &http.Response{
						StatusCode: http.StatusOK, Header: http.Header{},
						Body: io.NopCloser(strings.NewReader(page)),
					}, nil
				}), mock.Token(), webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1}))
				err := harness.Operations()[listing](t.Context(), client)
				if (err != nil) != test.isError || requests > 10 {
					t.Errorf("%s: got %v after %d requests, want an error: %v", listing, err, requests, test.isError)
				}
			}
		})
	}
}

// TestOneOddValueCostsNoPage: with each of the values on which the SDK gives up.
func TestOneOddValueCostsNoPage(t *testing.T) {
	t.Parallel()
	for name, odd := range map[string]string{
		"status":               `"status":5`,
		"status text":          `"statusText":"undecided"`,
		"trigger type":         `"triggerType":2`,
		"status code":          `"responseStatusCode":40000`,
		"fraction":             `"responseDurationMs":1.5`,
		"time without a zone":  `"timestamp":"2026-11-23T09:00:00.5"`,
		"number of 400 digits": `"responseDurationMs":` + strings.Repeat("9", 400),
		"null everywhere":      `"status":null,"responseStatusCode":null,"timestamp":null,"response":null,"url":null`,
		"other types":          `"status":{},"responseStatusCode":"x","timestamp":7,"response":[1],"url":{}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				mock := harness.NewServer(t, svixmock.Config{})
				item := func(id, more string) string {
					return `{"id":"` + id + `","msgId":"msg_1srOrx2ZWZBpBUvZwXKQmoEYga2","endpointId":"ep_1",` +
						`"url":"http://receiver.test/","responseStatusCode":200,` + more + `}`
				}
				page := `{"data":[` + item("atmpt_2", `"timestamp":"2026-11-23T09:00:01Z"`) + `,` +
					item("atmpt_1", odd) + `],"done":true}`
				mock.FailRate(1, 1, svixmock.Fault{
					Status: 200, Body: page,
					Only: func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/attempt/") },
				})
				client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
				ofEndpoint, errEndpoint := webhooks.Collect(client.ListSentEventsForEndpoint(t.Context(),
					harness.KnownEndpoint(), webhooks.SentEventQuery{}))
				ofType, errType := webhooks.Collect(client.ListSentEventsForEventType(t.Context(),
					webhooks.TypeOriginCreate, webhooks.SentEventQuery{}))
				if err := errors.Join(errEndpoint, errType); err != nil || len(ofEndpoint) != 2 ||
					len(ofType) != 2 || ofEndpoint[1].AttemptID != "atmpt_1" {
					t.Errorf("got %d and %d sent events, %v; want 2 of each", len(ofEndpoint), len(ofType), err)
				}
			})
		})
	}
}

// TestPagesThatGoNowhere: a server that gives iterator after iterator without getting on is left
// soon, whatever it pretends.
func TestPagesThatGoNowhere(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC()
	attempt := func(i int, at time.Time) string {
		return fmt.Sprintf(`{"id":"atmpt_%027d","msgId":"msg_%027d","timestamp":%q}`, i, i, at.Format(time.RFC3339Nano))
	}
	tests := map[string]func(n int, asked url.Values) (items, iterator string){
		"empty pages with fresh iterators": func(n int, _ url.Values) (string, string) {
			return "", fmt.Sprintf("atmpt_%027d", 900_000-n)
		},
		"pages of what is not an item": func(n int, _ url.Values) (string, string) {
			return "null,1,{}", fmt.Sprintf("atmpt_%027d", 900_000-n)
		},
		"the first page again and again": func(_ int, _ url.Values) (string, string) {
			return attempt(1000, now.Add(-time.Hour)), fmt.Sprintf("atmpt_%027d", 1000)
		},
		"upwards": func(n int, _ url.Values) (string, string) {
			return attempt(1000+n, now.Add(-time.Hour)), fmt.Sprintf("atmpt_%027d", 1000+n)
		},
		"pages of the future": func(n int, _ url.Values) (string, string) {
			return attempt(900_000-n, now.Add(time.Hour)), fmt.Sprintf("atmpt_%027d", 900_000-n)
		},
		"iterators ahead of their pages": func(n int, _ url.Values) (string, string) {
			return attempt(1000-n, now.Add(-time.Hour)), fmt.Sprintf("atmpt_%027d", 900_000+n)
		},
	}
	for name, page := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mock := harness.NewServer(t, svixmock.Config{})
			requests := 0
			client := harness.NewClient(t, harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
				if !strings.Contains(r.URL.Path, "/attempt/") {
					return mock.RoundTripper().RoundTrip(r)
				}
				items, iterator := page(requests, r.URL.Query())
				requests++
				body := fmt.Sprintf(`{"data":[%s],"iterator":%q,"done":false}`, items, iterator)
				return &http.Response{
					StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)),
				}, nil
			}), mock.Token())
			q := webhooks.SentEventQuery{Before: now.Add(-time.Minute), Limit: 100}
			_, err := webhooks.Collect(client.ListSentEventsForEndpoint(t.Context(), harness.KnownEndpoint(), q))
			if err == nil || requests > 11 {
				t.Errorf("got the error %v after %d requests, want one after 11 at most", err, requests)
			}
		})
	}
}

// TestMoreItemsThanAskedFor are refused while they are read: each takes two bytes of the answer,
// and hundreds in memory.
func TestMoreItemsThanAskedFor(t *testing.T) { //nolint:paralleltest // it measures memory
	mock := harness.NewServer(t, svixmock.Config{})
	for name, data := range map[string]string{
		"two":            `{"id":"atmpt_2"},{"id":"atmpt_1"}`,
		"two of nothing": `{},null`,
		"millions":       strings.Repeat("{},", 5_000_000) + "{}",
		"nested":         strings.Repeat("[],", 5_000_000) + "[]",
	} {
		mock.FailNext(1, svixmock.Fault{
			Status: http.StatusOK, Body: `{"data":[` + data + `],"iterator":null,"done":true}`,
			Only: func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/attempt/") },
		})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		one := webhooks.SentEventQuery{Limit: 1}
		_, err := webhooks.Collect(client.ListSentEventsForEndpoint(t.Context(), harness.KnownEndpoint(), one))
		runtime.ReadMemStats(&after)
		var api *webhooks.APIError
		if !errors.As(err, &api) || !strings.Contains(api.Detail, "more items") {
			t.Errorf("%s: got the error %v, want an APIError that says that there are more items", name, err)
		}
		const answers = 6 // copies of the answer on its way
		most := uint64(answers*len(data) + 8<<20)
		if !harness.UnderRace() && after.TotalAlloc-before.TotalAlloc > most {
			t.Errorf("%s: took %d MiB for %d MiB", name, (after.TotalAlloc-before.TotalAlloc)>>20, len(data)>>20)
		}
	}
}

// TestReducedPagesAreRemembered: the listing does not try again what was too large.
func TestReducedPagesAreRemembered(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		const attempts, size = 1000, 100_000
		begin := time.Now().Add(-time.Hour)
		mock, _ := historyServer(t, slices.Collect(func(yield func(time.Time) bool) {
			for i := range attempts {
				if !yield(begin.Add(time.Duration(i) * time.Second)) {
					return
				}
			}
		}))
		var pages, tooLarge atomic.Int64
		client := harness.NewClient(t, harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			resp, err := mock.RoundTripper().RoundTrip(r)
			if err != nil || !strings.Contains(r.URL.Path, "/attempt/") {
				return resp, err
			}
			pages.Add(1)
			limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
			if limit*size > 16<<20 {
				tooLarge.Add(1)
				resp.ContentLength = int64(limit * size) // as it would be with large responses of the receiver
			}
			return resp, nil
		}), mock.Token())
		for name, list := range listings(t.Context(), client) {
			for _, q := range []webhooks.SentEventQuery{{After: begin.Add(-time.Hour)}, {}} {
				pages.Store(0)
				tooLarge.Store(0)
				if got := timestamps(t, list(q)); len(got) != attempts {
					t.Errorf("%s: got %d attempts, want %d", name, len(got), attempts)
				}
				if name == "event type" && q.After.IsZero() {
					if tooLarge.Load() > 8 { // those that were asked at once
						t.Errorf("%s: %d pages were too large, want as many as at once", name, tooLarge.Load())
					}
				} else if want := 1 + attempts/62 + 1; tooLarge.Load() != 1 || pages.Load() > int64(want) {
					t.Errorf("%s: asked for %d pages, %d of them too large, want %d and 1",
						name, pages.Load(), tooLarge.Load(), want)
				}
			}
		}
	})
}
