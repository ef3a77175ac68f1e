package otelwebhooks_test

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/webhookstest"
)

// A transport that is wrapped keeps its connections.
func TestConnectionsThroughOtelHTTP(t *testing.T) {
	t.Parallel()
	sends, concurrency := 1_000, 16
	if *full {
		sends, concurrency = 10_000, 64
	}
	srv := webhookstest.NewServer(t)
	transport := webhooks.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	dial := transport.DialContext
	var opened atomic.Int64
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		opened.Add(1)
		return dial(ctx, network, address)
	}
	client := srv.Client(webhooks.WithHTTPClient(&http.Client{Transport: otelhttp.NewTransport(transport)}),
		webhooks.WithoutListenerCheck())
	for _, et := range webhooks.DefaultEventTypes() {
		if err := client.CreateEventType(t.Context(), et); err != nil {
			t.Fatal(err)
		}
	}
	events := func(yield func(webhooks.Event) bool) {
		for n := range sends {
			if !yield(newOrigin(n)) {
				return
			}
		}
	}
	sent := 0
	for result := range client.SendEvents(t.Context(), events, concurrency) {
		if result.Err != nil {
			t.Fatal(result.Err)
		}
		sent++
	}
	t.Logf("%d connections for %d sends, %d at once", opened.Load(), sent, concurrency)
	if limit := int64(concurrency + sends/100); opened.Load() > limit {
		t.Errorf("%d connections for %d sends, %d at once: want at most %d", opened.Load(), sent, concurrency, limit)
	}
}
