package webhooks_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/webhookstest"
)

const receiverURL = "https://receiver.example/webhooks"

// sender returns a client of a server that knows origin.visit and delivers it,
// signed with secretA, to receiverURL. It belongs in a synctest bubble.
func sender(t *testing.T, opts ...webhookstest.Option) (*webhookstest.Server, *webhooks.Client) {
	t.Helper()
	srv := webhookstest.NewServer(t, append(opts, webhookstest.InMemory())...)
	client := srv.Client()
	for _, et := range webhooks.DefaultEventTypes() {
		if err := client.CreateEventType(t.Context(), et); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.CreateEndpoint(t.Context(), receiverEndpoint(), harness.SecretA); err != nil {
		t.Fatal(err)
	}
	return srv, client
}

func receiverEndpoint() webhooks.Endpoint {
	return webhooks.Endpoint{URL: receiverURL, EventType: "origin.visit"}
}

// send sends an event and waits until n deliveries in all were attempted.
func send(t *testing.T, srv *webhookstest.Server, client *webhooks.Client, payload any, n int) webhooks.Message {
	t.Helper()
	msg, err := client.SendEvent(t.Context(), webhooks.Event{Type: "origin.visit", Payload: payload})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.WaitForDeliveries(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	return msg
}

func statuses(srv *webhookstest.Server) []int {
	var statuses []int
	for _, d := range srv.Deliveries() {
		statuses = append(statuses, d.Status)
	}
	return statuses
}

// How to test a receiver: what the server delivers is what Svix would deliver.
func TestReceiver(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]webhookstest.Option{
		"webhook headers": nil,
		"svix headers":    {webhookstest.WithSvixHeaders()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv, client := sender(t, opts...)
				var delivery webhooks.Delivery
				var received webhooks.OriginVisit
				srv.Handle(receiverURL, webhooks.NewHandler([]string{harness.SecretA}, func(_ context.Context, d webhooks.Delivery) error {
					delivery = d
					return d.Decode(&received)
				}))
				sent := webhooks.OriginVisit{
					OriginURL:   "https://git.example.org/é?a&b",
					VisitType:   "git",
					VisitDate:   webhooks.NewVisitDate(time.Now()),
					VisitStatus: webhooks.VisitFailed,
				}
				msg := send(t, srv, client, sent, 1)
				if diff := cmp.Diff(sent, received); diff != "" {
					t.Errorf("payload (-sent +received):\n%s", diff)
				}
				want := webhooks.Delivery{
					MessageID: msg.ID,
					EventType: "origin.visit",
					Timestamp: time.Now().UTC(),
					// The Python module sends the same bytes.
					Payload: []byte(`{"origin_url":"https://git.example.org/é?a&b","snapshot_swhid":null,"visit_date":"2000-01-01T00:00:00+00:00","visit_status":"failed","visit_type":"git"}`),
				}
				if diff := cmp.Diff(want, delivery); diff != "" {
					t.Errorf("delivery (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestReceiverWhileTheSecretIsRotated(t *testing.T) {
	t.Parallel()
	const secretC = "whsec_cccccccccccccccccccccccccccccccc"
	tests := map[string]struct {
		secrets []string
		want    []int // before the rotation, after it, and when the old secret has expired
	}{
		"old one":      {secrets: []string{harness.SecretA}, want: []int{204, 204, 401}},
		"new one":      {secrets: []string{harness.SecretB}, want: []int{401, 204, 204}},
		"both":         {secrets: []string{harness.SecretA, harness.SecretB}, want: []int{204, 204, 204}},
		"another one":  {secrets: []string{secretC}, want: []int{401, 401, 401}},
		"one too many": {secrets: []string{secretC, harness.SecretB, harness.SecretA}, want: []int{204, 204, 204}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv, client := sender(t, webhookstest.WithRetrySchedule())
				srv.Handle(receiverURL, webhooks.NewHandler(tt.secrets, func(context.Context, webhooks.Delivery) error { return nil }, silent()))
				payload := webhooks.OriginVisit{VisitStatus: webhooks.VisitFull}
				send(t, srv, client, payload, 1)
				if err := client.CreateEndpoint(t.Context(), receiverEndpoint(), harness.SecretB); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute) // the server caches an endpoint's keys for a while
				send(t, srv, client, payload, 2)
				time.Sleep(25 * time.Hour)
				send(t, srv, client, payload, 3)
				if diff := cmp.Diff(tt.want, statuses(srv)); diff != "" {
					t.Errorf("answers (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestReceiverThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv, client := sender(t)
		calls := 0
		srv.Handle(receiverURL, webhooks.NewHandler([]string{harness.SecretA}, func(context.Context, webhooks.Delivery) error {
			switch calls++; calls {
			case 1:
				return errors.New("boom")
			case 2:
				panic("boom")
			}
			return nil
		}, silent()))
		send(t, srv, client, webhooks.OriginVisit{VisitStatus: webhooks.VisitFull}, 3)
		time.Sleep(48 * time.Hour) // longer than the server would try again
		if diff := cmp.Diff([]int{500, 500, 204}, statuses(srv)); diff != "" || calls != 3 {
			t.Errorf("received %d times, want 3; answers (-want +got):\n%s", calls, diff)
		}
	})
}

func TestReceiverIsNotGivenAResentMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv, client := sender(t)
		calls := 0
		srv.Handle(receiverURL, webhooks.NewHandler([]string{harness.SecretA}, func(context.Context, webhooks.Delivery) error {
			calls++
			return nil
		}))
		msg := send(t, srv, client, webhooks.OriginVisit{VisitStatus: webhooks.VisitFull}, 1)
		time.Sleep(time.Hour) // so that the signature is another one
		resend(t, srv, msg)
		if err := srv.WaitForDeliveries(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int{204, 204}, statuses(srv)); diff != "" || calls != 1 {
			t.Errorf("received %d times, want once; answers (-want +got):\n%s", calls, diff)
		}
	})
}

// resend does what the operator of a Svix server can do.
func resend(t *testing.T, srv *webhookstest.Server, msg webhooks.Message) {
	t.Helper()
	const app = "21dacaea-7e38-5e52-80af-4d926f0c43d1" // of origin.visit
	url := srv.URL + "/api/v1/app/" + app + "/msg/" + msg.ID + "/endpoint/" + receiverEndpoint().UID() + "/resend"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+srv.Token)
	answer, err := srv.RoundTripper().RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusAccepted {
		t.Fatalf("resend: %s", answer.Status)
	}
}
