package harness

import (
	"fmt"
	"iter"
	"net/http"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// NumberedEvent is the i-th of the events of a test. Its payload tells which one.
func NumberedEvent(i int, withID bool) webhooks.Event {
	event := webhooks.Event{
		Type:    webhooks.TypeOriginCreate,
		Payload: webhooks.OriginCreate{OriginURL: fmt.Sprintf("https://git.example.org/project/%d", i)},
	}
	if withID {
		event.ID = fmt.Sprintf("journal-1-%d", i)
	}
	return event
}

// NumberedEvents are the first n of them.
func NumberedEvents(n int, withID bool) iter.Seq[webhooks.Event] {
	return func(yield func(webhooks.Event) bool) {
		for i := range n {
			if !yield(NumberedEvent(i, withID)) {
				return
			}
		}
	}
}

// SeedAttempts puts n messages with an attempt each on the server, without delivering anything.
func SeedAttempts(tb testing.TB, mock *svixmock.Server, endpoint webhooks.Endpoint, n int, at func(i int) time.Time) {
	tb.Helper()
	err := mock.SeedAttempts(n, svixmock.Seed{
		App:       identity.Application(endpoint.EventType),
		Endpoint:  endpoint.UID(),
		EventType: endpoint.EventType,
		At:        at,
		Payload: func(i int) []byte {
			return fmt.Appendf(nil, `{"origin_url":"https://git.example.org/project/%d"}`, i)
		},
	})
	must(tb, err)
}

// EveryFault are the faults of a server and a network after which a request is tried again.
func EveryFault(slow time.Duration) []svixmock.Fault {
	return []svixmock.Fault{
		{Reset: true},
		{Reset: true, AfterActing: true},
		{Status: 500, Body: "{}"},
		{Status: 500, Body: "{}", AfterActing: true},
		{
			Status: 502, Header: http.Header{"Content-Type": {"text/html"}},
			Body: "<html><h1>502 Bad Gateway</h1></html>",
		},
		{Status: 503, Header: http.Header{"Retry-After": {"1"}}},
		{Status: 503, AfterActing: true},
		{Status: 429, Header: http.Header{"Retry-After": {"0"}}},
		{Status: 408},
		{Status: 425},
		{Status: 504, AfterActing: true},
		{Delay: slow},
		{SlowBody: slow},
		{Truncate: true},
		{Hang: true},
		{Hang: true, AfterActing: true},
	}
}

// IsPost tells whether a request is a POST.
func IsPost(r *http.Request) bool { return r.Method == http.MethodPost }
