package svixmock

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
)

// memoryTransport calls a receiver's handler in a goroutine of its own, so that a handler that does not return delays
// nobody. It uses no socket.
type memoryTransport struct{ handler http.Handler }

var errHandlerPanic = errors.New("the receiver's handler panicked")

func (t memoryTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	served := r.Clone(r.Context())
	served.RequestURI = r.URL.RequestURI()
	served.RemoteAddr = "127.0.0.1:0"
	served.Header = http.Header{"Content-Length": {strconv.FormatInt(r.ContentLength, 10)}}
	for name, values := range r.Header {
		if len(values) > 0 {
			served.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	if served.Host == "" {
		served.Host = r.URL.Host
	}
	done := make(chan *http.Response, 1)
	go func() {
		w := &memoryWriter{header: http.Header{}}
		defer func() {
			if recover() != nil {
				close(done)
			}
		}()
		t.handler.ServeHTTP(w, served)
		done <- w.response(r)
	}()
	select {
	case resp, ok := <-done:
		if !ok {
			return nil, errHandlerPanic
		}
		return resp, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// memoryWriter keeps a response in memory.
type memoryWriter struct {
	header http.Header
	sent   http.Header // nil until the status was written
	status int
	body   bytes.Buffer
}

func (w *memoryWriter) Header() http.Header { return w.header }

func (w *memoryWriter) WriteHeader(status int) {
	if w.sent == nil && status >= 200 {
		w.status = status
		w.sent = w.header.Clone()
	}
}

func (w *memoryWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

func (w *memoryWriter) response(r *http.Request) *http.Response {
	w.WriteHeader(http.StatusOK)
	return &http.Response{
		Status:        strconv.Itoa(w.status) + " " + http.StatusText(w.status),
		StatusCode:    w.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        w.sent,
		Body:          io.NopCloser(&w.body),
		ContentLength: int64(w.body.Len()),
		Request:       r,
	}
}
