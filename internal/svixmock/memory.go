package svixmock

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
)

// memoryTransport calls a receiver's handler in a goroutine of its own, so that a handler that does
// not return delays nobody. It uses no socket.
type memoryTransport struct{ handler http.Handler }

var errHandlerPanic = errors.New("the receiver's handler panicked")

func (t memoryTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	w := &memoryWriter{request: r, header: http.Header{}, response: make(chan *http.Response, 1)}
	go w.serve(t.handler)
	select {
	case response := <-w.response:
		if response == nil {
			return nil, errHandlerPanic
		}
		return response, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// incoming is a request as the server that receives it sees it.
func incoming(r *http.Request) *http.Request {
	served := r.Clone(r.Context())
	served.RequestURI = r.URL.RequestURI()
	served.RemoteAddr = "127.0.0.1:0"
	if served.Host == "" {
		served.Host = r.URL.Host
	}
	return served
}

// memoryWriter takes a handler's response. The response is passed on when the handler returns, or
// at its first Flush; what it writes after that is streamed.
type memoryWriter struct {
	request  *http.Request
	response chan *http.Response // gets nil where the handler panics first

	header http.Header
	sent   http.Header // nil until the status was written
	status int
	body   bytes.Buffer
	stream *io.PipeWriter // nil before the first Flush
}

// serve runs the handler.
func (w *memoryWriter) serve(h http.Handler) {
	returned := false
	defer func() {
		panicked := recover() != nil || !returned // runtime.Goexit returns nowhere either
		switch {
		case w.stream == nil && panicked:
			w.response <- nil
		case w.stream == nil:
			w.WriteHeader(http.StatusOK)
			w.send(io.NopCloser(&w.body), int64(w.body.Len()))
		case panicked:
			w.stream.CloseWithError(errHandlerPanic)
		default:
			_ = w.stream.Close()
		}
	}()
	h.ServeHTTP(w, incoming(w.request))
	returned = true
}

func (w *memoryWriter) Header() http.Header { return w.header }

func (w *memoryWriter) WriteHeader(status int) {
	if w.sent == nil && status >= http.StatusOK {
		w.status = status
		w.sent = w.header.Clone()
	}
}

func (w *memoryWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.stream != nil {
		return w.stream.Write(p)
	}
	return w.body.Write(p)
}

// Flush lets the client see the response so far.
func (w *memoryWriter) Flush() {
	if w.stream != nil {
		return
	}
	w.WriteHeader(http.StatusOK)
	var body *io.PipeReader
	body, w.stream = io.Pipe()
	ctx := w.request.Context()
	context.AfterFunc(ctx, func() { _ = body.CloseWithError(ctx.Err()) })
	w.send(struct {
		io.Reader
		io.Closer
	}{io.MultiReader(&w.body, body), body}, -1)
}

func (w *memoryWriter) send(body io.ReadCloser, length int64) {
	w.response <- newResponse(w.request, w.status, w.sent, body, length) //nolint:bodyclose // who gets it closes it
}

// newResponse is a response as a client sees it.
func newResponse(r *http.Request, status int, h http.Header, body io.ReadCloser, length int64) *http.Response {
	return &http.Response{
		Status:        strconv.Itoa(status) + " " + http.StatusText(status),
		StatusCode:    status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        h,
		Body:          body,
		ContentLength: length,
		Request:       r,
	}
}
