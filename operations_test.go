package webhooks_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

const (
	memoryServerURL  = "http://svix.test"
	memoryHookURL    = "http://receiver.test/hook"
	memoryNewHookURL = "http://receiver.test/new"
	knownEventID     = "journal-0-1"
)

// inBubble runs a test in a bubble of testing/synctest whose time is the present.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sleepUntil(time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC))
		test(t)
	})
}

// roundTripFunc is an http.RoundTripper.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// clientOver is a client whose requests go through a RoundTripper.
func clientOver(tb testing.TB, rt http.RoundTripper, token string, opts ...webhooks.Option) *webhooks.Client {
	tb.Helper()
	client, err := webhooks.NewClient(append([]webhooks.Option{
		webhooks.WithConfig(webhooks.Config{}), webhooks.WithServerURL(memoryServerURL), webhooks.WithAuthToken(token),
		webhooks.WithHTTPClient(&http.Client{Transport: rt}),
	}, opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

// memoryServer is a mock server without a socket and with a receiver, on which
// there is all that everyOperation needs.
func memoryServer(tb testing.TB, cfg svixmock.Config) *svixmock.Server {
	tb.Helper()
	cfg.WhiteLabel = true
	cfg.KeepRequests = cmp.Or(cfg.KeepRequests, 10_000)
	cfg.KeepDeliveries = cmp.Or(cfg.KeepDeliveries, 10_000)
	mock := svixmock.New(cfg)
	tb.Cleanup(mock.Close)
	mock.Handle(memoryHookURL, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	client := clientOver(tb, mock.RoundTripper(), mock.Token())
	for _, et := range webhooks.DefaultEventTypes() {
		if err := client.CreateEventType(tb.Context(), et); err != nil {
			tb.Fatal(err)
		}
	}
	if err := client.CreateEndpoint(tb.Context(), knownEndpoint(), secretA); err != nil {
		tb.Fatal(err)
	}
	event := knownEvent()
	event.ID = knownEventID
	if _, err := client.SendEvent(tb.Context(), event); err != nil {
		tb.Fatal(err)
	}
	if err := mock.WaitForDeliveries(tb.Context(), 1); err != nil {
		tb.Fatal(err)
	}
	return mock
}

func knownEndpoint() webhooks.Endpoint {
	return webhooks.Endpoint{URL: memoryHookURL, EventType: originCreate, Metadata: map[string]string{"team": "archive"}}
}

func newEndpoint() webhooks.Endpoint {
	return webhooks.Endpoint{URL: memoryNewHookURL, EventType: originCreate, Channel: "https://git.example.org/project"}
}

func knownEvent() webhooks.Event {
	return webhooks.Event{Type: originCreate, Payload: webhooks.OriginCreate{OriginURL: "https://git.example.org/project"}}
}

// An operation is a call of the client, run to its end.
type operation func(ctx context.Context, c *webhooks.Client) error

// everyOperation are the operations of a client, all of which succeed on the
// server of memoryServer.
func everyOperation() map[string]operation {
	newType := webhooks.EventType{Name: "new.type", Schema: json.RawMessage(`{"type":"object"}`)}
	conflicting := knownEvent()
	conflicting.ID = knownEventID
	return map[string]operation{
		"CreateEventType": func(ctx context.Context, c *webhooks.Client) error { return c.CreateEventType(ctx, newType) },
		"GetEventType": func(ctx context.Context, c *webhooks.Client) error {
			_, err := c.GetEventType(ctx, originCreate)
			return err
		},
		"ListEventTypes": func(ctx context.Context, c *webhooks.Client) error {
			_, err := webhooks.Collect(c.ListEventTypes(ctx))
			return err
		},
		"DeleteEventType":     func(ctx context.Context, c *webhooks.Client) error { return c.DeleteEventType(ctx, originCreate) },
		"CreateEndpoint, new": func(ctx context.Context, c *webhooks.Client) error { return c.CreateEndpoint(ctx, newEndpoint(), "") },
		"CreateEndpoint, existing": func(ctx context.Context, c *webhooks.Client) error {
			return c.CreateEndpoint(ctx, knownEndpoint(), secretB)
		},
		"ListEndpoints": func(ctx context.Context, c *webhooks.Client) error {
			_, err := webhooks.Collect(c.ListEndpoints(ctx, originCreate, webhooks.EndpointQuery{}))
			return err
		},
		"GetEndpointSecret": func(ctx context.Context, c *webhooks.Client) error {
			_, err := c.GetEndpointSecret(ctx, knownEndpoint())
			return err
		},
		"RotateEndpointSecret": func(ctx context.Context, c *webhooks.Client) error {
			return c.RotateEndpointSecret(ctx, knownEndpoint(), secretB)
		},
		"SetEndpointDisabled": func(ctx context.Context, c *webhooks.Client) error {
			return c.SetEndpointDisabled(ctx, knownEndpoint(), true)
		},
		"DeleteEndpoint": func(ctx context.Context, c *webhooks.Client) error { return c.DeleteEndpoint(ctx, knownEndpoint()) },
		"SendEvent": func(ctx context.Context, c *webhooks.Client) error {
			_, err := c.SendEvent(ctx, knownEvent())
			return err
		},
		"SendEvent, sent before": func(ctx context.Context, c *webhooks.Client) error {
			_, err := c.SendEvent(ctx, conflicting)
			return err
		},
		"SendEvents": func(ctx context.Context, c *webhooks.Client) error {
			var errs []error
			for result := range c.SendEvents(ctx, slices.Values([]webhooks.Event{knownEvent(), knownEvent()}), 2) {
				errs = append(errs, result.Err)
			}
			return errors.Join(errs...)
		},
		"ListSentEventsForEndpoint": func(ctx context.Context, c *webhooks.Client) error {
			_, err := webhooks.Collect(c.ListSentEventsForEndpoint(ctx, knownEndpoint(), webhooks.SentEventQuery{}))
			return err
		},
		"ListSentEventsForEventType": func(ctx context.Context, c *webhooks.Client) error {
			_, err := webhooks.Collect(c.ListSentEventsForEventType(ctx, originCreate, webhooks.SentEventQuery{}))
			return err
		},
	}
}

// rawEndpoint is an endpoint as the server has it, read without the client.
type rawEndpoint struct {
	ID          string            `json:"id"`
	URL         string            `json:"url"`
	UID         string            `json:"uid"`
	Disabled    bool              `json:"disabled"`
	FilterTypes []string          `json:"filterTypes"`
	Channels    []string          `json:"channels"`
	Metadata    map[string]string `json:"metadata"`

	Headers map[string]string `json:"-"`
	Secret  string            `json:"-"`
}

// rawEndpoints are the endpoints of an event type, newest first.
func rawEndpoints(tb testing.TB, mock *svixmock.Server, eventType string) []rawEndpoint {
	tb.Helper()
	path := "/api/v1/app/" + identity.Application(eventType) + "/endpoint"
	var page struct {
		Data []rawEndpoint `json:"data"`
	}
	rawGet(tb, mock, path+"?limit=250", &page)
	for i := range page.Data {
		ep := &page.Data[i]
		var headers struct {
			Headers map[string]string `json:"headers"`
		}
		var secret struct {
			Key string `json:"key"`
		}
		rawGet(tb, mock, path+"/"+ep.ID+"/headers", &headers)
		rawGet(tb, mock, path+"/"+ep.ID+"/secret", &secret)
		ep.Headers, ep.Secret = headers.Headers, secret.Key
	}
	return page.Data
}

// rawEndpointAt is the endpoint of origin.create with a URL.
func rawEndpointAt(tb testing.TB, mock *svixmock.Server, url string) rawEndpoint {
	tb.Helper()
	endpoints := rawEndpoints(tb, mock, originCreate)
	which := slices.IndexFunc(endpoints, func(ep rawEndpoint) bool { return ep.URL == url })
	if which < 0 {
		tb.Fatalf("there is no endpoint with the URL %s: %+v", url, endpoints)
	}
	return endpoints[which]
}

// rawGet asks the server without the client and returns the status.
func rawGet(tb testing.TB, mock *svixmock.Server, path string, into any) int {
	tb.Helper()
	status, answer := rawRequest(tb, mock, http.MethodGet, path, "")
	if err := json.Unmarshal(answer, into); err != nil {
		tb.Fatalf("GET %s: %d %s: %v", path, status, answer, err)
	}
	return status
}

// rawRequest sends a request without the client.
func rawRequest(tb testing.TB, mock *svixmock.Server, method, path, body string) (status int, answer []byte) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, memoryServerURL+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+mock.Token())
	req.Header.Set("Content-Type", "application/json")
	resp, err := mock.RoundTripper().RoundTrip(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, err = io.ReadAll(resp.Body); err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, answer
}

// requestsOn is how many requests an operation makes.
func requestsOn(t *testing.T, mock *svixmock.Server, do operation) int {
	t.Helper()
	before := len(mock.Requests())
	if err := do(t.Context(), clientOver(t, mock.RoundTripper(), mock.Token())); err != nil {
		t.Fatal(err)
	}
	return len(mock.Requests()) - before
}

// only selects the k-th of the requests that come from now on, the first being 0.
func only(k int) func(*http.Request) bool {
	return func(*http.Request) bool {
		k--
		return k == -1
	}
}

func mayHaveBeenSent(err error) bool {
	return err != nil && strings.Contains(err.Error(), "may have been sent")
}
