// Package transport carries the requests of the Svix SDK to the server and the
// answers back. It retries what may succeed later, bounds what is read, keeps
// connections in use, and hands the answer to the caller beside the SDK, whose
// own decoding is too strict for it.
package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// MaxRequest is the longest request body in bytes. The server's limit is the
// same (its web framework's default); a longer body is answered with a 413, if
// the connection survives.
const MaxRequest = 2 << 20

// ErrRequestTooLarge says that a request body is longer than [MaxRequest] and
// that nothing was sent.
var ErrRequestTooLarge = errors.New("request body is too large")

var (
	errBodyUsedUp = errors.New("request body cannot be sent twice: GetBody is not set")
	errNoResponse = errors.New("the HTTP client's transport gave neither a response nor an error")
)

// A Policy says how often and how patiently a request is tried. The zero
// value is of no use: every field must be set.
type Policy struct {
	MaxAttempts    int           // tries of one request in all; 1: no retry
	MinBackoff     time.Duration // bound of the first wait, doubled for each further one
	MaxBackoff     time.Duration // bound of every wait, also of one that the server asks for
	AttemptTimeout time.Duration // of one try, from connecting to the end of the body
}

// A Transport is an [http.RoundTripper] that tries a request until its answer
// is final. It is safe for concurrent use.
type Transport struct {
	// Observer is told of what the transport does; nil: nobody. It is set before the first request.
	Observer Observer
	// Show makes an error of a try fit to be shown: net/http quotes what it cannot read; nil: it is
	// shown as it is. It is set before the first request.
	Show func(error) error

	base   http.RoundTripper
	policy Policy
	log    *slog.Logger
	watch  *watch
	left   left
}

// An Observer is told of each try of a request, counted from 1, and of each wait after one.
type Observer interface {
	// Try returns the context of the try and what to call when it has ended. The status is zero
	// if there was no answer.
	Try(ctx context.Context, try int) (context.Context, func(status int, err error))
	// Wait returns what to call when the wait has ended.
	Wait(ctx context.Context, try int) (end func())
}

// New returns a Transport that sends by base, or by a transport of its own
// ([Tuned]) where base is nil. Each retry is logged at debug level: method,
// path, try, status or error, and wait; never a header, a query or a body.
func New(base http.RoundTripper, policy Policy, log *slog.Logger) *Transport {
	if base == nil {
		base = Tuned()
	}
	return &Transport{base: base, policy: policy, log: log, watch: newWatch(policy.AttemptTimeout)}
}

// Tuned returns a new transport for many concurrent requests to one server: as
// many as 1024 connections stay open between requests, for 90 seconds each.
// HTTP/2 is used where the server offers it. Proxies are taken from the environment.
func Tuned() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxIdleConnsPerHost:    1024,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		ForceAttemptHTTP2:      true,
		// An HTTP/2 connection outlives the requests that time out on it, so a
		// dead one has to be found by pings.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
}

// RoundTrip sends the request and reads its answer whole. It tries again, on
// every method, after a transport error, an answer that breaks off, and the
// statuses 408, 425, 429, 500, 502, 503 and 504; each request must therefore be
// idempotent. All tries send the same headers and the same body, taken from
// GetBody, which a request with a body must have. A try that takes longer than
// AttemptTimeout fails. The wait before the next try is what Retry-After asks
// for, else random up to MinBackoff, doubled each time; never longer than
// MaxBackoff. What the last try met is the result.
//
// The header Idempotency-Key is taken off: a server whose handler was dropped
// with a key keeps that locked for minutes and answers 500 to each further try.
//
// The context of the request ends everything at once, a wait too. The error
// is then its Err and its Cause and, if there is one, the error of the last
// try before. A wait that outlasts the deadline is waited for until then. If the
// Answer in the context says Finish, a try under way goes on in the background,
// see [Transport.Drain].
//
// Where the context holds an [Answer] it is filled, and the response is a
// stand-in without headers and body: status 204 for every 2xx, else the status.
// So the SDK has nothing to fail on and no redirect is followed. (It panics on a
// 204 to Message.Create unless WithContent points to false.) Without an Answer
// the response is the server's.
//
// Errors: [ErrRequestTooLarge]; [ErrAnswerTooLarge] for a 2xx answer; of other
// errors only those of the request's context match [context.Canceled] or
// [context.DeadlineExceeded].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close() // every try takes a fresh one
	}
	answer, wanted := req.Context().Value(answerKey{}).(*Answer)
	if !wanted {
		answer = new(Answer)
	}
	if answer.Payload != nil {
		var err error
		if req, err = withPayload(req, answer.Payload); err != nil {
			return nil, err
		}
	}
	if err := checkBody(req); err != nil {
		return nil, err
	}
	req.Header.Del("Idempotency-Key") // the SDK made the request, for this call alone
	if err := t.settle(req, answer); err != nil {
		return nil, err
	}
	if wanted {
		return answer.standIn(req), nil
	}
	return answer.response(req), nil
}

func checkBody(req *http.Request) error {
	if req.ContentLength > MaxRequest {
		return fmt.Errorf("%w: %d bytes, limit %d", ErrRequestTooLarge, req.ContentLength, MaxRequest)
	}
	if hasBody(req) && req.GetBody == nil {
		return errBodyUsedUp
	}
	return nil
}

func hasBody(req *http.Request) bool {
	return req.Body != nil && req.Body != http.NoBody
}

// settle fills answer by the last of as many tries as it takes. A try that the
// caller's context cuts off counts, but the answer before it stays.
func (t *Transport) settle(req *http.Request, answer *Answer) error {
	ctx := req.Context()
	for try := 1; ; try++ {
		if ctx.Err() != nil {
			return endedBy(ctx, answer)
		}
		answer.Tries = try
		latest := t.observedTry(req, try, answer.Finish)
		answer.Unclear = answer.Unclear || latest.Unclear
		if latest.Err != nil && ctx.Err() != nil {
			return endedBy(ctx, answer)
		}
		latest.Finish, latest.Tries, latest.Unclear = answer.Finish, try, answer.Unclear
		*answer = latest
		if !answer.mayImprove() || try >= t.policy.MaxAttempts {
			return answer.failure()
		}
		wait := t.policy.wait(try, answer.Header)
		t.logRetry(req, answer, wait)
		t.observedPause(ctx, wait, try)
	}
}

func (t *Transport) observedTry(req *http.Request, n int, finish bool) Answer {
	if t.Observer == nil {
		return t.try(req, finish)
	}
	ctx, end := t.Observer.Try(req.Context(), n)
	answer := t.try(req.WithContext(ctx), finish)
	end(answer.Status, answer.Err)
	return answer
}

func (t *Transport) observedPause(ctx context.Context, wait time.Duration, try int) {
	if t.Observer != nil {
		defer t.Observer.Wait(ctx, try)()
	}
	pause(ctx, wait)
}

// try sends the request once. With finish it does not end with the context of
// the request, only its caller's wait does.
func (t *Transport) try(req *http.Request, finish bool) Answer {
	caller := req.Context()
	if !finish || caller.Done() == nil {
		ctx, running := t.watch.start(caller)
		defer t.watch.end(running)
		return t.send(ctx, req)
	}
	ctx, running := t.watch.start(context.WithoutCancel(caller))
	answers := make(chan Answer, 1)
	go func() {
		defer t.watch.end(running)
		answers <- t.send(ctx, req)
	}()
	select {
	case answer := <-answers:
		return answer
	case <-caller.Done():
	}
	if !t.left.take(answers) {
		t.watch.end(running)
	}
	return Answer{Err: caller.Err(), Unclear: true}
}

// send sends the request once, in the context of a try.
func (t *Transport) send(ctx context.Context, req *http.Request) (answer Answer) {
	defer func() {
		if p := recover(); p != nil {
			answer = Answer{Err: fmt.Errorf("the HTTP client's transport panicked: %v", p), Unclear: true}
		}
		if answer.Err != nil && t.Show != nil {
			answer.Err = t.Show(answer.Err)
		}
	}()
	var unclear bool
	out, err := copyFor(ctx, req, &unclear)
	if err != nil {
		return Answer{Err: err}
	}
	resp, err := t.base.RoundTrip(out)
	switch {
	case err != nil:
		return Answer{Err: t.tryError(ctx, err), Unclear: unclear || !neverSent(err)}
	case resp == nil:
		return Answer{Err: errNoResponse, Unclear: true}
	}
	answer = read(resp)
	answer.Unclear = unclear || answer.leavesOpen()
	answer.Err = t.tryError(ctx, answer.Err)
	return answer
}

// copyFor returns the request for one try. Its body is a fresh one of GetBody,
// which for an empty body is [http.NoBody]; what the SDK puts in its place has
// to be probed by net/http. When net/http asks for the body once more, a
// connection has died under the request, maybe after the server had read it;
// unclear is then set.
func copyFor(ctx context.Context, req *http.Request, unclear *bool) (*http.Request, error) {
	out := req.WithContext(ctx)
	if !hasBody(req) {
		return out, nil
	}
	out.GetBody = func() (io.ReadCloser, error) {
		*unclear = true
		return req.GetBody()
	}
	var err error
	out.Body, err = req.GetBody()
	return out, err
}

// neverSent reports whether err of a base transport excludes that the server
// has seen the request: there was no connection, or none that could be trusted.
func neverSent(err error) bool {
	if cert := (*tls.CertificateVerificationError)(nil); errors.As(err, &cert) {
		return true
	}
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect")
}

// tryError is the error of a try as it is reported. A deadline of the base
// transport or of the try must not look like the caller's own.
func (t *Transport) tryError(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), t.watch.tooSlow):
		return t.watch.tooSlow
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &timeoutError{err.Error()}
	}
	return err
}

func (t *Transport) logRetry(req *http.Request, answer *Answer, wait time.Duration) {
	outcome := slog.Int("status", answer.Status)
	if answer.Err != nil {
		outcome = slog.Any("error", answer.Err)
	}
	t.log.LogAttrs(req.Context(), slog.LevelDebug, "request is tried again",
		slog.String("method", req.Method), slog.String("path", req.URL.Path),
		slog.Int("try", answer.Tries), outcome, slog.Duration("wait", wait))
}
