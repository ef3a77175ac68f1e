package transport_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/softwareheritage/webhooks/internal/transport"
)

func TestStatusesThatAreTriedAgain(t *testing.T) {
	t.Parallel()
	again := map[int]bool{408: true, 425: true, 429: true, 500: true, 502: true, 503: true, 504: true}
	for status := 200; status <= 599; status++ {
		synctest.Test(t, func(t *testing.T) {
			srv := serverOf(answers(status, "{}"))
			answer, _, err := call(t.Context(), t, over(srv, policy), http.MethodGet, serverURL, "")
			if err != nil {
				t.Fatalf("status %d: %v", status, err)
			}
			want := 1
			if again[status] {
				want = policy.MaxAttempts
			}
			if srv.tries() != want || answer.Tries != want {
				t.Errorf("status %d: server saw %d tries, answer says %d, want %d", status,
					srv.tries(), answer.Tries, want)
			}
			if answer.Status != status {
				t.Errorf("got status %d, want %d", answer.Status, status)
			}
		})
	}
}

func TestEveryMethodIsTriedAgain(t *testing.T) {
	t.Parallel()
	first := map[string]step{
		"status":          answers(503, "busy"),
		"transport error": fails(errReset),
		"broken body":     breaksOff(200),
		"short body": func(*http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: http.StatusOK,
				Body:       io.NopCloser(strings.NewReader("{")), ContentLength: 2,
			}, nil
		},
		"no answer in time": hangs,
		"no end in time":    stalls,
		"no final status":   answers(101, ""),
	}
	for name, fault := range first {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			t.Run(name+"/"+method, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					srv := serverOf(fault, fault, answers(201, `{"id":"msg_1"}`))
					answer, resp, err := call(t.Context(), t, over(srv, policy), method, serverURL, "")
					if err != nil {
						t.Fatal(err)
					}
					if answer.Status != 201 || string(answer.Body) != `{"id":"msg_1"}` ||
						answer.Err != nil || answer.Tries != 3 {
						t.Errorf("got answer %+v, want the third try's", answer)
					}
					if resp.Code != http.StatusNoContent {
						t.Errorf("got status %d for the SDK, want 204", resp.Code)
					}
				})
			})
		}
	}
}

func TestLastOutcomeIsTheResult(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		steps      []step
		wantErr    error
		wantStatus int
		wantBody   string
	}{
		"status after statuses": {[]step{
			answers(500, "a"), answers(502, "b"),
			answers(503, "c"), answers(429, "d"),
		}, nil, 429, "d"},
		"status after errors": {
			[]step{fails(errReset), fails(errReset), breaksOff(200), answers(504, "d")},
			nil, 504, "d",
		},
		"error after statuses": {[]step{
			answers(500, "a"), answers(502, "b"),
			answers(503, "c"), fails(errReset),
		}, errReset, 0, ""},
		"broken success": {[]step{
			answers(500, "a"), answers(502, "b"),
			answers(503, "c"), breaksOff(200),
		}, io.ErrUnexpectedEOF, 200, `{"id":`},
		"broken body of an error": {[]step{
			answers(500, "a"), answers(502, "b"),
			answers(503, "c"), breaksOff(404),
		}, nil, 404, `{"id":`},
		"final status stops at once": {
			[]step{answers(500, "a"), answers(409, "conflict"), answers(200, "{}")},
			nil, 409, "conflict",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				answer, resp, err := call(t.Context(), t, over(serverOf(test.steps...), policy),
					http.MethodPost, serverURL, "{}")
				if !errors.Is(err, test.wantErr) {
					t.Errorf("got error %v, want %v", err, test.wantErr)
				}
				if err == nil && resp.Code != test.wantStatus {
					t.Errorf("got status %d for the SDK, want %d", resp.Code, test.wantStatus)
				}
				if answer.Status != test.wantStatus || string(answer.Body) != test.wantBody {
					t.Errorf("got answer %d %q, want %d %q", answer.Status, answer.Body, test.wantStatus, test.wantBody)
				}
			})
		})
	}
}

func TestOneAttemptMeansNoRetry(t *testing.T) {
	t.Parallel()
	once := policy
	once.MaxAttempts = 1
	srv := serverOf(answers(503, "busy"))
	answer, _, err := call(t.Context(), t, over(srv, once), http.MethodGet, serverURL, "")
	if err != nil || answer.Status != 503 || srv.tries() != 1 {
		t.Errorf("got status %d, %d tries, error %v, want 503 after 1 try", answer.Status, srv.tries(), err)
	}
}

func TestTriesAreIdentical(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"", `{"payload":{"origin":"https://é.example/"}}`,
		strings.Repeat("x", transport.MaxRequest),
	} {
		t.Run(strconv.Itoa(len(body)), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := serverOf(answers(503, ""), fails(errReset), breaksOff(200), answers(200, "{}"))
				if _, _, err := call(t.Context(), t, over(srv, policy), http.MethodPost, serverURL, body); err != nil {
					t.Fatal(err)
				}
				want := sent{
					Method: http.MethodPost,
					URL:    serverURL,
					Header: http.Header{"Authorization": {"Bearer " + token}},
					Body:   body,
				}
				for i, got := range srv.seen {
					got.At = time.Time{}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("try %d (-want +got):\n%s", i+1, diff)
					}
				}
				if len(srv.seen) != 4 {
					t.Errorf("got %d tries, want 4", len(srv.seen))
				}
			})
		})
	}
}

func TestTheRequestIsLeftAsItWas(t *testing.T) {
	t.Parallel()
	req := newRequest(t.Context(), t, http.MethodPost, serverURL, "{}")
	body := &closeCounter{Reader: strings.NewReader("{}")}
	req.Body = body
	want := *req
	if _, err := roundTrip(t, over(serverOf(answers(200, "{}")), policy), req); err != nil {
		t.Fatal(err)
	}
	if req.Body != want.Body || req.Context() != want.Context() || req.ContentLength != want.ContentLength {
		t.Error("RoundTrip modified the request")
	}
	if body.closed != 1 {
		t.Errorf("the request's body was closed %d times, want once", body.closed)
	}
}

type closeCounter struct {
	io.Reader

	closed int
}

func (c *closeCounter) Close() error { c.closed++; return nil }

func TestRequestBodies(t *testing.T) {
	t.Parallel()
	withoutGetBody := func(req *http.Request) { req.GetBody = nil }
	tests := map[string]struct {
		body    string
		change  func(*http.Request)
		wantErr string
	}{
		"longest": {body: strings.Repeat("x", transport.MaxRequest)},
		"too long": {
			body:    strings.Repeat("x", transport.MaxRequest+1),
			wantErr: "request body is too large: 2097153 bytes, limit 2097152",
		},
		"no GetBody": {
			body: "{}", change: withoutGetBody,
			wantErr: "request body cannot be sent twice: GetBody is not set",
		},
		"no GetBody, nil":    {change: func(r *http.Request) { r.Body, r.GetBody = nil, nil }},
		"no GetBody, NoBody": {change: func(r *http.Request) { r.Body, r.GetBody = http.NoBody, nil }},
		"GetBody fails": {
			body: "{}",
			change: func(r *http.Request) {
				r.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("body is gone") }
			},
			wantErr: "body is gone",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := serverOf(answers(200, "{}"))
				req := newRequest(t.Context(), t, http.MethodPost, serverURL, test.body)
				if test.change != nil {
					test.change(req)
				}
				_, err := roundTrip(t, over(srv, policy), req)
				if test.wantErr == "" {
					if err != nil || srv.tries() != 1 {
						t.Errorf("%d requests were sent, error %v, want one", srv.tries(), err)
					}
					return
				}
				if err == nil || err.Error() != test.wantErr {
					t.Errorf("got error %v, want %q", err, test.wantErr)
				}
				if srv.tries() != 0 {
					t.Errorf("%d requests were sent, want none", srv.tries())
				}
			})
		})
	}
}

func TestRequestTooLargeIsTold(t *testing.T) {
	t.Parallel()
	_, _, err := call(t.Context(), t, over(serverOf(answers(200, "")), policy), http.MethodPost,
		serverURL, strings.Repeat("x", transport.MaxRequest+1))
	if !errors.Is(err, transport.ErrRequestTooLarge) {
		t.Errorf("got error %v, want ErrRequestTooLarge", err)
	}
}

func TestEachTryHasItsOwnDeadline(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]step{"no headers": hangs, "no end of the body": stalls} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := serverOf(fault)
				once := policy
				once.MaxAttempts, once.MinBackoff = 3, 0
				start := time.Now()
				_, _, err := call(t.Context(), t, over(srv, once), http.MethodPost, serverURL, "{}")
				if got := time.Since(start); got != 45*time.Second {
					t.Errorf("took %v, want three times 15s", got)
				}
				if err == nil || err.Error() != "no answer within 15s" {
					t.Errorf("got error %v", err)
				}
				isTimeoutOfOurs(t, err)
			})
		})
	}
}

// isTimeoutOfOurs checks that err is a timeout, but not the caller's.
func isTimeoutOfOurs(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		t.Errorf("%v looks like the end of the caller's context", err)
	}
	if !isTimeout(err) {
		t.Errorf("%v is no timeout", err)
	}
}

// isTimeout tells how the users of an http.Client see err.
func isTimeout(err error) bool {
	return (&url.Error{Op: "Post", URL: serverURL, Err: err}).Timeout()
}

func TestForeignTimeoutIsNotTheCallers(t *testing.T) {
	t.Parallel()
	dialTimeout := &net.OpError{Op: "dial", Net: "tcp", Err: context.DeadlineExceeded}
	for name, base := range map[string]error{
		"deadline": context.DeadlineExceeded,
		"canceled": context.Canceled, "dial": dialTimeout,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, _, err := call(t.Context(), t, over(serverOf(fails(base)), policy), http.MethodPost, serverURL, "{}")
				if err == nil || err.Error() != base.Error() {
					t.Errorf("got error %v, want the text of %v", err, base)
				}
				isTimeoutOfOurs(t, err)
			})
		})
	}
}

func TestUnclear(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	tests := map[string]struct {
		steps []step
		want  bool
	}{
		"success":                       {[]step{answers(200, "{}")}, false},
		"refused by the server":         {[]step{answers(422, "{}")}, false},
		"too many requests":             {[]step{answers(429, "")}, false},
		"too early":                     {[]step{answers(425, "")}, false},
		"never connected":               {[]step{fails(refused)}, false},
		"proxy never connected":         {[]step{fails(&net.OpError{Op: "proxyconnect", Err: refused})}, false},
		"reset":                         {[]step{fails(&net.OpError{Op: "read", Err: errReset})}, true},
		"no answer":                     {[]step{hangs}, true},
		"answer breaks off":             {[]step{breaksOff(200)}, true},
		"server error":                  {[]step{answers(500, "")}, true},
		"server error, not tried again": {[]step{answers(501, "")}, true},
		"request timeout":               {[]step{answers(408, "")}, true},
		"reset, then refused":           {[]step{fails(errReset), answers(422, "")}, true},
		"reset, then never connected":   {[]step{fails(errReset), fails(refused)}, true},
		"reset, then conflict":          {[]step{fails(errReset), answers(409, "")}, true},
		"net/http sends twice":          {[]step{sendsTwice(refused)}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				answer, _, _ := call(t.Context(), t, over(serverOf(test.steps...), policy),
					http.MethodPost, serverURL, "{}")
				if answer.Unclear != test.want {
					t.Errorf("got Unclear %v, want %v", answer.Unclear, test.want)
				}
			})
		})
	}
}

// sendsTwice does what net/http does when a connection dies under a request: it takes the body once
// more, connects anew, and here fails in that.
func sendsTwice(err error) step {
	return func(req *http.Request) (*http.Response, error) {
		if body, bodyErr := req.GetBody(); bodyErr == nil {
			_ = body.Close()
		}
		return nil, err
	}
}

func TestRetriesAreLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out,
			&slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutTime}))
		srv := serverOf(answers(503, "secret of the body", "Retry-After", "7", "X-Secret", "secret of the header"),
			fails(errReset), answers(200, "{}"))
		rt := transport.New(srv,
			transport.Policy{MaxAttempts: 4, MaxBackoff: time.Minute, AttemptTimeout: time.Second}, log)
		if _, _, err := call(t.Context(), t, rt, http.MethodPost, serverURL+"&secret=1",
			`{"payload":"secret"}`); err != nil {
			t.Fatal(err)
		}
		const again = `level=DEBUG msg="request is tried again" method=POST path=/api/v1/app/a/msg `
		want := again + "try=1 status=503 wait=7s\n" +
			again + `try=2 error="connection reset by peer" wait=0s` + "\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
