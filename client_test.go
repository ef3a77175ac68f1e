package webhooks_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	svix "github.com/svix/svix-webhooks/go"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// answering is a RoundTripper that gives one answer to everything.
func answering(status int, body string, also func()) harness.RoundTripFunc {
	return func(r *http.Request) (*http.Response, error) {
		also()
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
}

// TestAnswerThatComesWithTheEndOfTheContext: an answer that was read whole is
// what is reported, and never by an error of the SDK.
func TestAnswerThatComesWithTheEndOfTheContext(t *testing.T) {
	t.Parallel()
	for name, do := range harness.Operations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			forbidden := answering(http.StatusForbidden, `{"code":"insufficient access","detail":"No."}`, cancel)
			err := do(ctx, harness.NewClient(t, forbidden, "token", webhooks.WithCacheTTL(0)))
			var api *webhooks.APIError
			if !errors.As(err, &api) || api.StatusCode != http.StatusForbidden || api.Code != "insufficient access" {
				t.Errorf("got the error %v, want the APIError of the answer", err)
			}
			if _, ok := errors.AsType[*svix.Error](err); ok {
				t.Errorf("an error of the SDK is in the chain of %v", err)
			}
		})
	}
}

// TestDetailOfForeignAnswers: what something before the server says is not lost
// because it says it in JSON.
func TestDetailOfForeignAnswers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ body, want string }{
		"no detail":        {`{"message":"no route matched"}`, `{"message":"no route matched"}`},
		"detail of a kind": {`{"code":"odd","detail":{"reason":"too odd"}}`, `{"reason":"too odd"}`},
		"text":             {`"go away"`, `"go away"`},
		"empty object":     {`{}`, ``},
		"null":             {`{"detail":null}`, ``},
		"no problems":      {`{"detail":[]}`, ``},
	}
	for name, tt := range tests {
		_, err := harness.NewClient(t, answering(http.StatusForbidden, tt.body, func() {}), "token").GetEventType(t.Context(), webhooks.TypeOriginCreate)
		var api *webhooks.APIError
		if !errors.As(err, &api) || api.Detail != tt.want {
			t.Errorf("%s: got the error %v, want the detail %q", name, err, tt.want)
		}
	}
}

// TestSendEventsTakesAnyConcurrency, also one that no memory could hold.
func TestSendEventsTakesAnyConcurrency(t *testing.T) {
	t.Parallel()
	mock := harness.NewServer(t, svixmock.Config{})
	client := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	events := slices.Repeat([]webhooks.Event{harness.KnownEvent()}, 3)
	for _, concurrency := range []int{math.MinInt, -1, 0, math.MaxInt32, math.MaxInt} {
		results := 0
		for result := range client.SendEvents(t.Context(), slices.Values(events), concurrency) {
			if results++; result.Err != nil || result.Message.IsZero() {
				t.Errorf("concurrency %d: got %v, %v", concurrency, result.Message, result.Err)
			}
		}
		if results != len(events) {
			t.Errorf("concurrency %d: got %d results, want %d", concurrency, results, len(events))
		}
	}
}
