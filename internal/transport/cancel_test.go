package transport_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/softwareheritage/webhooks/internal/transport"
)

var errShutdown = errors.New("the service shuts down")

// A stage is a point at which a request can be cut off. base serves two tries: the first is
// answered 503, the second gets no further than the stage.
type stage struct {
	base  func(context.Context) http.RoundTripper
	after time.Duration // the time from the start at which the request is in the stage
	tries int
}

func stages() map[string]stage {
	return map[string]stage{
		"connecting": {func(test context.Context) http.RoundTripper {
			return dialing(test, closing503, neverConnects)
		}, 40 * time.Second, 2},
		"waiting for headers": {func(test context.Context) http.RoundTripper {
			return dialing(test, closing503, silent)
		}, 40 * time.Second, 2},
		"reading": {func(test context.Context) http.RoundTripper {
			return dialing(test, closing503, endless)
		}, 40 * time.Second, 2},
		"sending": {func(test context.Context) http.RoundTripper {
			return dialing(test, closing503, deaf)
		}, 40 * time.Second, 2},
		"backing off": {func(test context.Context) http.RoundTripper {
			return dialing(test, closing503)
		}, 10 * time.Second, 1},
		"foreign transport": {func(context.Context) http.RoundTripper {
			return serverOf(answers(503, "busy", "Retry-After", "30"), stalls)
		}, 40 * time.Second, 2},
	}
}

// TestCancelEndsEveryStageAtOnce also shows that the context's own error is found whatever the
// cause: net/http reports only the cause.
func TestCancelEndsEveryStageAtOnce(t *testing.T) {
	t.Parallel()
	endings := map[string]struct {
		begin func(context.Context, time.Duration) (context.Context, context.CancelFunc)
		want  []error
	}{
		"cancel":              {cancelAfter(nil), []error{context.Canceled}},
		"cancel with cause":   {cancelAfter(errShutdown), []error{context.Canceled, errShutdown}},
		"deadline":            {context.WithTimeout, []error{context.DeadlineExceeded}},
		"deadline with cause": {deadlineWithCause, []error{context.DeadlineExceeded, errShutdown}},
	}
	for stageName, stage := range stages() {
		for endingName, ending := range endings {
			t.Run(stageName+"/"+endingName, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := ending.begin(t.Context(), stage.after)
					defer cancel()
					p := policy
					p.AttemptTimeout = time.Hour
					answer, _, err := call(ctx, t, over(stage.base(t.Context()), p),
						http.MethodPost, serverURL, strings.Repeat("x", 1<<20))
					if late := time.Since(bubbleStart) - stage.after; late != 0 {
						t.Errorf("returned %v after the context had ended", late)
					}
					for _, want := range ending.want {
						if !errors.Is(err, want) {
							t.Errorf("got error %v, want %v in it", err, want)
						}
					}
					if got, want := isTimeout(err), errors.Is(err, context.DeadlineExceeded); got != want {
						t.Errorf("got timeout %v of %v, want %v", got, err, want)
					}
					if err != nil && !strings.HasSuffix(err.Error(),
						"; before that: server answered 503 Service Unavailable") {
						t.Errorf("got error %q, want the last answer in it", err)
					}
					if answer.Status != 503 || string(answer.Body) != "busy" ||
						answer.Tries != stage.tries || !answer.Unclear {
						t.Errorf("got answer %d %q of %d tries, unclear %v, want the 503 of %d tries",
							answer.Status, answer.Body, answer.Tries, answer.Unclear, stage.tries)
					}
				})
			})
		}
	}
}

func cancelAfter(cause error) func(context.Context, time.Duration) (context.Context, context.CancelFunc) {
	return func(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancelCause(parent)
		time.AfterFunc(d, func() { cancel(cause) })
		return ctx, func() { cancel(nil) }
	}
}

func deadlineWithCause(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(parent, d, errShutdown)
}

func TestNoTryInAnEndedContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errShutdown)
	srv := serverOf(answers(200, "{}"))
	answer, _, err := call(ctx, t, over(srv, policy), http.MethodPost, serverURL, "{}")
	if srv.tries() != 0 || answer.Tries != 0 || answer.Unclear {
		t.Errorf("server saw %d tries, answer is %+v, want no try", srv.tries(), answer)
	}
	if !errors.Is(err, context.Canceled) || !errors.Is(err, errShutdown) {
		t.Errorf("got error %v, want the context's and its cause", err)
	}
	if want := "context canceled: the service shuts down"; err == nil || err.Error() != want {
		t.Errorf("got error %v, want %q", err, want)
	}
}

func TestDeadlineWithinAWaitKeepsTheLastError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p := policy
		p.MinBackoff = 1000 * time.Hour
		p.MaxBackoff = p.MinBackoff
		answer, _, err := call(ctx, t, over(serverOf(fails(errReset)), p), http.MethodPost, serverURL, "{}")
		if got := time.Since(bubbleStart); got != time.Second {
			t.Errorf("returned after %v, want the deadline of 1s", got)
		}
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errReset) || !errors.Is(answer.Err, errReset) {
			t.Errorf("got error %v and in the answer %v, want the reset in both", err, answer.Err)
		}
	})
}

func TestAnswerThatArrivedBeforeTheEndIsGiven(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 404} {
		ctx, cancel := context.WithCancel(t.Context())
		cancelled := func(req *http.Request) (*http.Response, error) {
			cancel()
			return answers(status, "{}")(req)
		}
		answer, _, err := call(ctx, t, over(serverOf(cancelled), policy), http.MethodGet, serverURL, "")
		if err != nil || answer.Status != status {
			t.Errorf("got status %d and error %v, want %d", answer.Status, err, status)
		}
	}
}

func TestConnectingHasTheDeadlineOfTheTry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := policy
		p.MaxAttempts = 1
		_, _, err := call(t.Context(), t, over(dialing(t.Context(), neverConnects), p), http.MethodGet, serverURL, "")
		if got := time.Since(bubbleStart); got != p.AttemptTimeout {
			t.Errorf("returned after %v, want %v", got, p.AttemptTimeout)
		}
		isTimeoutOfOurs(t, err)
	})
}

// dialing returns a tuned transport of which the n-th connection is the n-th of servers. Its
// connections are in memory, for the fake clock. A server may last until the context of the test
// ends.
func dialing(test context.Context, servers ...func(context.Context, net.Conn) error) *http.Transport {
	base := transport.Tuned()
	base.Proxy = nil
	base.DialContext = func(context.Context, string, string) (net.Conn, error) {
		if len(servers) == 0 {
			return nil, errors.New("no further connection")
		}
		serve := servers[0]
		servers = servers[1:]
		client, server := net.Pipe()
		return client, serve(test, server)
	}
	return base
}

// closing503 takes a request, answers 503 and closes the connection.
func closing503(_ context.Context, conn net.Conn) error {
	go func() {
		defer conn.Close()
		if skipRequest(bufio.NewReader(conn)) == nil {
			fmt.Fprint(conn, "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n"+
				"Retry-After: 30\r\nConnection: close\r\n\r\nbusy")
		}
	}()
	return nil
}

// neverConnects is a host that drops packets, until the test is over: net/http does not end a dial
// together with its request.
func neverConnects(test context.Context, _ net.Conn) error {
	<-test.Done()
	return test.Err()
}

// silent takes a request and does not answer.
func silent(_ context.Context, conn net.Conn) error {
	go func() { _ = skipRequest(bufio.NewReader(conn)) }()
	return nil
}

// deaf does not even read.
func deaf(context.Context, net.Conn) error { return nil }

// endless answers with the beginning of a body.
func endless(_ context.Context, conn net.Conn) error {
	go func() {
		if skipRequest(bufio.NewReader(conn)) == nil {
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":")
		}
	}()
	return nil
}

// skipRequest reads a request to its end.
func skipRequest(in *bufio.Reader) error {
	req, err := http.ReadRequest(in)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err
}
