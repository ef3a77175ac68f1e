package systemtest_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// TestCallsToAServerThatHangs: calls with short deadlines return in time, and what goes on without
// them is bounded, however many there are.
func TestCallsToAServerThatHangs(t *testing.T) {
	const (
		rate     = 1000 // calls a second
		deadline = 50 * time.Millisecond
		finished = 256 // in the background at most
	)
	seconds := harness.Sized(1, 20)
	mock := svixmock.New(svixmock.Config{})
	var open, mostOpen atomic.Int64
	srv := httptest.NewUnstartedServer(mock)
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			high(&mostOpen, open.Add(1))
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		case http.StateActive, http.StateIdle:
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	t.Cleanup(mock.Close)
	transport := webhooks.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	client, err := webhooks.NewClient(webhooks.WithConfig(webhooks.Config{}), webhooks.WithServerURL(srv.URL),
		webhooks.WithAuthToken(mock.Token()), webhooks.WithHTTPClient(&http.Client{Transport: transport}),
		webhooks.WithoutListenerCheck(), webhooks.WithRetry(webhooks.RetryPolicy{AttemptTimeout: 2 * time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	harness.CreateEventTypes(t, client)
	if _, err := client.SendEvent(t.Context(), harness.KnownEvent()); err != nil {
		t.Fatal(err)
	}
	mock.FailRate(1, 1, svixmock.Fault{Hang: true, Only: createsMessage})

	before := runtime.NumGoroutine()
	var calling, mostCalling, mostGoroutines, slowest atomic.Int64
	var calls sync.WaitGroup
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	for range seconds * rate {
		<-tick.C
		high(&mostGoroutines, int64(runtime.NumGoroutine()))
		calls.Go(func() {
			high(&mostCalling, calling.Add(1))
			defer calling.Add(-1)
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			start := time.Now()
			_, err := client.SendEvent(ctx, harness.KnownEvent())
			high(&slowest, int64(time.Since(start)))
			if failed, ok := errors.AsType[*webhooks.SendError](err); ok && !failed.MaybeSent ||
				!errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the deadline", err)
			}
		})
	}
	calls.Wait()
	start := time.Now()
	if err := client.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	drained := time.Since(start)
	t.Logf("%d calls, at most %d at once, the slowest took %v; at most %d connections and %d "+
		"goroutines more than before, the server's included; drained after %v",
		seconds*rate, mostCalling.Load(), time.Duration(slowest.Load()), mostOpen.Load(),
		mostGoroutines.Load()-int64(before), drained)
	if got := mostOpen.Load(); got > mostCalling.Load()+finished+10 {
		t.Errorf("%d connections, want no more than the calls at once, %d, and %d", got, mostCalling.Load(), finished)
	}
	if drained > 4*time.Second {
		t.Errorf("draining took %v, want the 2s of a try", drained)
	}
}

// high raises a mark.
func high(mark *atomic.Int64, value int64) {
	for {
		old := mark.Load()
		if value <= old || mark.CompareAndSwap(old, value) {
			return
		}
	}
}
