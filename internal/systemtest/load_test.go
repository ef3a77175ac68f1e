package systemtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// loadServer is a mock server behind a socket, with the default event types.
func loadServer(t *testing.T, cfg svixmock.Config, opts ...webhooks.Option) (*svixmock.Server, *webhooks.Client) {
	t.Helper()
	mock := harness.NewMock(t, cfg)
	serverURL := harness.Listen(t, mock)
	transport := &http.Transport{MaxIdleConnsPerHost: 1024}
	t.Cleanup(transport.CloseIdleConnections)
	client := harness.NewClient(t, transport, mock.Token(), append([]webhooks.Option{
		webhooks.WithServerURL(serverURL),
		webhooks.WithRetry(webhooks.RetryPolicy{
			MaxAttempts: 12, MinBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond,
		}),
	}, opts...)...)
	harness.CreateEventTypes(t, client)
	return mock, client
}

// received is what a receiver got, by message id.
type received struct {
	mu   sync.Mutex
	byID map[string]*http.Request
	body map[string][]byte
}

func (r *received) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID, r.body = map[string]*http.Request{}, map[string][]byte{}
	}
	id := req.Header.Get("Webhook-Id")
	r.byID[id], r.body[id] = req, body
}

// TestLoadListedEqualsReceived sends random payloads and compares what both listings say of each
// delivery with what the endpoint received.
func TestLoadListedEqualsReceived(t *testing.T) {
	t.Parallel()
	n := harness.Sized(600, 100_000)
	mock, client := loadServer(t, svixmock.Config{})
	if err := client.CreateEventType(t.Context(),
		webhooks.EventType{Name: "any.object", Schema: json.RawMessage(`{}`)}); err != nil {
		t.Fatal(err)
	}
	receiver := &received{}
	mock.Handle("http://receiver.test", receiver)
	endpoint := webhooks.Endpoint{URL: "http://receiver.test/hook", EventType: "any.object"}
	if err := client.CreateEndpoint(t.Context(), endpoint, ""); err != nil {
		t.Fatal(err)
	}

	source := payloadSource{rand.New(rand.NewPCG(1, 0))} //nolint:gosec // reproducible
	events := func(yield func(webhooks.Event) bool) {
		for range n {
			if !yield(webhooks.Event{Type: "any.object", Payload: json.RawMessage(source.object(6))}) {
				return
			}
		}
	}
	for result := range client.SendEvents(t.Context(), events, 32) {
		if result.Err != nil {
			t.Fatalf("payload %s: %v", result.Event.Payload, result.Err)
		}
	}
	if err := mock.WaitForDeliveries(t.Context(), n); err != nil {
		t.Fatal(err)
	}

	differences := 0
	check := func(listed webhooks.SentEvent) {
		receiver.mu.Lock()
		defer receiver.mu.Unlock()
		got := receiver.byID[listed.MessageID]
		if got == nil {
			t.Fatalf("listed %s was not received", listed.MessageID)
		}
		if !bytes.Equal(listed.Payload, receiver.body[listed.MessageID]) {
			differences++
			t.Errorf("payload\n listed   %s\n received %s", listed.Payload, receiver.body[listed.MessageID])
		}
		for name := range listed.Headers {
			if want := got.Header.Get(name); listed.Headers.Get(name) != want {
				differences++
				t.Errorf("%s: listed %s, received %s", name, listed.Headers.Get(name), want)
			}
		}
	}
	count := 0
	for listed, err := range client.ListSentEventsForEndpoint(t.Context(), endpoint, webhooks.SentEventQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		count++
		check(listed)
	}
	if count != n {
		t.Errorf("the endpoint's listing has %d of %d deliveries", count, n)
	}
	count = 0
	for listed, err := range client.ListSentEventsForEventType(t.Context(), "any.object", webhooks.SentEventQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		count++
		check(listed)
	}
	if count != n {
		t.Errorf("the event type's listing has %d of %d deliveries", count, n)
	}
	t.Logf("%d deliveries compared twice, %d differences", n, differences)
}

// A payloadSource draws JSON texts of objects: nested, with odd characters and odd numbers, in any
// key order and with white space.
type payloadSource struct{ *rand.Rand }

func (p payloadSource) object(depth int) string {
	members := map[string]string{}
	for range p.IntN(5) {
		members[p.text()] = p.value(depth - 1)
	}
	parts := make([]string, 0, len(members))
	for key, value := range members {
		parts = append(parts, encode(key)+" : "+value)
	}
	return "{" + strings.Join(parts, " ,\n") + "}"
}

func (p payloadSource) value(depth int) string {
	kind := p.IntN(6)
	switch {
	case kind == 0:
		return pick(p, "null", "true", "false")
	case kind <= 2 || depth == 0:
		return encode(p.text())
	case kind == 3:
		return p.number()
	case kind == 4:
		return "[ " + p.value(depth-1) + ",\t" + p.value(depth-1) + "]"
	default:
		return p.object(depth)
	}
}

func (p payloadSource) text() string {
	odd := []rune("<>&\"\\/'\x00\x08\x0c\n\r\t\x1f\x7f\u0080\u00a0\u2028\u2029\ufeff\ufffdé日😀\U0010ffff")
	text := make([]rune, p.IntN(12))
	for i := range text {
		if text[i] = 'a' + p.Int32N(26); p.IntN(2) == 0 {
			text[i] = odd[p.IntN(len(odd))]
		}
	}
	return string(text)
}

func (p payloadSource) number() string {
	number := pick(p, "", "-") + pick(p, "0", "7", "9007199254740993", strings.Repeat("1234567890", 1+p.IntN(37)))
	if p.IntN(2) == 0 {
		number += pick(p, ".0", ".10", ".000001", ".3333333333333333333")
	}
	return number + pick(p, "", "", "e5", "E5", "e+05", "E-400", "e400") // below 400 digits in all
}

func pick(p payloadSource, from ...string) string { return from[p.IntN(len(from))] }

// encode escapes some characters that need no escape, as other encoders do.
func encode(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return strings.ReplaceAll(string(text), "/", `\/`)
}

// sendLoad sends n events from as many goroutines and returns the errors and the number of
// connections that were opened.
func sendLoad(t *testing.T, client *webhooks.Client, n, goroutines int) (errs []error, opened int64) {
	t.Helper()
	var connections atomic.Int64
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if !info.Reused {
			connections.Add(1)
		}
	}})
	var mu sync.Mutex
	var next atomic.Int64
	var running sync.WaitGroup
	for range goroutines {
		running.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				_, err := client.SendEvent(ctx, webhooks.Event{
					Type:    webhooks.TypeOriginCreate,
					ID:      fmt.Sprintf("journal-0-%d", i),
					Payload: webhooks.OriginCreate{OriginURL: fmt.Sprintf("https://git.example.org/project/%d", i)},
				})
				if err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	running.Wait()
	return errs, connections.Load()
}

// TestLoadConnections: connections are used again, also when every tenth answer is a 503 or a 429,
// and 256 goroutines share a client.
func TestLoadConnections(t *testing.T) {
	t.Parallel()
	const goroutines = 256
	n := harness.Sized(2_000, 100_000)
	mock, client := loadServer(t, svixmock.Config{}, webhooks.WithoutListenerCheck())
	mock.FailRate(0.1, 1, svixmock.Fault{Status: 503, Body: strings.Repeat("busy ", 100)},
		svixmock.Fault{
			Status: 429, Header: http.Header{"Retry-After": {"0"}},
			Body: `{"code":"rate_limited","detail":"slow down"}`,
		})
	errs, opened := sendLoad(t, client, n, goroutines)
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if limit := int64(goroutines + n/100); opened > limit {
		t.Errorf("opened %d connections, want at most %d", opened, limit)
	}
	t.Logf("%d sends from %d goroutines opened %d connections", n, goroutines, opened)
}

// TestLoadStaysFlat: goroutines and open files do not grow with the number of sends, whatever goes
// wrong.
func TestLoadStaysFlat(t *testing.T) { //nolint:paralleltest // it counts the goroutines and files of the process
	n := harness.Sized(2_000, 100_000)
	// A server with an idempotency cache would hold each retry of a request that hangs for the five
	// seconds of its lock.
	mock, client := loadServer(t, svixmock.Config{NoIdempotency: true}, webhooks.WithoutListenerCheck(),
		webhooks.WithRetry(webhooks.RetryPolicy{
			MaxAttempts: 20, MinBackoff: time.Millisecond,
			MaxBackoff: 5 * time.Millisecond, AttemptTimeout: 200 * time.Millisecond,
		}))
	const concurrency = 64
	send := func(n int) {
		errs, _ := sendLoad(t, client, n, concurrency)
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	mock.FailRate(0.3, 2, harness.EveryFault(10*time.Millisecond)...)
	send(n)
	mock.FailRate(0, 0)
	send(n / 10) // connections that faults broke are replaced, the others used again
	// A connection has two goroutines in the client and one in the server, and a file in each.
	// net/http opens some that turn out not to be needed.
	const connections = 2 * concurrency
	if got := runtime.NumGoroutine(); got > goroutines+3*connections {
		t.Errorf("%d goroutines after, %d before", got, goroutines)
	}
	if got := openFiles(t); got > files+2*connections {
		t.Errorf("%d open files after, %d before", got, files)
	}
	t.Logf("%d sends: goroutines %d, then %d; open files %d, then %d", n, goroutines,
		runtime.NumGoroutine(), files, openFiles(t))
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, os.ErrNotExist) {
		return 0 // a system that does not tell
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestLoadListingMemory: the heap does not grow with the number of attempts that are listed.
func TestLoadListingMemory(t *testing.T) { //nolint:paralleltest // it measures the heap of the process
	small := peakHeapOfListing(t, 10_000)
	large := small
	if harness.Full() {
		large = peakHeapOfListing(t, 1_000_000)
	}
	t.Logf("heap added while listing: %d KiB for 10,000 attempts, %d KiB for the larger number", small>>10, large>>10)
	if large > small+16<<20 {
		t.Errorf("the heap grew by %d MiB more for 1,000,000 attempts than for 10,000", (large-small)>>20)
	}
}

func peakHeapOfListing(t *testing.T, n int) uint64 {
	t.Helper()
	mock, client := loadServer(t, svixmock.Config{})
	endpoint := webhooks.Endpoint{URL: "http://receiver.test/hook", EventType: webhooks.TypeOriginCreate}
	mock.Handle("http://receiver.test", http.NotFoundHandler())
	if err := client.CreateEndpoint(t.Context(), endpoint, ""); err != nil {
		t.Fatal(err)
	}
	newest := time.Now().Add(-time.Minute)
	harness.SeedAttempts(t, mock, endpoint, n, func(i int) time.Time {
		return newest.Add(-time.Duration(n-i) * time.Second)
	})
	before := heap()
	var peak uint64
	count := 0
	for _, err := range client.ListSentEventsForEndpoint(t.Context(), endpoint, webhooks.SentEventQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		if count++; count%max(n/20, 1) == 0 {
			peak = max(peak, heap())
		}
	}
	if count != n {
		t.Fatalf("listed %d of %d", count, n)
	}
	return peak - min(before, peak)
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// TestLoadSharedClient: many goroutines do everything at once with one client.
func TestLoadSharedClient(t *testing.T) {
	t.Parallel()
	const goroutines = 256
	mock, client := loadServer(t, svixmock.Config{})
	mock.Handle("http://receiver.test", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	var running sync.WaitGroup
	for i := range goroutines {
		running.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 0)) //nolint:gosec // reproducible
			for range harness.Sized(4, 40) {
				if err := anything(t.Context(), client, random.IntN(6)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
}

// anything does one of the client's operations.
func anything(ctx context.Context, client *webhooks.Client, which int) error {
	channel := fmt.Sprintf("https://git.example.org/project/%d", which)
	endpoint := webhooks.Endpoint{
		URL:       "http://receiver.test/hook",
		EventType: webhooks.TypeOriginCreate, Channel: channel,
	}
	switch which {
	case 0:
		return client.CreateEventType(ctx, webhooks.DefaultEventTypes()[0])
	case 1:
		err := client.CreateEndpoint(ctx, endpoint, "")
		if errors.Is(err, webhooks.ErrSecretRotationLimit) {
			return nil
		}
		return err
	case 2:
		_, err := webhooks.Collect(client.ListEndpoints(ctx, webhooks.TypeOriginCreate, webhooks.EndpointQuery{}))
		return err
	case 3:
		_, err := webhooks.Collect(client.ListSentEventsForEventType(ctx, webhooks.TypeOriginCreate,
			webhooks.SentEventQuery{Limit: 5}))
		return err
	case 4:
		_, err := webhooks.Collect(client.ListEventTypes(ctx))
		return err
	default:
		_, err := client.SendEvent(ctx,
			webhooks.Event{
				Type: webhooks.TypeOriginCreate, Channel: channel,
				Payload: webhooks.OriginCreate{OriginURL: channel},
			})
		return err
	}
}
