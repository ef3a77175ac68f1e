package webhookstest_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/webhookstest"
)

// The tests in this file are examples to begin with.

// announce stands for the code of a sender.
func announce(ctx context.Context, client *webhooks.Client) error {
	_, err := client.SendEvent(
		ctx,
		webhooks.Event{
			Type:    "origin.create",
			Payload: webhooks.OriginCreate{OriginURL: "https://example.org/"},
		},
	)
	return err
}

// A sender's test: what was sent?
func TestSender(t *testing.T) {
	t.Parallel()
	srv := webhookstest.NewServer(t)
	client := srv.Client(webhooks.WithoutListenerCheck())
	if err := client.CreateEventType(t.Context(), webhooks.DefaultEventTypes()[0]); err != nil {
		t.Fatal(err)
	}
	if err := announce(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	messages := srv.Messages()
	if len(messages) != 1 || string(messages[0].Payload) != `{"origin_url":"https://example.org/"}` {
		t.Errorf("got messages %+v, want one about https://example.org/", messages)
	}
}

// A receiver's test: is what is delivered accepted and understood?
func TestReceiver(t *testing.T) {
	t.Parallel()
	srv := webhookstest.NewServer(t)
	client := srv.Client()
	endpoint := webhooks.Endpoint{EventType: "origin.create", URL: "https://receiver.example/hook"}
	register(t, client, endpoint, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	received := make(chan string, 1)
	srv.Handle(endpoint.URL, webhooks.NewHandler([]string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
		func(_ context.Context, d webhooks.Delivery) error {
			received <- string(d.Payload)
			return nil
		}))
	if err := announce(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	if got, want := <-received, `{"origin_url":"https://example.org/"}`; got != want {
		t.Errorf("received %s, want %s", got, want)
	}
}

// A test of hours of retries, in no time.
func TestRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := webhookstest.NewServer(t, webhookstest.InMemory(),
			webhookstest.WithRetrySchedule(time.Hour, 10*time.Hour))
		client := srv.Client()
		endpoint := webhooks.Endpoint{EventType: "origin.create", URL: "https://receiver.example/hook"}
		register(t, client, endpoint, "")
		srv.Handle(endpoint.URL, http.NotFoundHandler())
		if err := announce(t.Context(), client); err != nil {
			t.Fatal(err)
		}
		if err := srv.WaitForDeliveries(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		attempts := srv.Deliveries()
		if took := attempts[2].Timestamp.Sub(attempts[0].Timestamp); took != 11*time.Hour {
			t.Errorf("the last attempt came after %v, want 11h", took)
		}
	})
}

// register creates an endpoint and its event type.
func register(t *testing.T, client *webhooks.Client, ep webhooks.Endpoint, secret string) {
	t.Helper()
	for _, et := range webhooks.DefaultEventTypes() {
		if et.Name != ep.EventType {
			continue
		}
		if err := client.CreateEventType(t.Context(), et); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.CreateEndpoint(t.Context(), ep, secret); err != nil {
		t.Fatal(err)
	}
}
