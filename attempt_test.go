package webhooks_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/webhookstest"
)

// TestHeadersAreNamedTheSameWhicheverTheServerSent: the names of the headers are the same ones,
// whichever the server sent, and so are the values.
func TestHeadersAreNamedTheSameWhicheverTheServerSent(t *testing.T) {
	t.Parallel()
	srv := webhookstest.NewServer(t, webhookstest.InMemory(), webhookstest.WithSvixHeaders())
	srv.Handle(harness.HookURL, http.NotFoundHandler())
	client := srv.Client()
	if err := errors.Join(client.CreateEventType(t.Context(), webhooks.DefaultEventTypes()[0]),
		client.CreateEndpoint(t.Context(), harness.KnownEndpoint(), "")); err != nil {
		t.Fatal(err)
	}
	if _, err := client.SendEvent(t.Context(), harness.KnownEvent()); err != nil {
		t.Fatal(err)
	}
	if err := srv.WaitForDeliveries(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	events, err := webhooks.Collect(client.ListSentEventsForEndpoint(t.Context(),
		harness.KnownEndpoint(), webhooks.SentEventQuery{}))
	if err != nil || len(events) != 1 {
		t.Fatalf("got %+v, %v; want one sent event", events, err)
	}
	sent := srv.Deliveries()[0].Header
	want := http.Header{
		"Content-Length": sent["Content-Length"], "Content-Type": sent["Content-Type"],
		"X-Swh-Event": {webhooks.TypeOriginCreate},
		"Webhook-Id":  sent["Svix-Id"], "Webhook-Timestamp": sent["Svix-Timestamp"],
		"Webhook-Signature": sent["Svix-Signature"],
	}
	if diff := cmp.Diff(want, events[0].Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
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
			if got := timestamps(t, client.ListSentEventsForEventType(t.Context(),
				webhooks.TypeOriginCreate, q)); len(got) != 1 {
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
			if diff := cmp.Diff([]string{"Content-Length", "Content-Type", "Webhook-Id", "X-Swh-Event"},
				got); diff != "" {
				t.Errorf("%s: headers (-want +got):\n%s", name, diff)
			}
		}
	})
}

// TestPayloadsOfSparseAttempts: each attempt has its payload, however many messages of other
// endpoints lie between those of this one.
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
