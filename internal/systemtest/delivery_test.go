package systemtest_test

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

func createsMessage(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/msg")
}

// A repetition is what happens between two sends of one event.
type repetition struct {
	fault   svixmock.Fault // that the first send meets
	answers int            // of the receiver: its status; 0: 200
	slow    time.Duration  // it takes that long
	between func(t *testing.T, mock *svixmock.Server)
	wait    time.Duration // between the sends

	soonest, latest time.Duration // that the second send takes
	requests        int           // that it makes at most
	scheduled       int           // attempts until two hours later
	manual          int
}

// TestRepeatedEventIsDelivered: a server that has the ID of an event already may have lost the way
// to deliver it. What was queued is never sent again, and what was not is resent once that is sure.
func TestRepeatedEventIsDelivered(t *testing.T) {
	t.Parallel()
	cut := svixmock.Fault{GoAway: svixmock.StoredNotQueued, Only: createsMessage}
	const (
		settled = 35 * time.Second
		soon    = settled + 3*time.Second
		polls   = 10
	)
	message := "/app/" + identity.Application(webhooks.TypeOriginCreate) + "/msg/journal-1-1"
	disable := func(t *testing.T, mock *svixmock.Server) {
		t.Helper()
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		if err := client.SetEndpointDisabled(t.Context(), harness.KnownEndpoint(), true); err != nil {
			t.Fatal(err)
		}
	}
	replace := func(t *testing.T, mock *svixmock.Server) {
		t.Helper()
		disable(t, mock)
		time.Sleep(time.Second)
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		if err := client.CreateEndpoint(t.Context(), harness.NewEndpoint(), ""); err != nil {
			t.Fatal(err)
		}
	}
	expunge := func(t *testing.T, mock *svixmock.Server) {
		t.Helper()
		if status, _ := harness.RawRequest(t, mock, http.MethodDelete, "/api/v1"+message+"/content",
			""); status != http.StatusNoContent {
			t.Fatalf("deleting the payload: %d", status)
		}
	}
	resendInVain := func(t *testing.T, mock *svixmock.Server) {
		t.Helper()
		time.Sleep(time.Minute)
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
		if _, err := client.SendEvent(t.Context(), harness.NumberedEvent(1, true)); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]repetition{
		"delivered":                 {wait: time.Minute, requests: 3, scheduled: 1},
		"delivered, at once":        {requests: 3 + 1 + polls, latest: time.Second, scheduled: 1},
		"failed, to be tried again": {answers: 500, wait: time.Minute, requests: 3, scheduled: 2},
		"under way": {
			slow: 20 * time.Second, soonest: 15 * time.Second,
			latest: soon, requests: 3 + 1 + polls, scheduled: 1,
		},
		"under way until it times out": {
			slow: time.Minute, soonest: 30 * time.Second,
			latest: soon, requests: 3 + 1 + polls, scheduled: 2,
		},
		"never queued, a minute ago": {fault: cut, wait: time.Minute, requests: 3 + 1 + 1, manual: 1},
		"never queued, at once": {
			fault: cut, soonest: settled, latest: soon,
			requests: 3 + 1 + polls + 1, manual: 1,
		},
		"never queued, 20 s ago": {
			fault: cut, wait: 20 * time.Second,
			soonest: 15 * time.Second, latest: 18 * time.Second, requests: 3 + 1 + polls + 1, manual: 1,
		},
		"never queued, nobody should get it": {fault: cut, between: disable, requests: 3 + 1},
		"never queued, the endpoint is new":  {fault: cut, between: replace, requests: 3 + 1},
		"never queued, the payload is gone":  {fault: cut, between: expunge, requests: 2},
		"resent in vain": {
			fault: cut, answers: 500, between: resendInVain,
			wait: time.Minute, requests: 3 + 1 + 1, manual: 2,
		},
		"resent with success": {
			fault: cut, between: resendInVain, wait: time.Minute,
			requests: 3, manual: 1,
		},
		"stored and queued, no answer": {fault: svixmock.Fault{
			GoAway: svixmock.StoredAndQueued,
			Only:   createsMessage,
		}, wait: time.Minute, requests: 3, scheduled: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) { tt.check(t) })
		})
	}
}

func (tt repetition) check(t *testing.T) {
	t.Helper()
	mock := harness.NewServer(t, svixmock.Config{RetrySchedule: []time.Duration{time.Hour}})
	mock.Handle(harness.HookURL, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(tt.slow)
		w.WriteHeader(cmp.Or(tt.answers, http.StatusOK))
	}))
	time.Sleep(time.Second) // the known message is older
	event := harness.NumberedEvent(1, true)
	known := len(mock.Deliveries())
	once := webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1})
	first := harness.NewClient(t, mock.RoundTripper(), mock.Token(), once, webhooks.WithoutListenerCheck())
	if tt.fault.GoAway != svixmock.Stay {
		mock.FailNext(1, tt.fault)
	}
	_, err := first.SendEvent(t.Context(), event)
	if failed, _ := errors.AsType[*webhooks.SendError](err); (failed != nil) != (tt.fault.GoAway != svixmock.Stay) {
		t.Fatalf("the first send got %v", err)
	}
	if tt.between != nil {
		tt.between(t, mock)
	}
	time.Sleep(tt.wait)

	client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), webhooks.WithoutListenerCheck())
	if err := harness.Operations()["ListEndpoints"](t.Context(), client); err != nil {
		t.Fatal(err) // else the event type is in memory now
	}
	before, start := len(mock.Requests()), time.Now()
	sent, err := client.SendEvent(t.Context(), event)
	took, made := time.Since(start), len(mock.Requests())-before
	if err != nil || !sent.Repeated || sent.ID != mock.Messages()[1].ID {
		t.Errorf("got %v, %v; want the message of the first send", sent, err)
	}
	if took < tt.soonest || took > tt.latest {
		t.Errorf("took %v, want %v to %v", took, tt.soonest, tt.latest)
	}
	if made > tt.requests {
		t.Errorf("made %d requests, want at most %d", made, tt.requests)
	}
	time.Sleep(2 * time.Hour)
	scheduled, manual := 0, 0
	for _, d := range mock.Deliveries()[known:] {
		if d.Manual {
			manual++
		} else {
			scheduled++
		}
	}
	if scheduled != tt.scheduled || manual != tt.manual {
		t.Errorf("got %d scheduled and %d manual attempts, want %d and %d", scheduled, manual, tt.scheduled, tt.manual)
	}
}
