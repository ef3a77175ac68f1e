package webhookstest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/webhookstest"
)

// A runningTest stands for the *testing.T that a test has, and an example has not.
type runningTest struct {
	testing.TB

	cleanups []func()
}

func (t *runningTest) Helper() {}

func (t *runningTest) Context() context.Context { return context.Background() }

func (t *runningTest) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

func (t *runningTest) Fatal(args ...any) {
	fmt.Println(args...)
	os.Exit(1) // where a test would end
}

func (t *runningTest) Fatalf(format string, args ...any) { t.Fatal(fmt.Sprintf(format, args...)) }

// end ends the test.
func (t *runningTest) end() {
	for _, f := range t.cleanups {
		f()
	}
}

// What did the code under test send?
func Example() {
	t := new(runningTest) // the *testing.T of your test
	defer t.end()

	srv := webhookstest.NewServer(t)
	client := srv.Client(webhooks.WithoutListenerCheck())
	if err := client.CreateEventType(t.Context(), webhooks.DefaultEventTypes()[0]); err != nil {
		t.Fatal(err)
	}
	if err := announce(t.Context(), client); err != nil { // the code under test
		t.Fatal(err)
	}
	for _, m := range srv.Messages() {
		fmt.Printf("%s %s\n", m.EventType, m.Payload)
	}
	// Output: origin.create {"origin_url":"https://example.org/"}
}

// A receiver in memory gets what is sent to its URL, signed. Its answers decide what happens next.
func ExampleServer_Handle() {
	t := new(runningTest) // the *testing.T of your test
	defer t.end()

	srv := webhookstest.NewServer(t, webhookstest.WithRetrySchedule(time.Millisecond))
	busy := true
	srv.Handle("https://receiver.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("got", r.Header.Get("X-Swh-Event"))
		if busy {
			w.WriteHeader(http.StatusServiceUnavailable)
			busy = false
		}
	}))

	client := srv.Client()
	subscribe(t, client, "https://receiver.example/hook")
	if err := announce(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	if err := srv.WaitForDeliveries(t.Context(), 2); err != nil {
		t.Fatal(err) // says why there are not two
	}
	for _, d := range srv.Deliveries() {
		fmt.Println(d.Status, d.MessageID == srv.Messages()[0].ID)
	}
	// Output:
	// got origin.create
	// got origin.create
	// 503 true
	// 200 true
}

// The next requests go wrong. A client retries what may succeed later, without waiting in tests.
func ExampleServer_FailNext() {
	t := new(runningTest) // the *testing.T of your test
	defer t.end()

	srv := webhookstest.NewServer(t)
	client := srv.Client()
	srv.FailNext(1, webhookstest.Fault{Status: http.StatusServiceUnavailable})
	srv.FailNext(1, webhookstest.Fault{Reset: true})
	fmt.Println(client.Ping(t.Context()))
	for _, r := range srv.Requests() {
		fmt.Println(r.Method, r.Status)
	}
	// Output:
	// <nil>
	// GET 503
	// GET 0
	// GET 200
}

// The worst that a lost connection leaves behind: the message is stored, and nobody ever gets it.
func ExampleFault_goAway() {
	t := new(runningTest) // the *testing.T of your test
	defer t.end()

	srv := webhookstest.NewServer(t)
	client := srv.Client(
		webhooks.WithoutListenerCheck(),
		webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1}),
	)
	subscribe(t, client, "https://receiver.example/hook")
	srv.FailNext(1, webhookstest.Fault{GoAway: webhookstest.StoredNotQueued})

	err := announce(t.Context(), client)
	var failed *webhooks.SendError
	fmt.Println("may be sent:", errors.As(err, &failed) && failed.MaybeSent)
	fmt.Println("stored:", len(srv.Messages()), "delivered:", len(srv.Deliveries()))
	// Output:
	// may be sent: true
	// stored: 1 delivered: 0
}

// The server's clock decides on ids, timestamps and what has expired.
func ExampleServer_SetClock() {
	t := new(runningTest) // the *testing.T of your test
	defer t.end()

	srv := webhookstest.NewServer(t)
	srv.SetClock(func() time.Time { return time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC) })
	client := srv.Client(webhooks.WithoutListenerCheck())
	if err := client.CreateEventType(t.Context(), webhooks.DefaultEventTypes()[0]); err != nil {
		t.Fatal(err)
	}
	if err := announce(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	fmt.Println(srv.Messages()[0].Timestamp)
	// Output: 2026-01-01 12:00:00 +0000 UTC
}

// subscribe makes an endpoint for new origins.
func subscribe(tb testing.TB, client *webhooks.Client, url string) {
	tb.Helper()
	if err := client.CreateEventType(tb.Context(), webhooks.DefaultEventTypes()[0]); err != nil {
		tb.Fatal(err)
	}
	endpoint := webhooks.Endpoint{EventType: webhooks.TypeOriginCreate, URL: url}
	if err := client.CreateEndpoint(tb.Context(), endpoint, ""); err != nil {
		tb.Fatal(err)
	}
}
