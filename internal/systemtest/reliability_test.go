package systemtest_test

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// storedEvents are the ids of the messages that are stored, by their payload.
func storedEvents(t *testing.T, mock *svixmock.Server) map[string][]string {
	t.Helper()
	stored := map[string][]string{}
	for _, m := range mock.Messages() {
		stored[string(m.Payload)] = append(stored[string(m.Payload)], m.ID)
	}
	return stored
}

func payloadText(t *testing.T, event webhooks.Event) string {
	t.Helper()
	text, err := json.Marshal(event.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkExactlyOnce sends n events and checks each result against what the server has stored; then
// it ends the faults and sends the failed ones again.
func checkExactlyOnce(t *testing.T, mock *svixmock.Server, client *webhooks.Client, n int, withID bool) {
	t.Helper()
	started := time.Now()
	var results []webhooks.SendResult
	for result := range client.SendEvents(t.Context(), harness.NumberedEvents(n, withID), 64) {
		results = append(results, result)
	}
	took := time.Since(started)
	mock.FailRate(0, 0)

	stored := storedEvents(t, mock)
	var failed []webhooks.Event
	open, storedOpen := 0, 0
	for i, result := range results {
		event := harness.NumberedEvent(i, withID)
		if diff := cmp.Diff(event, result.Event); diff != "" {
			t.Fatalf("result %d is of another event (-want +got):\n%s", i, diff)
		}
		ids := stored[payloadText(t, event)]
		switch {
		case len(ids) > 1:
			t.Errorf("event %d is stored %d times", i, len(ids))
		case result.Err == nil && (len(ids) != 1 || ids[0] != result.Message.ID):
			t.Errorf("event %d was reported as %v and is stored as %v", i, result.Message, ids)
		case result.Err != nil && !result.Message.IsZero():
			t.Errorf("event %d has a message and the error %v", i, result.Err)
		case mayHaveBeenSent(result.Err):
			open++
			storedOpen += len(ids)
			event.ID = sendError(result.Err).EventID
			failed = append(failed, event)
		case result.Err != nil && len(ids) != 0:
			t.Errorf("event %d was reported as not sent and is stored: %v", i, result.Err)
		case result.Err != nil:
			failed = append(failed, event)
		}
	}
	for _, event := range failed {
		message, err := client.SendEvent(t.Context(), event)
		if ids := storedEvents(t, mock)[payloadText(t, event)]; err != nil || len(ids) != 1 || ids[0] != message.ID {
			t.Errorf("sent again, the event was reported as %v, %v and is stored as %v", message, err, ids)
		}
	}
	if got := len(mock.Messages()); len(results) != n || got != n+1 {
		t.Errorf("%d results, %d messages stored, want %d and, with the known one, %d", len(results), got, n, n+1)
	}
	if storedOpen == 0 {
		t.Error("no send failed whose event was stored all the same; the test wants some")
	}
	t.Logf("%d sends in %v: %d reported as sent; %d as failed, of which %d may have been sent (%d "+
		"were); after sending those again %d are stored once",
		n, took, n-len(failed), len(failed), open, storedOpen, n)
}

// TestEveryEventIsStoredOnce sends events while 30 % of all requests meet a fault. Three tries of a
// request are few enough for some sends to fail in the end.
func TestEveryEventIsStoredOnce(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cfg    svixmock.Config
		withID bool
		client []webhooks.Option
	}{
		"ID given": {svixmock.Config{}, true, nil},
		"ID drawn": {svixmock.Config{}, false, nil},
		"ID given, no idempotency cache": {
			svixmock.Config{NoIdempotency: true},
			true,
			[]webhooks.Option{webhooks.WithCacheTTL(0)},
		},
		"ID drawn, no idempotency cache": {
			svixmock.Config{NoIdempotency: true},
			false,
			[]webhooks.Option{webhooks.WithoutListenerCheck()},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				mock := harness.NewServer(t, test.cfg)
				mock.FailRate(0.3, 1, harness.EveryFault(3*time.Second)...)
				opts := append([]webhooks.Option{webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 3})},
					test.client...)
				client := harness.NewClient(t, &twice{base: mock.RoundTripper(), every: 17}, mock.Token(), opts...)
				checkExactlyOnce(t, mock, client, harness.Sized(1_000, 10_000), test.withID)
			})
		})
	}
}

// twice sends some requests two times, as a network that repeats a packet, or a proxy that tries
// again, may do; the answer is that to the second.
type twice struct {
	base  http.RoundTripper
	every int64
	n     atomic.Int64
}

func (rt *twice) RoundTrip(r *http.Request) (*http.Response, error) {
	if rt.n.Add(1)%rt.every != 0 || r.GetBody == nil {
		return rt.base.RoundTrip(r)
	}
	first := r.Clone(r.Context())
	if resp, err := rt.base.RoundTrip(first); err == nil {
		_ = resp.Body.Close()
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	second := r.Clone(r.Context())
	second.Body = body
	return rt.base.RoundTrip(second)
}

// TestEveryEventIsStoredOnceOverSockets does the same where connections break.
func TestEveryEventIsStoredOnceOverSockets(t *testing.T) {
	t.Parallel()
	retry := webhooks.RetryPolicy{
		MaxAttempts: 2, MinBackoff: time.Millisecond,
		MaxBackoff: 5 * time.Millisecond, AttemptTimeout: time.Second,
	}
	mock, client := loadServer(t, svixmock.Config{NoIdempotency: true}, webhooks.WithRetry(retry))
	mock.Handle(harness.HookURL, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	if err := client.CreateEndpoint(t.Context(), harness.KnownEndpoint(), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := client.SendEvent(t.Context(), harness.KnownEvent()); err != nil {
		t.Fatal(err)
	}
	hasten(mock)
	mock.FailRate(0.3, 3, harness.EveryFault(10*time.Millisecond)...)
	checkExactlyOnce(t, mock, client, harness.Sized(300, 10_000), true)
}

// hasten makes a hundred seconds of the server's clock one of a client's, so that a message is soon
// old enough to be resent.
func hasten(mock *svixmock.Server) {
	start := time.Now()
	mock.SetClock(func() time.Time { return start.Add(100 * time.Since(start)) })
}

// TestFailureSaysWhetherTheEventMayHaveBeenSent meets each fault alone.
func TestFailureSaysWhetherTheEventMayHaveBeenSent(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	tests := map[string]struct {
		fault    svixmock.Fault
		dial     error // in place of a fault
		mayBe    bool  // sent
		isStored bool
	}{
		"refused connection":     {dial: refused},
		"reset before acting":    {fault: svixmock.Fault{Reset: true}, mayBe: true},
		"reset after acting":     {fault: svixmock.Fault{Reset: true, AfterActing: true}, mayBe: true, isStored: true},
		"no answer":              {fault: svixmock.Fault{Hang: true}, mayBe: true},
		"no answer after acting": {fault: svixmock.Fault{Hang: true, AfterActing: true}, mayBe: true, isStored: true},
		"half an answer":         {fault: svixmock.Fault{Truncate: true}, mayBe: true, isStored: true},
		"500 before acting":      {fault: svixmock.Fault{Status: 500}, mayBe: true},
		"500 after acting":       {fault: svixmock.Fault{Status: 500, AfterActing: true}, mayBe: true, isStored: true},
		"504 with HTML":          {fault: svixmock.Fault{Status: 504, Body: "<html>"}, mayBe: true},
		"408":                    {fault: svixmock.Fault{Status: 408}, mayBe: true},
		"429":                    {fault: svixmock.Fault{Status: 429}},
		"425":                    {fault: svixmock.Fault{Status: 425}},
		"401":                    {fault: svixmock.Fault{Status: 401}},
		"413 of a proxy":         {fault: svixmock.Fault{Status: 413, Body: "<html>"}},
		"422":                    {fault: svixmock.Fault{Status: 422, Body: `{"detail":[]}`}},
		"200 with half a message": {
			fault: svixmock.Fault{Status: 200, Body: `{"id":`, AfterActing: true},
			mayBe: true, isStored: true,
		},
		"202 of a captive portal": {fault: svixmock.Fault{Status: 202, Body: "<html>"}, mayBe: true},
		"204":                     {fault: svixmock.Fault{Status: 204, AfterActing: true}, mayBe: true, isStored: true},
		"301": {fault: svixmock.Fault{
			Status: 301,
			Header: http.Header{"Location": {"https://svix.test"}},
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				mock := harness.NewServer(t, svixmock.Config{NoIdempotency: true})
				rt := mock.RoundTripper()
				if test.dial != nil {
					rt = harness.RoundTripFunc(func(*http.Request) (*http.Response, error) { return nil, test.dial })
				}
				retry := webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1})
				ready := harness.NewClient(t, mock.RoundTripper(), mock.Token(), retry, webhooks.WithoutListenerCheck())
				failing := harness.NewClient(t, harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
					if r.Method == http.MethodGet {
						return mock.RoundTripper().RoundTrip(r)
					}
					return rt.RoundTrip(r)
				}), mock.Token(), retry, webhooks.WithoutListenerCheck())
				mock.FailRate(1, 1, withOnly(test.fault, harness.IsPost))
				event := harness.NumberedEvent(1, true)
				_, err := failing.SendEvent(t.Context(), event)
				if err == nil || mayHaveBeenSent(err) != test.mayBe {
					t.Errorf("got error %v, want it to say that the event may have been sent: %v", err, test.mayBe)
				}
				if ids := storedEvents(t, mock)[payloadText(t, event)]; (len(ids) == 1) != test.isStored {
					t.Errorf("stored as %v, want it stored: %v", ids, test.isStored)
				}
				mock.FailRate(0, 0)
				message, err := ready.SendEvent(t.Context(), event)
				if ids := storedEvents(t, mock)[payloadText(t, event)]; err != nil ||
					len(ids) != 1 || ids[0] != message.ID {
					t.Errorf("sent again, the event was reported as %v, %v and is stored as %v", message, err, ids)
				}
			})
		})
	}
}

func withOnly(f svixmock.Fault, selects func(*http.Request) bool) svixmock.Fault {
	f.Only = selects
	return f
}

// TestLastOutcomeIsReported: what the last of the tries met is what the caller gets, with no word
// about retries around it.
func TestLastOutcomeIsReported(t *testing.T) {
	t.Parallel()
	busy := svixmock.Fault{Status: 503, Body: `{"code":"busy","detail":"not now"}`}
	reset := svixmock.Fault{Reset: true}
	tests := map[string]struct {
		faults []svixmock.Fault
		want   string
	}{
		"an answer after a reset": {
			[]svixmock.Fault{reset, reset, busy},
			"webhooks: event type get: server answered 503 Service Unavailable (busy): not now",
		},
		"a reset after an answer": {
			[]svixmock.Fault{busy, busy, reset},
			`webhooks: event type get: Get "http://svix.test/api/v1/event-type/origin.create": read ` +
				`memory: connection reset by peer`,
		},
		"another answer": {
			[]svixmock.Fault{busy, reset, {Status: 502, Body: "<h1>Bad Gateway</h1>"}},
			"webhooks: event type get: server answered 502 Bad Gateway: <h1>Bad Gateway</h1>",
		},
		"one that is not worth it": {
			[]svixmock.Fault{busy, {Status: 403}},
			"webhooks: event type get: server answered 403 Forbidden",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				mock := harness.NewServer(t, svixmock.Config{})
				for _, fault := range test.faults {
					mock.FailNext(1, fault)
				}
				client := harness.NewClient(t, mock.RoundTripper(), mock.Token(),
					webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 3}))
				before := len(mock.Requests())
				_, err := client.GetEventType(t.Context(), webhooks.TypeOriginCreate)
				if err == nil || err.Error() != test.want {
					t.Errorf("got %v, want %s", err, test.want)
				}
				if tries := len(mock.Requests()) - before; tries != len(test.faults) {
					t.Errorf("got %d tries, want %d", tries, len(test.faults))
				}
			})
		})
	}
}

// TestRetryAfterAsDate: the server's advice may be a date, up to MaxBackoff from now.
func TestRetryAfterAsDate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ in, want time.Duration }{
		"soon":      {7 * time.Second, 7 * time.Second},
		"far away":  {time.Hour, 30 * time.Second},
		"next year": {366 * 24 * time.Hour, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				mock := harness.NewServer(t, svixmock.Config{})
				start := time.Now()
				mock.FailNext(1, svixmock.Fault{
					Status: 503,
					Header: http.Header{"Retry-After": {start.Add(test.in).UTC().Format(http.TimeFormat)}},
				})
				_, err := harness.NewClient(t, mock.RoundTripper(),
					mock.Token()).GetEventType(t.Context(), webhooks.TypeOriginCreate)
				if took := time.Since(start); err != nil || took != test.want {
					t.Errorf("got %v after %v, want success after %v", err, took, test.want)
				}
			})
		})
	}
}

// sendError is the [webhooks.SendError] in an error, a zero one if there is none.
func sendError(err error) *webhooks.SendError {
	if found, ok := errors.AsType[*webhooks.SendError](err); ok {
		return found
	}
	return new(webhooks.SendError)
}

func mayHaveBeenSent(err error) bool { return sendError(err).MaybeSent }
