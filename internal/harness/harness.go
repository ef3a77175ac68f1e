// Package harness is what the tests of several packages share: the one way to make a mock server
// and a client of it, the operations that every client has, and the flag for tests that take long.
package harness

import (
	"cmp"
	"context"
	"flag"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// The URLs of what NewServer makes.
const (
	ServerURL  = "http://svix.test"
	HookURL    = "http://receiver.test/hook"
	NewHookURL = "http://receiver.test/new"
)

// Secrets that a server accepts.
const (
	SecretA = "whsec_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	SecretB = "whsec_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// What tests of secrets look for in whatever the library says.
const (
	SpiedToken  = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJvcmdfc3BpZWQifQ.c3BpZWQtdG9rZW4_LQ" //nolint:gosec // made for tests
	SpiedSecret = "whsec_c3BpZWQ+c2VjcmV0P//7774gZm9yIGFuIGVuZHBvaW50"                 //nolint:gosec // made for tests
)

var full = flag.Bool("full", false, "run tests that take long at their full size")

// Full tells whether tests run at their full size.
func Full() bool { return *full }

// Sized returns how many times a test does what it does: normal, or whole under the flag -full.
func Sized(normal, whole int) int {
	if *full {
		return whole
	}
	return normal
}

// A Scope is what a mock server ends with: a test, or one of the many that a property is made of.
type Scope interface {
	Helper()
	Cleanup(end func())
}

// NewMock is a mock server without a socket that ends with its scope. It keeps 10,000 requests and
// deliveries if cfg does not say how many.
func NewMock(tb Scope, cfg svixmock.Config) *svixmock.Server {
	tb.Helper()
	cfg.KeepRequests = cmp.Or(cfg.KeepRequests, 10_000)
	cfg.KeepDeliveries = cmp.Or(cfg.KeepDeliveries, 10_000)
	mock := svixmock.New(cfg)
	tb.Cleanup(mock.Close)
	return mock
}

// Listen puts a mock server behind a socket and returns its URL.
func Listen(tb testing.TB, mock *svixmock.Server) (serverURL string) {
	tb.Helper()
	srv := httptest.NewServer(mock)
	tb.Cleanup(func() {
		mock.Close() // it lets hanging requests go
		srv.Close()
	})
	return srv.URL
}

// NewServer is a mock server with a receiver, on which there is all that Operations needs.
func NewServer(tb testing.TB, cfg svixmock.Config) *svixmock.Server {
	tb.Helper()
	mock := NewMock(tb, cfg)
	mock.Handle(HookURL, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	client := NewClient(tb, mock.RoundTripper(), mock.Token())
	CreateEventTypes(tb, client)
	must(tb, client.CreateEndpoint(tb.Context(), KnownEndpoint(), SecretA))
	event := KnownEvent()
	event.ID = KnownEventID
	_, err := client.SendEvent(tb.Context(), event)
	must(tb, err)
	must(tb, mock.WaitForDeliveries(tb.Context(), 1))
	return mock
}

// NewClient is a client whose requests go through a RoundTripper.
func NewClient(tb testing.TB, rt http.RoundTripper, token string, opts ...webhooks.Option) *webhooks.Client {
	tb.Helper()
	client, err := webhooks.NewClient(append([]webhooks.Option{
		webhooks.WithConfig(webhooks.Config{}),
		webhooks.WithServerURL(ServerURL),
		webhooks.WithAuthToken(token),
		webhooks.WithHTTPClient(&http.Client{Transport: rt}),
	}, opts...)...)
	must(tb, err)
	tb.Cleanup(func() { _ = client.Drain(context.Background()) }) // a bubble ends with its last goroutine
	return client
}

// CreateEventTypes registers the archive's own event types.
func CreateEventTypes(tb testing.TB, client *webhooks.Client) {
	tb.Helper()
	for _, et := range webhooks.DefaultEventTypes() {
		must(tb, client.CreateEventType(tb.Context(), et))
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// RoundTripFunc is an http.RoundTripper.
type RoundTripFunc func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f RoundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// InBubble runs a test in a bubble of testing/synctest whose time is the present.
func InBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		SleepUntil(time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC))
		test(t)
	})
}

// SleepUntil sets the clock of a bubble of testing/synctest.
func SleepUntil(at time.Time) { time.Sleep(time.Until(at)) }

// UnderRace tells whether this test binary has the race detector in it, which takes time and memory
// of its own.
func UnderRace() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
