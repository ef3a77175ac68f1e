package harness

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// KnownEventID is the ID of the event that NewServer sends.
const KnownEventID = "journal-0-1"

// KnownEndpoint is the endpoint that NewServer makes.
func KnownEndpoint() webhooks.Endpoint {
	return webhooks.Endpoint{
		URL: HookURL, EventType: webhooks.TypeOriginCreate,
		Metadata: map[string]string{"team": "archive"},
	}
}

// NewEndpoint is an endpoint that is not there yet.
func NewEndpoint() webhooks.Endpoint {
	return webhooks.Endpoint{
		URL: NewHookURL, EventType: webhooks.TypeOriginCreate,
		Channel: "https://git.example.org/project",
	}
}

// KnownEvent is an event that KnownEndpoint receives.
func KnownEvent() webhooks.Event {
	return webhooks.Event{
		Type:    webhooks.TypeOriginCreate,
		Payload: webhooks.OriginCreate{OriginURL: "https://git.example.org/project"},
	}
}

// An Operation is a call of the client, run to its end.
type Operation func(ctx context.Context, c *webhooks.Client) error

// Operations are the operations of a client, all of which succeed on the server of NewServer.
func Operations() map[string]Operation {
	newType := webhooks.EventType{Name: "new.type", Schema: json.RawMessage(`{"type":"object"}`)}
	conflicting := KnownEvent()
	conflicting.ID = KnownEventID
	return map[string]Operation{
		"CreateEventType": func(ctx context.Context, c *webhooks.Client) error {
			return c.CreateEventType(ctx, newType)
		},
		"GetEventType": func(ctx context.Context, c *webhooks.Client) error {
			_, err := c.GetEventType(ctx, webhooks.TypeOriginCreate)
			return err
		},
		"ListEventTypes": func(ctx context.Context, c *webhooks.Client) error {
			_, err := webhooks.Collect(c.ListEventTypes(ctx))
			return err
		},
		"DeleteEventType": func(ctx context.Context, c *webhooks.Client) error {
			return c.DeleteEventType(ctx, webhooks.TypeOriginCreate)
		},
		"CreateEndpoint, new": func(ctx context.Context, c *webhooks.Client) error {
			return c.CreateEndpoint(ctx, NewEndpoint(), "")
		},
		"CreateEndpoint, existing": func(ctx context.Context, c *webhooks.Client) error {
			return c.CreateEndpoint(ctx, KnownEndpoint(), SecretB)
		},
		"EnsureEndpoint, new": func(ctx context.Context, c *webhooks.Client) error {
			return c.EnsureEndpoint(ctx, NewEndpoint())
		},
		"EnsureEndpoint, existing": func(ctx context.Context, c *webhooks.Client) error {
			return c.EnsureEndpoint(ctx, KnownEndpoint())
		},
		"GetEndpointStats": func(ctx context.Context, c *webhooks.Client) error {
			_, err := c.GetEndpointStats(ctx, KnownEndpoint(), time.Time{}, time.Time{})
			return err
		},
		"RecoverEndpoint": func(ctx context.Context, c *webhooks.Client) error {
			return c.RecoverEndpoint(ctx, KnownEndpoint(), time.Time{}, time.Time{})
		},
		"ListEndpoints": func(ctx context.Context, c *webhooks.Client) error {
			_, err := webhooks.Collect(c.ListEndpoints(ctx, webhooks.TypeOriginCreate, webhooks.EndpointQuery{}))
			return err
		},
		"GetEndpoint": func(ctx context.Context, c *webhooks.Client) error {
			_, err := c.GetEndpoint(ctx, KnownEndpoint())
			return err
		},
		"GetEndpointSecret": func(ctx context.Context, c *webhooks.Client) error {
			_, err := c.GetEndpointSecret(ctx, KnownEndpoint())
			return err
		},
		"RotateEndpointSecret": func(ctx context.Context, c *webhooks.Client) error {
			return c.RotateEndpointSecret(ctx, KnownEndpoint(), SecretB)
		},
		"SetEndpointDisabled": func(ctx context.Context, c *webhooks.Client) error {
			return c.SetEndpointDisabled(ctx, KnownEndpoint(), true)
		},
		"DeleteEndpoint": func(ctx context.Context, c *webhooks.Client) error {
			return c.DeleteEndpoint(ctx, KnownEndpoint())
		},
		"SendEvent": func(ctx context.Context, c *webhooks.Client) error {
			_, err := c.SendEvent(ctx, KnownEvent())
			return err
		},
		"SendEvent, sent before": func(ctx context.Context, c *webhooks.Client) error {
			_, err := c.SendEvent(ctx, conflicting)
			return err
		},
		"SendEvents": func(ctx context.Context, c *webhooks.Client) error {
			var errs []error
			for result := range c.SendEvents(ctx, slices.Values([]webhooks.Event{KnownEvent(), KnownEvent()}), 2) {
				errs = append(errs, result.Err)
			}
			return errors.Join(errs...)
		},
		"ListSentEventsForEndpoint": func(ctx context.Context, c *webhooks.Client) error {
			_, err := webhooks.Collect(c.ListSentEventsForEndpoint(ctx, KnownEndpoint(), webhooks.SentEventQuery{}))
			return err
		},
		"ListSentEventsForEventType": func(ctx context.Context, c *webhooks.Client) error {
			_, err := webhooks.Collect(c.ListSentEventsForEventType(ctx, webhooks.TypeOriginCreate,
				webhooks.SentEventQuery{}))
			return err
		},
		"ListSentEventsForEventType, after": func(ctx context.Context, c *webhooks.Client) error {
			q := webhooks.SentEventQuery{After: time.Now().Add(-time.Hour)}
			_, err := webhooks.Collect(c.ListSentEventsForEventType(ctx, webhooks.TypeOriginCreate, q))
			return err
		},
		"ListSentEventsForMessage": func(ctx context.Context, c *webhooks.Client) error {
			_, err := webhooks.Collect(c.ListSentEventsForMessage(ctx, webhooks.TypeOriginCreate, KnownEventID))
			return err
		},
		"GetMessage": func(ctx context.Context, c *webhooks.Client) error {
			_, err := c.GetMessage(ctx, webhooks.TypeOriginCreate, KnownEventID)
			return err
		},
		"ListMessages": func(ctx context.Context, c *webhooks.Client) error {
			_, err := webhooks.Collect(c.ListMessages(ctx, webhooks.TypeOriginCreate, webhooks.MessageQuery{}))
			return err
		},
		"ResendMessage": func(ctx context.Context, c *webhooks.Client) error {
			return c.ResendMessage(ctx, KnownEndpoint(), KnownEventID)
		},
	}
}

// RequestsOn is how many requests an operation makes.
func RequestsOn(t *testing.T, mock *svixmock.Server, do Operation) int {
	t.Helper()
	before := len(mock.Requests())
	if err := do(t.Context(), NewClient(t, mock.RoundTripper(), mock.Token())); err != nil {
		t.Fatal(err)
	}
	return len(mock.Requests()) - before
}

// Only selects the k-th of the requests that come from now on; the first is 0.
func Only(k int) func(*http.Request) bool {
	return func(*http.Request) bool {
		k--
		return k == -1
	}
}
