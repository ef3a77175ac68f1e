package svixmock

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
)

const (
	userAgent = "Svix-Webhooks/1.100.0"

	requestTimeout = 30 * time.Second // until the response's headers
	repeatWithin   = time.Second      // a transport error is repeated once at once
	maxResponse    = 20_000           // stored bytes of a response
)

// exchange is an HTTP exchange with a receiver.
type exchange struct {
	at     time.Time
	url    string
	header wireHeader
	body   []byte

	took         time.Duration
	code         int // 0: no HTTP response
	response     string
	answerHeader http.Header
	timedOut     bool
}

// Delivery is one attempt to deliver a message. An identical request that was repeated at once
// after a transport error is not another delivery.
type Delivery struct {
	AttemptID  string
	MessageID  string
	EndpointID string
	URL        string
	Header     http.Header // as a Go receiver sees it
	Body       []byte
	Timestamp  time.Time // start of the attempt
	Manual     bool
	Status     int    // 0: no HTTP response
	Response   string // as stored
}

func newDelivery(t *attempt, x exchange) Delivery {
	return Delivery{
		AttemptID:  t.id.text(attemptPrefix),
		MessageID:  t.message.id.text(messagePrefix),
		EndpointID: t.endpoint.id,
		URL:        x.url,
		Header:     x.header.received(len(x.body)),
		Body:       x.body,
		Timestamp:  x.at,
		Manual:     t.manual,
		Status:     x.code,
		Response:   x.response,
	}
}

// Deliveries are the logged deliveries, oldest first by their end.
func (s *Server) Deliveries() []Delivery { return s.worker.log.all() }

// CheckReceiver says why no endpoint can have this URL: it has no scheme http or https, or no host,
// or the server cannot read it.
func CheckReceiver(rawURL string) error {
	_, err := receiverOf(rawURL)
	return err
}

func receiverOf(rawURL string) (receiverURL, error) {
	normal, err := serde.ParseURL(rawURL)
	if err != nil {
		return receiverURL{}, fmt.Errorf("svixmock: receiver %q: %w", rawURL, err)
	}
	u := splitURL(normal)
	if u.scheme != "http" && u.scheme != "https" {
		return receiverURL{}, fmt.Errorf("svixmock: receiver %q: the scheme has to be http or https", rawURL)
	}
	return u, nil
}

// Handle delivers in memory to h what goes to URLs with this URL's scheme and host, instead of over
// the network. The URL is read as that of an endpoint is. Nothing goes to one that CheckReceiver
// refuses.
func (s *Server) Handle(rawURL string, h http.Handler) {
	u, err := receiverOf(rawURL)
	if err != nil {
		s.log.Error("no endpoint can have this URL", slog.Any("error", err))
		return
	}
	s.worker.mu.Lock()
	defer s.worker.mu.Unlock()
	s.worker.handlers[u.origin()] = h
}

// send makes the exchange and fills in its result.
func (s *Server) send(x *exchange) {
	start := time.Now()
	r, err := s.trip(x)
	repeat := !x.timedOut && !errors.Is(err, errRefused) && time.Since(start) < repeatWithin &&
		s.ctx.Err() == nil
	if err != nil && repeat {
		r, err = s.trip(x)
	}
	x.took = time.Since(start)
	if err != nil {
		x.response = x.errorText(err)
		return
	}
	x.code = r.StatusCode
	x.answerHeader = r.Header
	if x.code == http.StatusSwitchingProtocols {
		r.release(false)
		return
	}
	var whole bool
	x.response, whole = readResponse(r.Body)
	r.release(whole)
}

var errTimeout = errors.New("request timed out")

// trip sends the request once.
func (s *Server) trip(x *exchange) (*reply, error) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	timeout := time.AfterFunc(requestTimeout, func() { cancel(errTimeout) })
	r, err := s.worker.send(ctx, x)
	timeout.Stop()
	if err != nil {
		x.timedOut = errors.Is(context.Cause(ctx), errTimeout)
		cancel(nil)
		return nil, err
	}
	release := r.release
	r.release = func(read bool) {
		release(read)
		cancel(nil)
	}
	return r, nil
}

// send sends a delivery to a handler in memory or over a socket.
func (w *worker) send(ctx context.Context, x *exchange) (*reply, error) {
	u := splitURL(x.url)
	if _, custom := x.header["authorization"]; u.user != "" && !custom {
		credentials := base64.StdEncoding.EncodeToString([]byte(serde.Unescape(u.user)))
		x.header.set("Authorization", "Basic "+credentials)
	}
	w.mu.Lock()
	handler := w.handlers[u.origin()]
	w.mu.Unlock()
	if handler == nil {
		return w.wire.send(ctx, u, x.header.request(u, x.body))
	}
	resp, err := memoryTransport{handler}.RoundTrip(x.request(ctx, u)) //nolint:bodyclose // release closes it
	if err != nil {
		return nil, err
	}
	return &reply{resp, func(bool) { _ = resp.Body.Close() }}, nil
}

// request is the HTTP request as a handler in memory gets it.
func (x *exchange) request(ctx context.Context, u receiverURL) *http.Request {
	target, err := url.Parse(u.origin() + u.path)
	if err != nil { // a path that the server keeps as it is, which net/url does not take
		target = &url.URL{Scheme: u.scheme, Host: u.host, Path: serde.Unescape(u.path)}
	}
	r := &http.Request{
		Method: http.MethodPost, URL: target, Host: u.host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: x.header.received(
			len(x.body),
		), Body: io.NopCloser(bytes.NewReader(x.body)), ContentLength: int64(len(x.body)),
	}
	if host, custom := x.header["host"]; custom {
		r.Host = host.value
	}
	return r.WithContext(ctx)
}

// errorText is the response that is stored if there was none.
func (x *exchange) errorText(err error) string {
	var connect connectError
	switch {
	case x.timedOut:
		return errTimeout.Error()
	case errors.Is(err, errRefused):
		return errRefused.Error()
	case errors.As(err, &connect):
		return "error making request: client error (Connect)"
	}
	return "error making request: client error (SendRequest)"
}

// readResponse gives a body as it is stored: cut, and in base64 if it is then not UTF-8. It reports
// whether it was read to its end.
func readResponse(r io.Reader) (text string, whole bool) {
	body, err := io.ReadAll(io.LimitReader(r, maxResponse))
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	switch {
	case err != nil:
		return "Error reading response body: error reading a body from connection", false
	case !utf8.Valid(body):
		return base64.StdEncoding.EncodeToString(body), true
	}
	return string(body), true
}
