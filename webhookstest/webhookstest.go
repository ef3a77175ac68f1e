// Package webhookstest gives unit tests a Svix server of their own: in memory, gone with the test,
// and as strict and lenient as a real one.
//
// # A sender's test
//
//	func TestSend(t *testing.T) {
//		srv := webhookstest.NewServer(t)
//		client := srv.Client(webhooks.WithoutListenerCheck())
//		if err := client.CreateEventType(t.Context(), eventType); err != nil {
//			t.Fatal(err)
//		}
//		// ... call the code under test with client, then look at what it sent:
//		for _, m := range srv.Messages() {
//			t.Logf("%s %s", m.EventType, m.Payload)
//		}
//	}
//
// Without that option a client sends only what an endpoint listens to, so the test would have to
// create one.
//
// # A receiver's test
//
// [Server.Handle] puts a handler behind a URL, without a socket. What is sent to an endpoint with
// that URL is really delivered: signed, and tried again where the handler fails.
//
//	srv.Handle("https://receiver.example", handler)
//	// ... create the endpoint, send an event
//	if err := srv.WaitForDeliveries(t.Context(), 1); err != nil {
//		t.Fatal(err) // says why nothing was delivered
//	}
//
// # Time
//
// Inside a bubble of testing/synctest hours of retries take no time. Such a test needs the option
// [InMemory], because sockets do not work in bubbles, and receivers given to [Server.Handle].
// [Server.SetClock] moves the server's clock: ids, timestamps, expiry and time windows, but not the
// delays between retries.
//
// # Faults
//
// [Server.FailNext] and [Server.FailRate] make requests fail: with any answer, broken connections,
// or none at all, before or after the server acted on the request. A client that goes away before
// the answer, because its context ends or it is killed, leaves its message stored but not queued:
// never delivered, unless it is resent. [GoAway] chooses what it leaves, also by chance.
//
// The file example_test.go of this package has a complete test of each kind.
package webhookstest

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// logSize is how many requests and deliveries a server remembers.
const logSize = 10_000

// memoryURL is the address of servers that have none.
const memoryURL = "http://svix.invalid"

// An Option configures a [Server].
type Option func(*options)

type options struct {
	config svixmock.Config
	memory bool
}

// InMemory gives the server no socket: only [Server.Client] and [Server.RoundTripper] reach it.
// Tests in a bubble of testing/synctest need it.
func InMemory() Option {
	return func(o *options) { o.memory = true }
}

// WithRetrySchedule sets the delays between the attempts of a delivery, exactly; without one there
// are no retries. The default is that of a real server: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10
// h, give or take 20 %. As there, a receiver's Retry-After can stretch a delay to its double, and
// after a timeout it is at least a minute.
func WithRetrySchedule(delays ...time.Duration) Option {
	return func(o *options) { o.config.RetrySchedule = append([]time.Duration{}, delays...) }
}

// WithSvixHeaders makes deliveries carry Svix-Id, Svix-Timestamp and Svix-Signature. By default
// they carry Webhook-Id and so on, as those of Software Heritage's server do.
func WithSvixHeaders() Option {
	return func(o *options) { o.config.SvixHeaders = true }
}

// WithoutIdempotency makes the server ignore idempotency keys, as real ones without a cache do.
func WithoutIdempotency() Option {
	return func(o *options) { o.config.NoIdempotency = true }
}

// WithLogger logs each request and each delivery. The default is to log nothing.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) { o.config.Logger = l }
}

// A Server is a Svix server for one test. It is safe for concurrent use.
type Server struct {
	URL   string // without a trailing slash; with InMemory it leads nowhere
	Token string // of an organization

	tb   testing.TB
	mock *svixmock.Server
	hc   *http.Client

	mu      sync.Mutex
	clients []*webhooks.Client
}

// NewServer starts a server that is closed with the test: deliveries that are under way then end,
// planned retries are dropped. In a bubble of testing/synctest it needs the option [InMemory], else
// it ends the test.
func NewServer(tb testing.TB, opts ...Option) *Server {
	tb.Helper()
	o := options{config: svixmock.Config{KeepRequests: logSize, KeepDeliveries: logSize}}
	for _, opt := range opts {
		opt(&o)
	}
	if !o.memory && inBubble() {
		tb.Fatal(
			"webhookstest: time does not pass in a bubble of testing/synctest while a server has a socket: " +
				"use the option InMemory",
		)
	}
	mock := svixmock.New(o.config)
	s := &Server{Token: mock.Token(), tb: tb, mock: mock}
	if o.memory {
		tb.Cleanup(s.close)
		s.URL = memoryURL
		s.hc = &http.Client{Transport: mock.RoundTripper()}
		return s
	}
	listener := httptest.NewServer(mock)
	tb.Cleanup(func() {
		s.close() // first: it lets hanging requests go, for which the listener waits
		listener.Close()
	})
	s.URL = listener.URL
	s.hc = listener.Client()
	return s
}

// close ends what is under way, also the sends that clients finish in the background.
func (s *Server) close() {
	s.mock.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		_ = c.Drain(context.Background())
	}
}

// inBubble reports whether the test runs in a bubble of testing/synctest, whose time begins in
// 2000.
func inBubble() bool { return time.Now().UTC().Year() == 2000 }

// Client is a new client of the server. The options come after the server's own: URL, token, HTTP
// client, an empty configuration, so that no configuration file is read, and retries that do not
// wait. An option that fails ends the test.
func (s *Server) Client(opts ...webhooks.Option) *webhooks.Client {
	s.tb.Helper()
	c, err := webhooks.NewClient(append([]webhooks.Option{
		webhooks.WithConfig(webhooks.Config{}),
		webhooks.WithServerURL(s.URL),
		webhooks.WithAuthToken(s.Token),
		webhooks.WithHTTPClient(s.hc),
		webhooks.WithRetry(webhooks.RetryPolicy{MinBackoff: time.Nanosecond, MaxBackoff: time.Nanosecond}),
	}, opts...)...)
	if err != nil {
		s.tb.Fatalf("webhookstest: making a client: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients = append(s.clients, c)
	return c
}

// RoundTripper serves requests in memory, whatever their host, also in bubbles of testing/synctest.
func (s *Server) RoundTripper() http.RoundTripper { return s.mock.RoundTripper() }

// Handle makes deliveries to URLs with the scheme and host of rawURL go to h instead of over the
// network. Each is served in a goroutine of its own. The URL is normalised as the server does with
// those of endpoints; one without http or https and a host ends the test.
func (s *Server) Handle(rawURL string, h http.Handler) {
	s.tb.Helper()
	if err := svixmock.CheckReceiver(rawURL); err != nil {
		s.tb.Fatalf("webhookstest: %v", err)
	}
	s.mock.Handle(rawURL, h)
}

// Messages are the messages that were sent, of all applications, oldest first.
func (s *Server) Messages() []Message {
	return convert(s.mock.Messages(), func(m svixmock.Message) Message { return Message(m) })
}

// Deliveries are the newest 10,000 attempts to deliver a message, in the order of their end.
func (s *Server) Deliveries() []Delivery {
	return convert(s.mock.Deliveries(), func(d svixmock.Delivery) Delivery { return Delivery(d) })
}

// Requests are the newest 10,000 requests that were answered, in the order of their answers.
func (s *Server) Requests() []Request {
	return convert(s.mock.Requests(), func(r svixmock.Request) Request { return Request(r) })
}

// WaitForDeliveries waits until n attempts in all were made and can be listed; failed ones count.
// It fails when ctx ends, and when for 40 seconds nothing was under way that could become a
// delivery: the error then says what may be missing, such as an endpoint that would receive the
// message.
func (s *Server) WaitForDeliveries(ctx context.Context, n int) error {
	return s.mock.WaitForDeliveries(ctx, n)
}

// FailNext makes the next n requests meet a fault, or of those that f.Only selects. Faults of
// several calls are used up one after the other. Retries are requests too.
func (s *Server) FailNext(n int, f Fault) { s.mock.FailNext(n, f.mock()) }

// FailRate makes each request meet one of the faults with a probability of rate; a rate of 0 ends
// that. The same seed gives the same faults to requests that are made one after the other.
func (s *Server) FailRate(rate float64, seed uint64, faults ...Fault) {
	s.mock.FailRate(rate, seed, convert(faults, Fault.mock)...)
}

// SetClock makes the server take the time from now; nil stands for time.Now. It does not move
// timers.
func (s *Server) SetClock(now func() time.Time) { s.mock.SetClock(now) }
