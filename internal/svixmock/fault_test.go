package svixmock_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// plain is a client whose answers need not be those of a Svix server.
type plain struct {
	mock *svixmock.Server
	http *http.Client
	base string
}

func inMemory(t *testing.T) plain {
	t.Helper()
	mock := svixmock.New(svixmock.Config{KeepRequests: 10})
	t.Cleanup(mock.Close)
	return plain{mock, &http.Client{Transport: mock.RoundTripper()}, "http://svix.example"}
}

func onSocket(t *testing.T) plain {
	t.Helper()
	p := inMemory(t)
	web := httptest.NewServer(p.mock)
	t.Cleanup(func() {
		p.mock.Close() // lets hanging requests go
		web.Close()
	})
	p.http, p.base = web.Client(), web.URL
	return p
}

// received is an answer as far as it was received.
type received struct {
	status int
	header http.Header
	body   string
}

// create makes an application.
func (p plain) create(ctx context.Context) (received, error) {
	return p.send(ctx, http.MethodPost, "/api/v1/app", `{"name":"a"}`)
}

func (p plain) send(ctx context.Context, method, path, body string) (received, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.base+path, strings.NewReader(body))
	if err != nil {
		return received{}, err
	}
	req.Header.Set("Authorization", "Bearer "+p.mock.Token())
	resp, err := p.http.Do(req)
	if err != nil {
		return received{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return received{resp.StatusCode, resp.Header, string(text)}, err
}

// apps is how many applications there are.
func (p plain) apps(t *testing.T) int {
	t.Helper()
	got, err := p.send(t.Context(), http.MethodGet, "/api/v1/app", "")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(got.body, `"name"`)
}

func TestFaults(t *testing.T) {
	t.Parallel()
	short := time.Millisecond
	tests := map[string]struct {
		fault svixmock.Fault
		acted bool
		check func(got received, err error) error
	}{
		"none": {svixmock.Fault{}, true, wantStatus(201)},
		"status": {svixmock.Fault{
			Status: 503, Header: http.Header{"Retry-After": {"7"}, "Content-Type": {"text/html"}}, Body: "<p>",
		}, false, func(got received, err error) error {
			if err != nil || got.status != 503 || got.body != "<p>" || got.header.Get("Retry-After") != "7" ||
				got.header.Get("Content-Type") != "text/html" {
				return fmt.Errorf("got %v and error %w", got, err)
			}
			return nil
		}},
		"status without body": {svixmock.Fault{Status: 502}, false, func(got received, err error) error {
			if err != nil || got.status != 502 || got.body != "" || got.header.Get("Content-Type") != "" {
				return fmt.Errorf("got %v and error %w", got, err)
			}
			return nil
		}},
		"success that is none": {svixmock.Fault{Status: 200, Body: "null"}, false, wantStatus(200)},
		"status after acting":  {svixmock.Fault{Status: 500, AfterActing: true}, true, wantStatus(500)},
		"reset":                {svixmock.Fault{Reset: true}, false, wantError(syscall.ECONNRESET)},
		"reset after acting": {
			svixmock.Fault{Reset: true, AfterActing: true},
			true,
			wantError(syscall.ECONNRESET),
		},
		"delay":              {svixmock.Fault{Delay: short}, true, wantStatus(201)},
		"delay after acting": {svixmock.Fault{Delay: short, AfterActing: true}, true, wantStatus(201)},
		"delay and status":   {svixmock.Fault{Delay: short, Status: 429}, false, wantStatus(429)},
		"slow body":          {svixmock.Fault{SlowBody: short}, true, wantStatus(201)},
		"truncated":          {svixmock.Fault{Truncate: true}, true, wantError(io.ErrUnexpectedEOF)},
		"truncated and slow": {
			svixmock.Fault{Truncate: true, SlowBody: short},
			true,
			wantError(io.ErrUnexpectedEOF),
		},
		"another method's": {
			svixmock.Fault{Status: 500, Only: isMethod(http.MethodPut)},
			true,
			wantStatus(201),
		},
		"this method's": {
			svixmock.Fault{Status: 500, Only: isMethod(http.MethodPost)},
			false,
			wantStatus(500),
		},
		"truncated, own answer": {
			svixmock.Fault{Status: 200, Body: "four", Truncate: true},
			false,
			wantError(io.ErrUnexpectedEOF),
		},
	}
	for transport, start := range map[string]func(*testing.T) plain{"memory": inMemory, "socket": onSocket} {
		for name, tt := range tests {
			t.Run(transport+"/"+name, func(t *testing.T) {
				t.Parallel()
				p := start(t)
				p.mock.FailNext(1, tt.fault)
				if err := tt.check(p.create(t.Context())); err != nil {
					t.Error(err)
				}
				p.mock.FailNext(0, svixmock.Fault{Status: 500})
				if acted := p.apps(t) == 1; acted != tt.acted {
					t.Errorf("the server acted: %t, want %t", acted, tt.acted)
				}
			})
		}
	}
}

func wantStatus(want int) func(received, error) error {
	return func(got received, err error) error {
		if err != nil || got.status != want {
			return fmt.Errorf("got %v and error %w, want status %d", got, err, want)
		}
		return nil
	}
}

func wantError(want error) func(received, error) error {
	return func(got received, err error) error {
		if !errors.Is(err, want) {
			return fmt.Errorf("got %v and error %w, want error %q", got, err, want.Error())
		}
		return nil
	}
}

func isMethod(method string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == method }
}

// A request that hangs ends with its context and with the server, over a socket and in memory.
func TestHang(t *testing.T) {
	t.Parallel()
	for transport, start := range map[string]func(*testing.T) plain{"memory": inMemory, "socket": onSocket} {
		for name, fault := range map[string]svixmock.Fault{
			"hang": {Hang: true}, "hang after acting": {Hang: true, AfterActing: true}, "delay": {Delay: time.Hour},
		} {
			t.Run(transport+"/"+name, func(t *testing.T) {
				t.Parallel()
				p := start(t)
				entered := make(chan struct{}, 2)
				fault.Only = func(*http.Request) bool { entered <- struct{}{}; return true }
				p.mock.FailNext(2, fault)
				failed := make(chan error, 1)
				try := func(ctx context.Context) {
					_, err := p.create(ctx)
					failed <- err
				}
				ctx, cancel := context.WithCancel(t.Context())
				go try(ctx)
				<-entered
				cancel()
				if err := <-failed; !errors.Is(err, context.Canceled) {
					t.Errorf("cancelled: got error %v", err)
				}
				go try(t.Context())
				<-entered
				p.mock.Close()
				if err := <-failed; err == nil {
					t.Error("closed: got an answer")
				}
			})
		}
	}
}

// The server notices that a client is gone: nothing stays behind until it is closed.
func TestHangEndsWithTheConnection(t *testing.T) {
	t.Parallel()
	mock := svixmock.New(svixmock.Config{})
	t.Cleanup(mock.Close)
	ended := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		mock.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	p := plain{mock, web.Client(), web.URL}
	entered := make(chan struct{}, 1)
	mock.FailNext(
		1,
		svixmock.Fault{Hang: true, Only: func(*http.Request) bool { entered <- struct{}{}; return true }},
	)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	if _, err := p.create(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
	<-ended
}

func TestDelayTakesItsTime(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]svixmock.Fault{
		"delay": {Delay: time.Minute}, "slow body": {SlowBody: time.Minute},
		"both": {Delay: 30 * time.Second, SlowBody: 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := inMemory(t)
				p.mock.FailNext(1, fault)
				start := time.Now()
				if _, err := p.create(t.Context()); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took != time.Minute {
					t.Errorf("took %v, want a minute", took)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				p.mock.FailNext(1, fault)
				if _, err := p.create(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got error %v, want the end of the context", err)
				}
			})
		})
	}
}

// Faults are used up one after the other, by the requests that they select; health is never hit.
func TestFailNextOrder(t *testing.T) {
	t.Parallel()
	p := inMemory(t)
	p.mock.FailNext(1, svixmock.Fault{Status: 500, Only: isMethod(http.MethodGet)})
	p.mock.FailNext(2, svixmock.Fault{Status: 501})
	p.mock.FailNext(1, svixmock.Fault{Status: 502})
	var got []int
	for _, request := range []string{
		"POST /app", "GET /health", "GET /app", "HEAD /health/ping", "GET /app",
		"GET /app", "GET /app",
	} {
		method, path, _ := strings.Cut(request, " ")
		r, err := p.send(t.Context(), method, "/api/v1"+path, `{"name":"a"}`)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.status)
	}
	if diff := cmp.Diff([]int{501, 200, 500, 204, 501, 502, 200}, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

func TestFailRate(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) []int {
		p := inMemory(t)
		p.mock.FailRate(
			0.5,
			seed,
			svixmock.Fault{Status: 500},
			svixmock.Fault{Status: 502},
			svixmock.Fault{Status: 999, Only: isMethod(http.MethodPut)},
		)
		var statuses []int
		for range 100 {
			r, err := p.create(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			statuses = append(statuses, r.status)
		}
		p.mock.FailRate(0, seed)
		if n := p.apps(t); n < 25 || n > 75 {
			t.Errorf("%d of 100 requests got through at a rate of 0.5", n)
		}
		return statuses
	}
	first, again, other := run(1), run(1), run(2)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("same seed (-first +second):\n%s", diff)
	}
	if slices.Equal(first, other) {
		t.Error("another seed gave the same faults")
	}
	for _, status := range []int{201, 500, 502} {
		if !slices.Contains(first, status) {
			t.Errorf("no answer %d among 100", status)
		}
	}
	if slices.Contains(first, 999) {
		t.Error("a fault met a request that it does not select")
	}
}

// A retry after a lost answer finds the answer again where it carries a key.
func TestAfterActingIsIdempotentWithAKey(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{})
	a.mock.FailNext(1, svixmock.Fault{Reset: true, AfterActing: true})
	try := func() (answer, error) {
		return a.try(t.Context(), http.MethodPost, "/api/v1/app", strings.NewReader(`{"name":"a"}`),
			"Idempotency-Key", "k")
	}
	if _, err := try(); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("got error %v, want a reset", err)
	}
	if got, err := try(); err != nil || got.status != http.StatusCreated {
		t.Fatalf("got status %d and error %v", got.status, err)
	}
	if got := a.items("/app"); len(got) != 1 {
		t.Errorf("got %d applications, want 1", len(got))
	}
}
