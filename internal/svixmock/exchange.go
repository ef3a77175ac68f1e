package svixmock

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
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

// Delivery is one attempt to deliver a message. An identical request that was repeated at once after a transport
// error is not another delivery.
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

// Handle delivers in memory to h what goes to URLs with this URL's scheme and host, instead of over the network.
func (s *Server) Handle(rawURL string, h http.Handler) {
	s.worker.mu.Lock()
	defer s.worker.mu.Unlock()
	s.worker.handlers[originOf(rawURL)] = h
}

// originOf is the scheme and host by which Handle knows a receiver.
func originOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return rawURL
	}
	host := strings.ToLower(u.Host)
	port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	return u.Scheme + "://" + strings.TrimSuffix(host, port)
}

// wireHeader are header values by lower-case name, with the casing that goes over the wire.
type wireHeader map[string]wireField

type wireField struct{ name, value string }

func (h wireHeader) set(name, value string) {
	h[strings.ToLower(name)] = wireField{name, value}
}

// addCustom adds an endpoint's own headers, which override others. Values that cannot be sent are left out.
func (h wireHeader) addCustom(headers map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if isVisible(headers[name]) {
			h.set(name, headers[name])
		}
	}
}

// received are the headers as a Go receiver sees them.
func (h wireHeader) received(length int) http.Header {
	out := http.Header{"Content-Length": {strconv.Itoa(length)}}
	for _, f := range h {
		out.Set(f.name, f.value)
	}
	out.Del("Host")
	return out
}

// send makes the exchange and fills in its result.
func (s *Server) send(x *exchange) {
	start := time.Now()
	resp, cancel, err := s.trip(x)
	repeat := !x.timedOut && !errors.Is(err, errRefused) && time.Since(start) < repeatWithin && s.ctx.Err() == nil
	if err != nil && repeat {
		resp, cancel, err = s.trip(x)
	}
	x.took = time.Since(start)
	if err != nil {
		x.response = x.errorText(err)
		return
	}
	defer cancel()
	defer resp.Body.Close()
	x.code = resp.StatusCode
	x.answerHeader = resp.Header
	x.response = readResponse(resp.Body)
}

var errTimeout = errors.New("request timed out")

// trip sends the request once. The caller must call cancel after it has read the response.
func (s *Server) trip(x *exchange) (*http.Response, context.CancelFunc, error) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	end := func() { cancel(nil) }
	req, err := x.request(ctx)
	if err != nil {
		end()
		return nil, nil, err
	}
	timeout := time.AfterFunc(requestTimeout, func() { cancel(errTimeout) })
	resp, err := s.worker.transport(x.url).RoundTrip(req)
	timeout.Stop()
	if err != nil {
		x.timedOut = errors.Is(context.Cause(ctx), errTimeout)
		end()
		return nil, nil, err
	}
	return resp, end, nil
}

// request is the HTTP request. Its header keys are written to the wire as they are.
func (x *exchange) request(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, x.url, bytes.NewReader(x.body))
	if err != nil {
		return nil, err
	}
	if user := req.URL.User; user != nil {
		if _, custom := x.header["authorization"]; !custom {
			password, _ := user.Password()
			credentials := user.Username() + ":" + password
			x.header.set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(credentials)))
		}
		req.URL.User = nil
	}
	req.Header = http.Header{"User-Agent": nil} // or net/http adds its own
	for lower, f := range x.header {
		if lower == "host" {
			req.Host = f.value
			continue
		}
		req.Header[f.name] = []string{f.value}
	}
	return req, nil
}

// errorText is the response that is stored where there was none.
func (x *exchange) errorText(err error) string {
	switch {
	case x.timedOut:
		return errTimeout.Error()
	case errors.Is(err, errRefused):
		return errRefused.Error()
	case isConnectError(err):
		return "error making request: client error (Connect)"
	default:
		return "error making request: client error (SendRequest)"
	}
}

// isConnectError reports whether there was no connection, or none that is secure, to send the request over.
func isConnectError(err error) bool {
	var (
		network     *net.OpError
		certificate *tls.CertificateVerificationError
		notTLS      tls.RecordHeaderError
	)
	return errors.As(err, &network) && (network.Op == "dial" || network.Op == "remote error") ||
		errors.As(err, &certificate) || errors.As(err, &notTLS)
}

// readResponse gives a body as it is stored: cut, and in base64 where it is then not UTF-8.
func readResponse(r io.Reader) string {
	body, err := io.ReadAll(io.LimitReader(r, maxResponse))
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	switch {
	case err != nil:
		return "Error reading response body: " + err.Error()
	case !utf8.Valid(body):
		return base64.StdEncoding.EncodeToString(body)
	}
	return string(body)
}

// transport is the way to a receiver.
func (w *worker) transport(rawURL string) http.RoundTripper {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h := w.handlers[originOf(rawURL)]; h != nil {
		return memoryTransport{h}
	}
	return w.client
}

func newTransport() *http.Transport {
	http1 := new(http.Protocols)
	http1.SetHTTP1(true)
	dialer := &net.Dialer{ControlContext: checkAddress}
	return &http.Transport{
		DialContext:         dialer.DialContext,
		DisableCompression:  true,
		MaxIdleConnsPerHost: maxExchanges,
		IdleConnTimeout:     90 * time.Second,
		Protocols:           http1,
	}
}
