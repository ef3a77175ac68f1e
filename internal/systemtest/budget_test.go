package systemtest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// TestRequestBudget holds each operation to the requests that the README promises.
func TestRequestBudget(t *testing.T) {
	t.Parallel()
	operations := harness.Operations()
	visit := func(channel string) harness.Operation {
		return func(ctx context.Context, c *webhooks.Client) error {
			_, err := c.SendEvent(ctx,
				webhooks.Event{
					Type: webhooks.TypeOriginVisit, Channel: channel,
					Payload: webhooks.OriginVisit{VisitStatus: webhooks.VisitFull},
				})
			return err
		}
	}
	listing := operations["ListEndpoints"] // it leaves the event type in the cache
	forEndpoint := func(q webhooks.SentEventQuery) harness.Operation {
		return func(ctx context.Context, c *webhooks.Client) error {
			_, err := webhooks.Collect(c.ListSentEventsForEndpoint(ctx, harness.KnownEndpoint(), q))
			return err
		}
	}
	forType := func(q webhooks.SentEventQuery) harness.Operation {
		return func(ctx context.Context, c *webhooks.Client) error {
			_, err := webhooks.Collect(c.ListSentEventsForEventType(ctx, webhooks.TypeOriginCreate, q))
			return err
		}
	}
	endpointsOf := func(eventType string) harness.Operation { // it leaves the event type in the cache
		return func(ctx context.Context, c *webhooks.Client) error {
			for _, err := range c.ListEndpoints(ctx, eventType, webhooks.EndpointQuery{}) {
				return err
			}
			return nil
		}
	}
	breakingOut := func(ctx context.Context, c *webhooks.Client) error {
		for _, err := range c.ListSentEventsForEndpoint(ctx, harness.KnownEndpoint(), webhooks.SentEventQuery{}) {
			return err
		}
		return errors.New("nothing was listed")
	}
	const most = 3 // pages of messages, for the payloads of a page of attempts
	tests := map[string]struct {
		has   func(t *testing.T, mock *svixmock.Server) // what there is besides, nil: nothing
		first harness.Operation                         // nil: nothing is cached
		do    harness.Operation
		max   int
		opts  []webhooks.Option
	}{
		"SendEvent, cached": {
			nil, operations["SendEvent"],
			operations["SendEvent"], 1, nil,
		},
		"SendEvent, nobody listens":        {nil, visit(""), visit(""), 1, nil},
		"SendEvent, nobody of 25 listens":  {hasEndpoints(25), visit("other"), visit("other"), 1, nil},
		"SendEvent, nobody of 26 listens":  {hasEndpoints(26), visit("other"), visit("other"), 1, nil},
		"SendEvent, nobody of 251 listens": {has251Endpoints, visit("other"), visit("other"), 1, nil},
		"SendEvent, nobody of 251 listens, all listed": {
			has251Endpoints, endpointsOf(webhooks.TypeOriginVisit), visit("other"), 2,
			[]webhooks.Option{webhooks.WithNobodyListensTTL(time.Minute)},
		},
		"SendEvent, nobody of 251 listens, all remembered": {
			has251Endpoints, visit("other"), visit("another"), 0,
			[]webhooks.Option{webhooks.WithNobodyListensTTL(time.Minute)},
		},
		"SendEvent, sent before": {nil, operations["SendEvent"], operations["SendEvent, sent before"], 3, nil},
		"Ping": {nil, nil, func(ctx context.Context, c *webhooks.Client) error {
			return c.Ping(ctx)
		}, 1, nil},
		"SendEvent, without the check": {
			nil, visit(""), visit(""), 1,
			[]webhooks.Option{webhooks.WithoutListenerCheck()},
		},
		"CreateEventType":   {nil, nil, operations["CreateEventType"], 2, nil},
		"GetEventType":      {nil, nil, operations["GetEventType"], 1, nil},
		"DeleteEventType":   {nil, nil, operations["DeleteEventType"], 1, nil},
		"GetEndpointSecret": {nil, nil, operations["GetEndpointSecret"], 2, nil},
		"DeleteEndpoint":    {nil, nil, operations["DeleteEndpoint"], 2, nil},
		"ListEventTypes":    {nil, nil, operations["ListEventTypes"], 1, nil},
		"ListEventTypes, 251": {
			has251EventTypes, nil,
			operations["ListEventTypes"], 2, nil,
		},
		"CreateEndpoint, new": {nil, listing, operations["CreateEndpoint, new"], 3, nil},
		"CreateEndpoint, existing": {
			nil, listing,
			operations["CreateEndpoint, existing"], 6, nil,
		},
		"ListEndpoints":      {nil, listing, listing, 1, nil},
		"ListEndpoints, 251": {has251Endpoints, listing, listing, 2, nil},
		"ListSentEventsForEndpoint, 601": {
			hasAttempts(600), listing,
			forEndpoint(webhooks.SentEventQuery{}), 3 + 3*most + 1, nil,
		},
		"ListSentEventsForEndpoint, among many": {
			hasSparseAttempts(10, 3000), listing,
			forEndpoint(webhooks.SentEventQuery{}), 1 + most + 11 + 1, nil,
		},
		"ListSentEventsForEndpoint, limit 10": {
			hasAttempts(600), listing,
			forEndpoint(webhooks.SentEventQuery{Limit: 10}), 1 + most + 1, nil,
		},
		"ListSentEventsForEndpoint, breaking out": {hasAttempts(600), listing, breakingOut, 1 + most + 1, nil},
		"ListSentEventsForEndpoint, after, newest of 601": {
			hasAttempts(600), listing,
			forEndpoint(webhooks.SentEventQuery{After: time.Now().Add(-time.Hour)}), 1 + most + 1, nil,
		},
		"ListSentEventsForEventType, 301": {
			hasAttempts(300), listing,
			forType(webhooks.SentEventQuery{}), 2 + 301 + 2, nil,
		},
		"ListSentEventsForEventType, limit 10": {
			hasAttempts(300), listing,
			forType(webhooks.SentEventQuery{Limit: 10}), 1 + 10 + 2, nil,
		},
		"ListSentEventsForEventType, after, 601": {
			hasAttempts(600), listing,
			forType(webhooks.SentEventQuery{After: time.Now().Add(-80 * 24 * time.Hour)}), 2*1 + 3 + 3*most, nil,
		},
		"ListSentEventsForEventType, after, nothing": {
			has251Endpoints, listing,
			forType(webhooks.SentEventQuery{After: time.Now().Add(time.Hour)}), 252 + 2 + 1, nil,
		},
		"ListSentEventsForMessage": {nil, listing, operations["ListSentEventsForMessage"], 1 + 1 + 2*1, nil},
		"ListMessages, 301": {
			hasAttempts(300), listing, operations["ListMessages"], 2, nil,
		},
		"GetMessage":    {nil, nil, operations["GetMessage"], 1, nil},
		"ResendMessage": {nil, nil, operations["ResendMessage"], 2, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mock := harness.NewServer(t, svixmock.Config{})
			if tt.has != nil {
				tt.has(t, mock)
			}
			client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), tt.opts...)
			if tt.first != nil {
				if err := tt.first(t.Context(), client); err != nil {
					t.Fatal(err)
				}
			}
			before := len(mock.Requests())
			if err := tt.do(t.Context(), client); err != nil {
				t.Fatal(err)
			}
			made := mock.Requests()[before:]
			if len(made) > tt.max || len(made) == 0 && tt.max > 0 {
				t.Errorf("made %d requests, want at most %d and not none instead", len(made), tt.max)
				for _, r := range made {
					t.Logf("%s %s?%s", r.Method, r.Path, r.RawQuery)
				}
			}
		})
	}
}

func has251Endpoints(t *testing.T, mock *svixmock.Server) {
	t.Helper()
	hasEndpoints(251)(t, mock)
}

// hasEndpoints are endpoints that are disabled or on channels of their own.
func hasEndpoints(n int) func(*testing.T, *svixmock.Server) {
	return func(t *testing.T, mock *svixmock.Server) {
		t.Helper()
		for i := range n {
			body := fmt.Sprintf(`{"url":"https://example.org/%d","channels":["channel-%d"],"disabled":%t}`,
				i, i, i%2 == 0)
			for _, eventType := range []string{webhooks.TypeOriginCreate, webhooks.TypeOriginVisit} {
				harness.RawPost(t, mock, "/app/"+identity.Application(eventType)+"/endpoint", body)
			}
		}
	}
}

func has251EventTypes(t *testing.T, mock *svixmock.Server) {
	t.Helper()
	for i := range 249 {
		harness.RawPost(t, mock, "/event-type", fmt.Sprintf(`{"name":"test.%d","description":""}`, i))
	}
}

// hasAttempts is one more attempt a minute than that of harness.NewServer.
func hasAttempts(n int) func(*testing.T, *svixmock.Server) {
	return func(t *testing.T, mock *svixmock.Server) {
		t.Helper()
		begin := time.Now().Add(-time.Duration(n+30) * time.Minute)
		harness.SeedAttempts(t, mock, harness.KnownEndpoint(), n, func(i int) time.Time {
			return begin.Add(time.Duration(i) * time.Minute)
		})
	}
}

// hasSparseAttempts are n attempts among many of another endpoint.
func hasSparseAttempts(n, others int) func(*testing.T, *svixmock.Server) {
	return func(t *testing.T, mock *svixmock.Server) {
		t.Helper()
		mock.Handle(harness.NewHookURL, http.NotFoundHandler())
		other := webhooks.Endpoint{URL: harness.NewHookURL, EventType: webhooks.TypeOriginCreate}
		if err := harness.NewClient(t, mock.RoundTripper(),
			mock.Token()).CreateEndpoint(t.Context(), other, ""); err != nil {
			t.Fatal(err)
		}
		begin := time.Now().Add(-time.Duration(others) * time.Minute)
		harness.SeedAttempts(t, mock, other, others, func(i int) time.Time {
			return begin.Add(time.Duration(i) * time.Minute)
		})
		harness.SeedAttempts(t, mock, harness.KnownEndpoint(), n, func(i int) time.Time {
			return begin.Add(time.Duration(i*others/n)*time.Minute + time.Second)
		})
	}
}
