package transport_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks/internal/transport"
	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"
)

// What the SDK does wrong on its own, this package guards against. Servers and SDK are real here.

// A countingServer counts the connections that were opened to it.
type countingServer struct {
	*httptest.Server

	conns, open atomic.Int64
	noneOpen    chan struct{} // a connection was closed and none is left
}

func newServer(t *testing.T, handler http.HandlerFunc) *countingServer {
	t.Helper()
	srv := &countingServer{noneOpen: make(chan struct{}, 1)}
	srv.Server = httptest.NewUnstartedServer(handler)
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) { srv.count(state) }
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}

func (s *countingServer) count(state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
		s.open.Add(1)
	case http.StateClosed:
		if s.open.Add(-1) == 0 {
			select {
			case s.noneOpen <- struct{}{}:
			default:
			}
		}
	case http.StateActive, http.StateIdle, http.StateHijacked:
	}
}

// waitForClose fails the test if the client keeps a connection open.
func (s *countingServer) waitForClose(t *testing.T) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for s.open.Load() > 0 {
		select {
		case <-s.noneOpen:
		case <-timeout:
			t.Fatalf("%d connections stay open", s.open.Load())
		}
	}
}

// sdkOver returns an SDK client as the library uses it, but one that follows redirects as far as
// the transport lets it.
func sdkOver(t *testing.T, serverURL string, rt http.RoundTripper) *svix.Svix {
	t.Helper()
	svc, err := svix.New(token, &svix.SvixOptions{
		ServerUrl:     parseURL(t, serverURL),
		HTTPClient:    &http.Client{Transport: rt},
		RetrySchedule: &[]time.Duration{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return svc
}

// sendMessage sends a message by the SDK and returns what the server said.
func sendMessage(ctx context.Context, svc *svix.Svix) (transport.Answer, error) {
	var answer transport.Answer
	in := models.MessageIn{EventType: "origin.create", Payload: map[string]any{"origin_url": "https://example.org/"}}
	_, err := svc.Message.Create(transport.WithAnswer(ctx, &answer), "app", in,
		&svix.MessageCreateOptions{WithContent: new(bool)})
	return answer, err
}

func TestFailingCallsLeaveNoConnectionOpen(t *testing.T) {
	t.Parallel()
	tests := map[string]http.HandlerFunc{
		"503 with a body":    answering(503, strings.Repeat("x", 100)),
		"503 without a body": answering(503, ""),
		"503, chunked":       chunked(503, strings.Repeat("x", 100)),
		"429, large":         answering(429, strings.Repeat("x", 1<<15)),
		"404":                answering(404, `{"code":"not_found","detail":"x"}`),
	}
	for name, handler := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, handler)
			svc := sdkOver(t, srv.URL, over(nil, impatient))
			for range 100 {
				if _, err := sendMessage(t.Context(), svc); err == nil {
					t.Fatal("no error")
				}
			}
			if got := srv.conns.Load(); got != 1 {
				t.Errorf("100 calls in turn opened %d connections, want 1", got)
			}
		})
	}
}

// That no goroutine is left either is checked in TestMain.
func TestNothingStaysOpenAfterFaults(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch n.Add(1) % 5 {
		case 0:
			cutOff(w)
		case 1:
			http.Error(w, "busy", http.StatusServiceUnavailable)
		case 2:
			panic(http.ErrAbortHandler)
		case 3:
			<-r.Context().Done()
		default:
			_, _ = io.WriteString(w, `{"id":"msg_1"}`)
		}
	})
	base, p := transport.Tuned(), impatient
	p.MaxAttempts, p.AttemptTimeout = 5, 10*time.Millisecond
	svc := sdkOver(t, srv.URL, over(base, p))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 50 {
				// Whether a call succeeds depends on what the others met.
				_, _ = sendMessage(t.Context(), svc)
			}
		})
	}
	wg.Wait()
	base.CloseIdleConnections()
	srv.waitForClose(t)
}

// cutOff answers 200 with less than it announces.
func cutOff(w http.ResponseWriter) {
	w.Header().Set("Content-Length", "100")
	_, _ = io.WriteString(w, `{"id":`)
}

func TestNoTryCarriesTheKeyOfTheSDK(t *testing.T) {
	t.Parallel()
	srv := serverOf(answers(503, ""), fails(errReset), breaksOff(202), answers(202, `{"id":"msg_1"}`))
	answer, err := sendMessage(t.Context(), sdkOver(t, "http://svix.test", over(srv, impatient)))
	if err != nil || answer.Tries != 4 {
		t.Fatalf("got %d tries and error %v, want success in the fourth", answer.Tries, err)
	}
	first := srv.seen[0]
	for i, got := range srv.seen {
		if keys := got.Header.Values("Idempotency-Key"); len(keys) != 0 {
			t.Errorf("try %d has the keys %q", i+1, keys)
		}
		if got.Body != first.Body || first.Body == "" {
			t.Errorf("try %d has the body %q, the first had %q", i+1, got.Body, first.Body)
		}
	}
}

// net/http cannot see that the SDK's empty bodies are empty: it would start a goroutine to probe
// them, or send a POST in chunks.
func TestEmptyBodiesAreSentAsSuch(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
		srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength != 0 || len(r.TransferEncoding) != 0 {
				t.Errorf("%s came with content length %d and transfer encoding %v, want no body",
					method, r.ContentLength, r.TransferEncoding)
			}
			w.WriteHeader(http.StatusNoContent)
		})
		if _, _, err := call(t.Context(), t, over(nil, impatient), method, srv.URL, ""); err != nil {
			t.Error(err)
		}
	}
}

func TestBodiesAreClosed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 204, 302, 404, 503, 101} {
		body := &closeCounter{Reader: strings.NewReader("x")}
		srv := serverOf(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Body: body, ContentLength: -1}, nil
		})
		answer, _, _ := call(t.Context(), t, over(srv, impatient), http.MethodDelete, serverURL, "")
		if body.closed != answer.Tries {
			t.Errorf("status %d: closed %d bodies of %d", status, body.closed, answer.Tries)
		}
	}
}

// A try that is not ended would be watched until its deadline.
func TestNothingIsKeptUntilTheDeadline(t *testing.T) {
	t.Parallel()
	tests := map[string]step{"answer": answers(204, ""), "broken answer": breaksOff(200), "error": fails(errReset)}
	for name, outcome := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tries []context.Context
			base := roundTripper(func(req *http.Request) (*http.Response, error) {
				tries = append(tries, req.Context())
				return outcome(req)
			})
			_, _, _ = call(t.Context(), t, over(base, impatient), http.MethodDelete, serverURL, "")
			for i, ctx := range tries {
				if ctx.Err() == nil {
					t.Errorf("the context of try %d goes on", i+1)
				}
			}
			if len(tries) == 0 {
				t.Error("there was no try")
			}
		})
	}
}

func TestDeletesShareAConnection(t *testing.T) {
	t.Parallel()
	srv := newServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	svc := sdkOver(t, srv.URL, over(nil, impatient))
	for range 500 {
		var answer transport.Answer
		if err := svc.Endpoint.Delete(transport.WithAnswer(t.Context(), &answer), "app", "ep"); err != nil {
			t.Fatal(err)
		}
		if answer.Status != http.StatusNoContent {
			t.Fatalf("got status %d, want 204", answer.Status)
		}
	}
	if got := srv.conns.Load(); got != 1 {
		t.Errorf("500 deletes opened %d connections, want 1", got)
	}
}

func TestTheSDKSurvivesEverySuccess(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 202, 204, 205, 299} {
		for _, body := range []string{"", "null", "[]", "{}", "<html>", `{"id":7}`, `{"id":"msg_1"`} {
			answer, err := sendMessage(t.Context(),
				sdkOver(t, "http://svix.test", over(serverOf(answers(status, body)), impatient)))
			if err != nil {
				t.Errorf("%d %q: %v", status, body, err)
			}
			if answer.Status != status || string(answer.Body) != body {
				t.Errorf("got answer %d %q, want %d %q", answer.Status, answer.Body, status, body)
			}
		}
	}
}

func TestTruncatedAnswerIsNoSuccess(t *testing.T) {
	t.Parallel()
	srv := newServer(t, func(w http.ResponseWriter, _ *http.Request) { cutOff(w) })
	answer, err := sendMessage(t.Context(), sdkOver(t, srv.URL, over(nil, impatient)))
	if !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(answer.Err, io.ErrUnexpectedEOF) {
		t.Errorf("got error %v and in the answer %v, want unexpected EOF", err, answer.Err)
	}
	if answer.Status != 200 || string(answer.Body) != `{"id":` || answer.Tries != 4 || !answer.Unclear {
		t.Errorf("got answer %+v, want the broken 200 of the fourth try", answer)
	}
}

// TestRedirectsAreNotFollowed uses a client that would follow them.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s was sent on, authorization %q", r.Method, r.URL, r.Header.Get("Authorization"))
	})
	for _, status := range []int{300, 301, 302, 303, 304, 305, 307, 308} {
		for _, location := range []string{elsewhere.URL + "/x", "/x", "", "http://%zz/"} {
			srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/x" {
					t.Errorf("%s was sent on", r.Method)
				}
				w.Header().Set("Location", location)
				w.WriteHeader(status)
			})
			svc := sdkOver(t, srv.URL, over(nil, impatient))
			answer, err := sendMessage(t.Context(), svc)
			if sdkErr := (*svix.Error)(nil); !errors.As(err, &sdkErr) || sdkErr.Status() != status {
				t.Errorf("got error %v, want status %d", err, status)
			}
			if answer.Status != status || answer.Header.Get("Location") != location {
				t.Errorf("got answer %d to %q, want %d to %q", answer.Status,
					answer.Header.Get("Location"), status, location)
			}
			if err := svc.Endpoint.Delete(transport.WithAnswer(t.Context(), new(transport.Answer)),
				"app", "ep"); err == nil {
				t.Errorf("status %d: the delete succeeded", status)
			}
		}
	}
}

// TestConnectionsAreKept has the first try of every tenth call fail.
func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	const workers, each = 64, 50
	var n atomic.Int64
	var refused sync.Map // by idempotency key
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if _, again := refused.LoadOrStore(r.Header.Get("Idempotency-Key"), true); again {
			_, _ = io.WriteString(w, `{"id":"msg_1"}`)
			return
		}
		switch n.Add(1) % 20 {
		case 0:
			http.Error(w, "busy", http.StatusServiceUnavailable)
		case 10:
			http.Error(w, "slower", http.StatusTooManyRequests)
		default:
			_, _ = io.WriteString(w, `{"id":"msg_1"}`)
		}
	})
	svc := sdkOver(t, srv.URL, over(nil, impatient))
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				if _, err := sendMessage(t.Context(), svc); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got, limit := srv.conns.Load(), int64(workers+workers*each/100); got > limit {
		t.Errorf("%d calls of %d workers opened %d connections, want at most %d", workers*each, workers, got, limit)
	}
}

func TestHTTP2IsUsedWhereOffered(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("the request came by %s, want HTTP/2", r.Proto)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	base := transport.Tuned()
	base.TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	defer base.CloseIdleConnections()
	answer, _, err := call(t.Context(), t, over(base, impatient), http.MethodGet, srv.URL, "")
	if err != nil || answer.Status != http.StatusNoContent {
		t.Errorf("got status %d and error %v, want 204", answer.Status, err)
	}
}

func TestCertificateThatIsNotTrustedLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(answering(200, "{}"))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of the client
	srv.StartTLS()
	defer srv.Close()
	answer, _, err := call(t.Context(), t, over(nil, impatient), http.MethodPost, srv.URL, "{}")
	if err == nil || answer.Unclear {
		t.Errorf("got error %v, unclear %v, want an error and nothing open", err, answer.Unclear)
	}
}

// A server that dies under a request on a kept connection, and is not there when net/http sends the
// request once more, may have acted.
func TestRefusalAfterALostConnectionLeavesItOpen(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- serveOneAndDie(listener) }()
	once := impatient
	once.MaxAttempts = 1
	rt := over(nil, once)
	url := "http://" + listener.Addr().String()
	if _, _, err := call(t.Context(), t, rt, http.MethodPost, url, "{}"); err != nil {
		t.Fatal(err)
	}
	answer, _, err := call(t.Context(), t, rt, http.MethodPost, url, "{}")
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	if err == nil || !answer.Unclear {
		t.Errorf("got error %v, unclear %v, want an error that leaves it open", err, answer.Unclear)
	}
}

// serveOneAndDie answers one request, and to the next it closes all.
func serveOneAndDie(listener net.Listener) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	if err := skipRequest(in); err != nil {
		return err
	}
	fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
	if err := skipRequest(in); err != nil {
		return err
	}
	return listener.Close()
}
