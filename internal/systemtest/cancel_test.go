package systemtest_test

import (
	"context"
	"errors"
	"iter"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

var errStopping = errors.New("the service stops")

// endings end a context ten seconds from now.
func endings() map[string]struct {
	begin func(context.Context) (context.Context, context.CancelFunc)
	want  error
} {
	const after = 10 * time.Second
	return map[string]struct {
		begin func(context.Context) (context.Context, context.CancelFunc)
		want  error
	}{
		"cancel": {func(parent context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(parent)
			time.AfterFunc(after, cancel)
			return ctx, cancel
		}, context.Canceled},
		"cancel with a cause": {func(parent context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(parent)
			time.AfterFunc(after, func() { cancel(errStopping) })
			return ctx, func() { cancel(nil) }
		}, context.Canceled},
		"deadline": {func(parent context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(parent, after)
		}, context.DeadlineExceeded},
	}
}

// patient waits for an answer longer than any test here.
var patient = webhooks.WithRetry(webhooks.RetryPolicy{AttemptTimeout: 24 * time.Hour})

// endsAtOnce runs an operation in a context that ends while the operation waits, and checks that it
// returns at that very moment, with the context's error.
func endsAtOnce(t *testing.T, client *webhooks.Client, do harness.Operation) {
	t.Helper()
	for name, ending := range endings() {
		ctx, cancel := ending.begin(t.Context())
		start := time.Now()
		err := do(ctx, client)
		if took := time.Since(start); took != 10*time.Second || !errors.Is(err, ending.want) {
			t.Errorf("%s: got %v after %v, want %v after 10s", name, err, took, ending.want)
		}
		cancel()
	}
}

// TestCancelEndsEveryRequestAtOnce cancels each request of each operation, at each stage of the
// request.
func TestCancelEndsEveryRequestAtOnce(t *testing.T) {
	t.Parallel()
	stages := map[string]svixmock.Fault{
		"waiting for headers": {Hang: true},
		"reading":             {SlowBody: time.Hour},
		"backing off":         {Status: 503, Header: http.Header{"Retry-After": {"30"}}},
	}
	for name, do := range harness.Operations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				requests := harness.RequestsOn(t, harness.NewServer(t, svixmock.Config{}), do)
				for stage, fault := range stages {
					for k := range requests {
						cancelledAt(t, do, stage, k, fault)
					}
				}
			})
		})
	}
}

// cancelledAt cancels an operation while its request k is at a stage.
func cancelledAt(t *testing.T, do harness.Operation, stage string, k int, fault svixmock.Fault) {
	t.Helper()
	for name, ending := range endings() {
		mock := harness.NewServer(t, svixmock.Config{})
		client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), patient)
		mock.FailNext(1, withOnly(fault, harness.Only(k)))
		ctx, cancel := ending.begin(t.Context())
		start := time.Now()
		err := do(ctx, client)
		if took := time.Since(start); took != 10*time.Second || !errors.Is(err, ending.want) {
			t.Errorf("%s at request %d, %s: got %v after %v, want %v after 10s", name, k+1, stage,
				err, took, ending.want)
		}
		if api := (*webhooks.APIError)(nil); fault.Status != 0 &&
			(!errors.As(err, &api) || api.StatusCode != fault.Status) {
			t.Errorf("%s at request %d, %s: got %v, want the server's last answer in it", name, k+1, stage, err)
		}
		cancel()
		mock.Close()
	}
}

// TestCancelEndsConnectingAtOnce: no server is there, or one that keeps silent.
func TestCancelEndsConnectingAtOnce(t *testing.T) {
	t.Parallel()
	for name, do := range harness.Operations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				over := t.Context()
				transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
					<-over.Done() // net/http does not end a dial together with its request
					return nil, over.Err()
				}}
				endsAtOnce(t, harness.NewClient(t, transport, "token", patient), do)
			})
		})
	}
}

// TestLastAnswerOutlivesACancellation: a request that is cancelled in its second try tells of the
// answer to the first.
func TestLastAnswerOutlivesACancellation(t *testing.T) {
	t.Parallel()
	harness.InBubble(t, func(t *testing.T) {
		mock := harness.NewServer(t, svixmock.Config{})
		mock.FailRate(1, 1, svixmock.Fault{Hang: true})
		mock.FailNext(1, svixmock.Fault{Status: 429, Body: `{"code":"rate_limit","detail":"slow down"}`})
		ctx, cancel := endings()["cancel with a cause"].begin(t.Context())
		defer cancel()
		_, err := harness.NewClient(t, mock.RoundTripper(), mock.Token(), patient).SendEvent(ctx, harness.KnownEvent())
		var api *webhooks.APIError
		if !errors.As(err, &api) || api.StatusCode != http.StatusTooManyRequests ||
			api.Code != "rate_limit" || api.Detail != "slow down" {
			t.Errorf("got %v, want the 429 in it", err)
		}
		if !errors.Is(err, context.Canceled) || !errors.Is(err, errStopping) {
			t.Errorf("got %v, want the context's error and its cause in it", err)
		}
	})
}

// smallPages asks the server for pages of one item, whatever the client wants.
func smallPages(base http.RoundTripper) http.RoundTripper {
	return harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		query := r.URL.Query()
		if query.Has("limit") {
			query.Set("limit", "1")
		}
		r = r.Clone(r.Context())
		r.URL.RawQuery = query.Encode()
		return base.RoundTrip(r)
	})
}

// afterFirst takes the items of a listing, and calls stop after the first.
func afterFirst[T any](list iter.Seq2[T, error], stop func()) error {
	first := true
	for _, err := range list {
		if err != nil {
			return err
		}
		if first {
			stop()
		}
		first = false
	}
	return nil
}

// TestCancelBetweenPages: no page is asked for any more.
func TestCancelBetweenPages(t *testing.T) {
	t.Parallel()
	listings := map[string]func(ctx context.Context, c *webhooks.Client, stop func()) error{
		"ListEventTypes": func(ctx context.Context, c *webhooks.Client, stop func()) error {
			return afterFirst(c.ListEventTypes(ctx), stop)
		},
		"ListEndpoints": func(ctx context.Context, c *webhooks.Client, stop func()) error {
			return afterFirst(c.ListEndpoints(ctx, webhooks.TypeOriginCreate, webhooks.EndpointQuery{}), stop)
		},
		"ListSentEventsForEndpoint": func(ctx context.Context, c *webhooks.Client, stop func()) error {
			return afterFirst(c.ListSentEventsForEndpoint(ctx, harness.KnownEndpoint(), webhooks.SentEventQuery{}),
				stop)
		},
		"ListSentEventsForEventType": func(ctx context.Context, c *webhooks.Client, stop func()) error {
			return afterFirst(c.ListSentEventsForEventType(ctx, webhooks.TypeOriginCreate, webhooks.SentEventQuery{}),
				stop)
		},
	}
	for name, list := range listings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				mock := harness.NewServer(t, svixmock.Config{})
				mock.Handle(harness.NewHookURL, http.NotFoundHandler())
				client := harness.NewClient(t, smallPages(mock.RoundTripper()), mock.Token())
				fill(t, client, 20)
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				var stopped time.Time
				asked := 0
				err := list(ctx, client, func() {
					synctest.Wait() // what is asked for ahead is there
					stopped, asked = time.Now(), len(mock.Requests())
					cancel(errStopping)
				})
				if took := time.Since(stopped); took != 0 || !errors.Is(err, context.Canceled) {
					t.Errorf("got %v %v after the cancellation, want the context's error at once", err, took)
				}
				if more := len(mock.Requests()) - asked; asked == 0 || more != 0 {
					t.Errorf("%d requests were made before the cancellation and %d after", asked, more)
				}
			})
		})
	}
}

// fill makes endpoints and messages until there are more than n of each.
func fill(t *testing.T, client *webhooks.Client, n int) {
	t.Helper()
	for i := range n {
		endpoint := harness.NewEndpoint()
		endpoint.Channel = harness.NumberedEvent(i, true).ID
		if err := client.CreateEndpoint(t.Context(), endpoint, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := client.SendEvent(t.Context(), harness.NumberedEvent(i, true)); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Wait()
}

// TestCancelWhileAnotherCallerLoads: two callers want what is not cached. The one that waits for
// the other's answer can be cancelled alone; and when it is the other one that is cancelled, it
// goes on by itself.
func TestCancelWhileAnotherCallerLoads(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct{ first, second error }{
		"who waits is cancelled": {nil, context.Canceled},
		"who loads is cancelled": {context.Canceled, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				mock := harness.NewServer(t, svixmock.Config{})
				client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), patient)
				mock.FailRate(1, 1, svixmock.Fault{Delay: time.Minute})
				send := func(want error) (done chan struct{}, took *time.Duration) {
					ctx, cancel := t.Context(), context.CancelFunc(func() {})
					if want != nil {
						ctx, cancel = endings()["cancel with a cause"].begin(ctx)
					}
					done, took = make(chan struct{}), new(time.Duration)
					start := time.Now()
					go func() {
						defer close(done)
						defer cancel()
						_, err := client.SendEvent(ctx, harness.KnownEvent())
						if *took = time.Since(start); !errors.Is(err, want) {
							t.Errorf("got %v, want %v", err, want)
						}
					}()
					synctest.Wait()
					return done, took
				}
				firstDone, firstTook := send(want.first)
				secondDone, secondTook := send(want.second)
				<-firstDone
				<-secondDone
				cancelled := *firstTook
				if want.second != nil {
					cancelled = *secondTook
				}
				if cancelled != 10*time.Second {
					t.Errorf("the cancelled one returned after %v, want 10s", cancelled)
				}
			})
		})
	}
}

// TestCancelEndsSendEventsAtOnce, with a result for each event that was taken.
func TestCancelEndsSendEventsAtOnce(t *testing.T) {
	t.Parallel()
	for name, ending := range endings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.InBubble(t, func(t *testing.T) {
				mock := harness.NewServer(t, svixmock.Config{})
				mock.FailRate(1, 1, svixmock.Fault{Hang: true})
				client := harness.NewClient(t, mock.RoundTripper(), mock.Token(), patient)
				ctx, cancel := ending.begin(t.Context())
				defer cancel()
				taken, results := 0, 0
				endless := func(yield func(webhooks.Event) bool) {
					for yield(harness.NumberedEvent(taken, false)) {
						taken++
					}
					taken++ // the one whose yield returned false
				}
				start := time.Now()
				for result := range client.SendEvents(ctx, endless, 8) {
					if results++; !errors.Is(result.Err, ending.want) {
						t.Errorf("got %v, want %v", result.Err, ending.want)
					}
				}
				if took := time.Since(start); took != 10*time.Second || results != 8 || taken != 8 {
					t.Errorf("%d results for %d events after %v, want 8 for 8 after 10s", results, taken, took)
				}
			})
		})
	}
}
