package svixmock

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// outcome is what a request comes to: an answer, perhaps a broken one, or none.
type outcome struct {
	answer
	at       time.Time     // of the server's clock
	dropped  bool          // the connection is closed without an answer
	reset    bool          // the same, by a reset
	truncate bool          // half of the body, then the connection breaks
	slow     time.Duration // pause between the halves of the body
}

// headers are those of the answer as sent.
func (o outcome) headers() http.Header {
	if o.bare {
		return http.Header{"Content-Length": {strconv.Itoa(len(o.body))}}
	}
	h := http.Header{
		"Access-Control-Allow-Origin": {"*"},
		"Vary": {
			"origin, access-control-request-method, access-control-request-headers",
		},
		"Content-Length": {strconv.Itoa(len(o.body))},
		"Date":           {o.at.UTC().Format(http.TimeFormat)},
	}
	if o.body != nil {
		h["Content-Type"] = []string{"application/json"}
	}
	if o.status == http.StatusNoContent {
		delete(h, "Content-Length")
	}
	maps.Copy(h, o.header)
	return h
}

// write sends the outcome over a server's connection.
func (o outcome) write(w http.ResponseWriter, r *http.Request) {
	switch {
	case o.reset:
		resetConnection(w)
		return
	case o.dropped:
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), o.headers())
	w.WriteHeader(o.status)
	if !o.truncate && o.slow == 0 {
		_, _ = w.Write(o.body) // the client is gone where this fails
		return
	}
	half := len(o.body) / 2
	_, _ = w.Write(o.body[:half])
	_ = http.NewResponseController(w).Flush()
	if !pause(r.Context(), o.slow) || o.truncate {
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(o.body[half:])
}

// resetConnection makes the client see a reset where the connection allows it, else a closed
// connection.
func resetConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// pause waits for d or, reporting false, for the end of ctx.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// RoundTripper serves requests in memory, whatever their host. It uses no socket and no goroutine
// and blocks only on timers and channels, so that it works in the bubbles of testing/synctest.
func (s *Server) RoundTripper() http.RoundTripper { return roundTripper{s} }

type roundTripper struct{ server *Server }

func (t roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	out := t.server.serve(incoming(r))
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	switch {
	case out.reset:
		return nil, &net.OpError{Op: "read", Net: "memory", Err: syscall.ECONNRESET}
	case out.dropped:
		return nil, io.EOF
	}
	return out.response(r), nil
}

// response is the outcome as a client in memory sees it.
func (o outcome) response(r *http.Request) *http.Response {
	body := io.Reader(bytes.NewReader(o.body))
	switch {
	case r.Method == http.MethodHead:
		body = http.NoBody
	case o.truncate || o.slow > 0:
		body = &brokenBody{ctx: r.Context(), outcome: o}
	}
	return newResponse(r, o.status, o.headers(), io.NopCloser(body), int64(len(o.body)))
}

// brokenBody is a body that pauses or ends after its first half.
type brokenBody struct {
	ctx     context.Context // the request's
	outcome outcome
	pos     int
}

func (b *brokenBody) Read(p []byte) (int, error) {
	half := len(b.outcome.body) / 2
	end := half
	if b.pos == half {
		if !pause(b.ctx, b.outcome.slow) {
			return 0, b.ctx.Err()
		}
		if b.outcome.truncate {
			return 0, io.ErrUnexpectedEOF
		}
	}
	if b.pos >= half {
		end = len(b.outcome.body)
	}
	n := copy(p, b.outcome.body[b.pos:end])
	b.pos += n
	if b.pos == len(b.outcome.body) {
		return n, io.EOF
	}
	return n, nil
}
