package transport_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks/internal/transport"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "testsk_secret_of_the_tests"

// policy is the library's default.
var policy = transport.Policy{
	MaxAttempts:    4,
	MinBackoff:     500 * time.Millisecond,
	MaxBackoff:     30 * time.Second,
	AttemptTimeout: 15 * time.Second,
}

// impatient is for tests on the real clock.
var impatient = transport.Policy{
	MaxAttempts:    4,
	MinBackoff:     time.Microsecond,
	MaxBackoff:     time.Millisecond,
	AttemptTimeout: 30 * time.Second,
}

var errReset = errors.New("connection reset by peer")

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// A step is what a fake server does with one try.
type step func(*http.Request) (*http.Response, error)

// answers answers with a status, a body, and headers as pairs of name and value.
func answers(status int, body string, header ...string) step {
	return func(*http.Request) (*http.Response, error) {
		resp := &http.Response{
			StatusCode: status, Header: http.Header{},
			Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
		}
		for i := 0; i < len(header); i += 2 {
			resp.Header.Set(header[i], header[i+1])
		}
		return resp, nil
	}
}

// fails gives no answer.
func fails(err error) step {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// hangs gives no answer until the try is cut off.
func hangs(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, context.Cause(req.Context())
}

// stalls answers with a status and the beginning of a body, and never ends it.
func stalls(req *http.Request) (*http.Response, error) {
	body := io.MultiReader(strings.NewReader(`{"id":`), untilDone{req.Context()})
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(body), ContentLength: -1}, nil
}

type untilDone struct{ ctx context.Context }

func (r untilDone) Read([]byte) (int, error) {
	<-r.ctx.Done()
	return 0, context.Cause(r.ctx)
}

// breaksOff answers with a status and a part of a body.
func breaksOff(status int) step {
	return func(*http.Request) (*http.Response, error) {
		body := io.MultiReader(strings.NewReader(`{"id":`), brokenReader{})
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(body), ContentLength: -1},
			nil
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A fakeServer takes a step for each try, the last of them for all further ones, and remembers what
// was sent.
type fakeServer struct {
	steps []step

	mu   sync.Mutex
	seen []sent
}

type sent struct {
	Method string
	URL    string
	Header http.Header
	Body   string
	At     time.Time
}

func serverOf(steps ...step) *fakeServer { return &fakeServer{steps: steps} }

func (s *fakeServer) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		_ = req.Body.Close()
	}
	s.mu.Lock()
	next := s.steps[min(len(s.seen), len(s.steps)-1)]
	s.seen = append(s.seen, sent{req.Method, req.URL.String(), req.Header.Clone(), string(body), time.Now()})
	s.mu.Unlock()
	return next(req)
}

func (s *fakeServer) tries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

func over(base http.RoundTripper, p transport.Policy) *transport.Transport {
	return transport.New(base, p, slog.New(slog.DiscardHandler))
}

// newRequest builds a request as the SDK does: the body is replaced after http.NewRequest has set
// GetBody.
func newRequest(ctx context.Context, tb testing.TB, method, url, body string) *http.Request {
	tb.Helper()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Body = io.NopCloser(strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Idempotency-Key", "key-of-this-call")
	return req
}

// A reply is a response as the SDK sees it.
type reply struct {
	Code   int
	Status string
	Header http.Header
	Body   string
	Length int64
}

// roundTrip sends a request, and checks what every outcome has in common.
func roundTrip(tb testing.TB, rt *transport.Transport, req *http.Request) (reply, error) {
	tb.Helper()
	resp, err := rt.RoundTrip(req)
	if (resp == nil) == (err == nil) {
		tb.Fatalf("got response %v and error %v, want one of them", resp, err)
	}
	if err != nil {
		if strings.Contains(err.Error(), token) {
			tb.Errorf("the token is in the error %q", err)
		}
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatalf("the response cannot be read: %v", err)
	}
	return reply{resp.StatusCode, resp.Status, resp.Header, string(body), resp.ContentLength}, nil
}

// call sends a request with an Answer.
func call(ctx context.Context, tb testing.TB, rt *transport.Transport, method, url,
	body string,
) (transport.Answer, reply, error) {
	tb.Helper()
	var answer transport.Answer
	got, err := roundTrip(tb, rt, newRequest(transport.WithAnswer(ctx, &answer), tb, method, url, body))
	return answer, got, err
}

const serverURL = "http://svix.test/api/v1/app/a/msg?with_content=false"

func parseURL(t *testing.T, raw string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
