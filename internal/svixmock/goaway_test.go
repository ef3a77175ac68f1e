package svixmock_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// These tests are about section 16.1 of the contract: the server drops a request's handler where it
// stands when the client goes away.

// left is what a message create left behind.
type left struct {
	Stored    bool
	Delivered bool
	Again     int // status of the same request again
}

// leftBy makes a message create meet a fault, which breaks the connection, and looks what it left.
func leftBy(t *testing.T, a *api, fault svixmock.Fault, cut func(create func(context.Context) error)) left {
	t.Helper()
	app := a.app()
	a.endpoint(app, "https://receiver.example/hook")
	receiver := a.receiver("https://receiver.example")
	const body = `{"eventType":"origin.visit","eventId":"git-1","payload":{"origin_url":"https://git.example.org/r"}}`
	a.mock.FailNext(1, fault)
	cut(func(ctx context.Context) error {
		_, err := a.try(ctx, http.MethodPost, "/api/v1"+app+"/msg", strings.NewReader(body))
		return err
	})
	stored := len(a.mock.Messages()) == 1
	again := a.post(app+"/msg", body).status
	a.message(app) // its delivery comes after that of the first, if there is one
	a.delivered(map[bool]int{true: 2, false: 1}[fault.GoAway == svixmock.StoredAndQueued || !stored])
	var delivered bool
	for _, got := range receiver.deliveries() {
		delivered = delivered || strings.Contains(string(got.body), "git.example.org")
	}
	return left{stored, delivered && stored, again}
}

func TestGoAway(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		goAway svixmock.GoAway
		want   left
	}{
		"nothing stored":    {svixmock.NothingStored, left{Again: http.StatusAccepted}},
		"stored not queued": {svixmock.StoredNotQueued, left{Stored: true, Again: http.StatusConflict}},
		"stored and queued": {
			svixmock.StoredAndQueued,
			left{Stored: true, Delivered: true, Again: http.StatusConflict},
		},
	}
	for transport, start := range map[string]func(*testing.T, svixmock.Config) *api{
		"memory": newMemoryAPI,
		"socket": newAPI,
	} {
		for name, tt := range tests {
			t.Run(transport+"/"+name, func(t *testing.T) {
				t.Parallel()
				got := leftBy(
					t,
					start(t, svixmock.Config{}),
					svixmock.Fault{GoAway: tt.goAway},
					func(create func(context.Context) error) {
						if err := create(t.Context()); !errors.Is(err, io.EOF) {
							t.Errorf("got error %v, want the end of the connection", err)
						}
					},
				)
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("left behind (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// A client that really goes away before the answer leaves the worst case, always the same.
func TestClientThatLeavesHasItsMessageStoredAndNotQueued(t *testing.T) {
	t.Parallel()
	worst := left{Stored: true, Again: http.StatusConflict}
	tests := map[string]struct {
		fault svixmock.Fault
		want  left
	}{
		"while the server is slow":      {svixmock.Fault{Delay: time.Hour}, worst},
		"while the answer is held back": {svixmock.Fault{Delay: time.Hour, AfterActing: true}, worst},
		"while the answer hangs":        {svixmock.Fault{Hang: true, AfterActing: true}, worst},
		"while the request hangs":       {svixmock.Fault{Hang: true}, left{Again: http.StatusAccepted}},
		"while something else would answer": {
			svixmock.Fault{Delay: time.Hour, Status: 503},
			left{Again: http.StatusAccepted},
		},
	}
	for transport, start := range map[string]func(*testing.T, svixmock.Config) *api{
		"memory": newMemoryAPI,
		"socket": newAPI,
	} {
		for name, tt := range tests {
			t.Run(transport+"/"+name, func(t *testing.T) {
				t.Parallel()
				a := start(t, svixmock.Config{KeepRequests: 10})
				entered := make(chan struct{}, 1)
				tt.fault.Only = func(*http.Request) bool {
					entered <- struct{}{}
					return true
				}
				got := leftBy(t, a, tt.fault, func(create func(context.Context) error) {
					ctx, cancel := context.WithCancel(t.Context())
					failed := make(chan error, 1)
					go func() { failed <- create(ctx) }()
					<-entered
					cancel()
					if err := <-failed; !errors.Is(err, context.Canceled) {
						t.Errorf("got error %v, want the end of the context", err)
					}
					a.dropped()
				})
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("left behind (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// dropped waits until the server has dropped the handler of a request. A client learns nothing of
// that.
func (a *api) dropped() {
	a.t.Helper()
	for a.t.Context().Err() == nil {
		for _, r := range a.mock.Requests() {
			if r.Status == 0 {
				return
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// A resend whose client goes away is not made, and one that is made delivers a message that was
// never queued.
func TestResendOfWhatWasNeverQueued(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{})
	app := a.app()
	endpoint := a.endpoint(app, "https://receiver.example/hook")
	receiver := a.receiver("https://receiver.example")
	a.mock.FailNext(2, svixmock.Fault{GoAway: svixmock.StoredNotQueued})
	create := func() error {
		body := strings.NewReader(`{"eventType":"origin.visit","payload":{}}`)
		_, err := a.try(t.Context(), http.MethodPost, "/api/v1"+app+"/msg", body)
		return err
	}
	if err := create(); !errors.Is(err, io.EOF) {
		t.Fatalf("got error %v", err)
	}
	resend := app + "/msg/" + a.mock.Messages()[0].ID + "/endpoint/" + endpoint + "/resend"
	if _, err := a.try(t.Context(), http.MethodPost, "/api/v1"+resend, nil); !errors.Is(err, io.EOF) {
		t.Fatalf("got error %v", err)
	}
	a.post(resend, "").expect(http.StatusAccepted, `{}`)
	a.delivered(1)
	if got := a.mock.Messages()[0].ID; len(a.attempts(app, got)) != 1 || len(receiver.deliveries()) != 1 {
		t.Errorf(
			"got attempts %v and %d deliveries, want one each",
			a.attempts(app, got),
			len(receiver.deliveries()),
		)
	}
}

// The lock that a dropped request leaves behind outlives it: until the server sweeps its cache,
// requests with the key get an empty 500.
func TestDroppedRequestLeavesItsIdempotencyKeyLocked(t *testing.T) {
	t.Parallel()
	for name, goAway := range map[string]svixmock.GoAway{
		"nothing stored": svixmock.NothingStored, "not queued": svixmock.StoredNotQueued,
		"queued": svixmock.StoredAndQueued,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, svixmock.Config{}, func(a *api) {
				app := a.app()
				const body = `{"eventType":"origin.visit","payload":{}}`
				a.mock.FailNext(1, svixmock.Fault{GoAway: goAway})
				if _, err := a.try(a.t.Context(), http.MethodPost, "/api/v1"+app+"/msg",
					strings.NewReader(body), "Idempotency-Key", "k"); !errors.Is(
					err,
					io.EOF,
				) {
					a.t.Fatalf("got error %v", err)
				}
				for _, want := range []time.Duration{5 * time.Second, 200 * time.Millisecond, 200 * time.Millisecond} {
					start := time.Now()
					a.post(app+"/msg", body, "Idempotency-Key", "k").
						expect(http.StatusInternalServerError, noBody)
					if took := time.Since(start); took < want || took > want+time.Second/4 {
						a.t.Errorf("the answer took %v, want %v", took, want)
					}
				}
				a.post(app+"/msg", body, "Idempotency-Key", "another").expect(http.StatusAccepted, "")
				a.post(app+"/msg", body).expect(http.StatusAccepted, "")
				time.Sleep(5 * time.Minute)
				a.post(app+"/msg", body, "Idempotency-Key", "k").expect(http.StatusAccepted, "")
			})
		})
	}
}

// A proxy may answer for the server that it lost.
func TestGoAwayBehindAProxy(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{KeepRequests: 1})
	a.mock.FailNext(1, svixmock.Fault{GoAway: svixmock.StoredNotQueued, Status: http.StatusServiceUnavailable})
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/app",
		strings.NewReader(`{"name":"archive"}`))
	req.Header.Set("Authorization", "Bearer "+a.mock.Token())
	w := httptest.NewRecorder()
	a.mock.ServeHTTP(w, req)
	if w.Code != http.StatusServiceUnavailable || len(a.items("/app")) != 1 {
		t.Errorf("got status %d and %d applications, want 503 and one", w.Code, len(a.items("/app")))
	}
}

// What is dropped by chance is the same for the same seed.
func TestGoAwayAtRandom(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) (kinds map[left]int) {
		kinds = map[left]int{}
		synctest.Test(t, func(t *testing.T) {
			a := newMemoryAPI(t, svixmock.Config{KeepDeliveries: 100})
			app := a.app()
			a.endpoint(app, "https://receiver.example/hook")
			a.receiver("https://receiver.example")
			a.mock.FailRate(
				1,
				seed,
				svixmock.Fault{GoAway: svixmock.NothingStored},
				svixmock.Fault{
					GoAway: svixmock.StoredNotQueued,
				},
				svixmock.Fault{GoAway: svixmock.StoredAndQueued},
			)
			for range 100 {
				before, delivered := len(a.mock.Messages()), len(a.mock.Deliveries())
				body := strings.NewReader(`{"eventType":"origin.visit","payload":{}}`)
				if _, err := a.try(t.Context(), http.MethodPost, "/api/v1"+app+"/msg", body); !errors.Is(
					err,
					io.EOF,
				) {
					t.Fatalf("got error %v", err)
				}
				synctest.Wait()
				kinds[left{Stored: len(a.mock.Messages()) > before, Delivered: len(a.mock.Deliveries()) > delivered}]++
			}
		})
		return kinds
	}
	first, again := run(1), run(1)
	if diff := cmp.Diff(first, again); diff != "" || len(first) != 3 {
		t.Errorf("got %v, want all three kinds; the same seed (-first +again):\n%s", first, diff)
	}
}
