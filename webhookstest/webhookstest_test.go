package webhookstest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/svixmock/openapi"
	"github.com/softwareheritage/webhooks/webhookstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(openapi.Checked(m)) }

const receiver = "https://receiver.example"

// listen makes an endpoint at url.
func listen(t *testing.T, client *webhooks.Client, url string) {
	t.Helper()
	register(t, client, webhooks.Endpoint{EventType: "origin.create", URL: url}, "")
}

func send(t *testing.T, client *webhooks.Client) {
	t.Helper()
	if err := announce(t.Context(), client); err != nil {
		t.Fatal(err)
	}
}

func TestDeliveryOverTheNetwork(t *testing.T) {
	t.Parallel()
	target := webhookstest.NewServer(t) // any server will do: it answers 405 to a POST of its health
	srv := webhookstest.NewServer(t, webhookstest.WithRetrySchedule())
	client := srv.Client()
	listen(t, client, target.URL+"/api/v1/health")
	send(t, client)
	if err := srv.WaitForDeliveries(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	got := srv.Deliveries()[0]
	if got.Status != http.StatusMethodNotAllowed || got.Header.Get("Webhook-Id") != srv.Messages()[0].ID {
		t.Errorf("got delivery %+v, want one that was answered with 405", got)
	}
	if len(target.Requests()) != 1 {
		t.Errorf("got %d requests, want 1", len(target.Requests()))
	}
}

func TestHeaderFamilies(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		opts []webhookstest.Option
		want []string
	}{
		"default": {nil, []string{"Webhook-Id", "Webhook-Signature", "Webhook-Timestamp"}},
		"svix": {
			[]webhookstest.Option{webhookstest.WithSvixHeaders()},
			[]string{"Svix-Id", "Svix-Signature", "Svix-Timestamp"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := webhookstest.NewServer(t, tt.opts...)
			client := srv.Client()
			listen(t, client, receiver)
			srv.Handle(receiver, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			send(t, client)
			if err := srv.WaitForDeliveries(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			var got []string
			for name := range srv.Deliveries()[0].Header {
				if strings.HasPrefix(name, "Svix-") || strings.HasPrefix(name, "Webhook-") {
					got = append(got, name)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("signature headers (-want +got):\n%s", diff)
			}
		})
	}
}

// What a test forgot is in the error.
func TestWaitForDeliveriesSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare func(t *testing.T, client *webhooks.Client)
		want    string
	}{
		"nothing sent": {func(*testing.T, *webhooks.Client) {}, "no message was sent"},
		"no endpoint": {func(t *testing.T, client *webhooks.Client) {
			t.Helper()
			et := webhooks.DefaultEventTypes()[0]
			if err := client.CreateEventType(t.Context(), et); err != nil {
				t.Fatal(err)
			}
			send(t, client)
		}, "there is no endpoint to deliver to"},
		"other event type": {func(t *testing.T, client *webhooks.Client) {
			t.Helper()
			listen(t, client, receiver)
			if err := client.CreateEventType(t.Context(), webhooks.DefaultEventTypes()[1]); err != nil {
				t.Fatal(err)
			}
			event := webhooks.Event{Type: "origin.visit", Payload: webhooks.OriginVisit{
				OriginURL: "https://example.org/", VisitType: "git",
				VisitDate: webhooks.NewVisitDate(time.Now()), VisitStatus: webhooks.VisitFull,
			}}
			if _, err := client.SendEvent(t.Context(), event); err != nil {
				t.Fatal(err)
			}
		}, "matched no endpoint's event types and channels"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := webhookstest.NewServer(t, webhookstest.InMemory())
				tt.prepare(t, srv.Client(webhooks.WithoutListenerCheck()))
				err := srv.WaitForDeliveries(t.Context(), 1)
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got error %v, want one that says %q", err, tt.want)
				}
			})
		})
	}
}

func TestWaitForDeliveriesEndsWithItsContext(t *testing.T) {
	t.Parallel()
	srv := webhookstest.NewServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := srv.WaitForDeliveries(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
}

func TestFaultsAndRequests(t *testing.T) {
	t.Parallel()
	srv := webhookstest.NewServer(t)
	client := srv.Client()
	busy := webhookstest.Fault{
		Status: http.StatusServiceUnavailable,
		Header: http.Header{"Retry-After": {"3600"}},
	}
	srv.FailNext(1, busy) // and yet the client does not wait
	srv.FailNext(1, webhookstest.Fault{Reset: true})
	_, err := client.GetEventType(t.Context(), "origin.create")
	if !errors.Is(err, webhooks.ErrEventTypeNotFound) {
		t.Errorf("got error %v, want %v", err, webhooks.ErrEventTypeNotFound)
	}
	var got []int
	for _, r := range srv.Requests() {
		got = append(got, r.Status)
	}
	if diff := cmp.Diff([]int{503, 0, 404}, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

func TestSetClock(t *testing.T) {
	t.Parallel()
	srv := webhookstest.NewServer(t)
	client := srv.Client(webhooks.WithoutListenerCheck())
	listen(t, client, receiver)
	srv.Handle(receiver, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	past := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	srv.SetClock(func() time.Time { return past })
	send(t, client)
	srv.SetClock(nil)
	if got := srv.Messages()[0].Timestamp; !got.Equal(past) {
		t.Errorf("got a message of %v, want %v", got, past)
	}
}

// Mistakes in a test end it with a text that helps.
func TestMistakesEndTheTest(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		mistake func(tb testing.TB)
		want    string
	}{
		"socket in a bubble": {func(tb testing.TB) {
			tb.Helper()
			webhookstest.NewServer(tb)
		}, "use the option InMemory"},
		"handler of no URL": {func(tb testing.TB) {
			tb.Helper()
			webhookstest.NewServer(tb, webhookstest.InMemory()).
				Handle("receiver.example", http.NotFoundHandler())
		}, "relative URL without a base"},
		"client with a bad option": {func(tb testing.TB) {
			tb.Helper()
			webhookstest.NewServer(tb, webhookstest.InMemory()).Client(webhooks.WithCacheTTL(-1))
		}, "negative duration"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{TB: t}
				done := make(chan struct{})
				go func() {
					defer close(done)
					tt.mistake(r)
				}()
				<-done
				if !strings.Contains(r.fatal, tt.want) {
					t.Errorf("the test ended with %q, want a text with %q", r.fatal, tt.want)
				}
			})
		})
	}
}

// recorder records with which text a test would have ended.
type recorder struct {
	testing.TB
	fatal string
}

func (r *recorder) Fatal(args ...any) {
	r.fatal = fmt.Sprint(args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) { r.Fatal(fmt.Sprintf(format, args...)) }

func TestClientThatGoesAwayLeavesItsMessageUndelivered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := webhookstest.NewServer(t, webhookstest.InMemory())
		client := srv.Client()
		listen(t, client, receiver)
		srv.Handle(receiver, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		send(t, client) // the client knows the listener now
		sending := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/msg") }
		srv.FailNext(1, webhookstest.Fault{Delay: time.Minute, Only: sending})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := announce(ctx, client); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got error %v, want %v", err, context.DeadlineExceeded)
		}
		time.Sleep(time.Hour)
		if messages, deliveries := len(srv.Messages()), len(srv.Deliveries()); messages != 2 ||
			deliveries != 1 {
			t.Errorf("got %d messages and %d deliveries, want 2 and 1", messages, deliveries)
		}
	})
}
