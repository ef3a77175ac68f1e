package transport_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks/internal/transport"
)

// FuzzAnswer takes any bytes as what the server sends on a connection, which it then closes: every
// request ends with an answer or an error. Run it with -fuzzminimizetime 10x: net/http's goroutines
// make the coverage of an input vary, and the search for a smaller one of the same coverage goes on
// for long.
func FuzzAnswer(f *testing.F) {
	for _, raw := range []string{
		"HTTP/1.1 202 Accepted\r\nContent-Length: 14\r\n\r\n{\"id\":\"msg_1\"}",
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"HTTP/1.1 503 Busy\r\nRetry-After: 99999999999999999999\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 429 Slow\r\nRetry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n\r\nHTML",
		"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://%zz/\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nx",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: " +
			"12\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xffxx",
		"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n{}",
		"HTTP/1.1 000 Nothing\r\n\r\n",
		"HTTP/1.0 200\r\n\r\n{}",
		"HTTP/2.0 200 OK\r\n\r\n",
		"<html>",
		"",
	} {
		f.Add([]byte(raw))
	}
	p := transport.Policy{MaxAttempts: 2, MaxBackoff: time.Microsecond, AttemptTimeout: 10 * time.Second}
	f.Fuzz(func(t *testing.T, raw []byte) {
		base := dialing(t.Context(), sending(raw), sending(raw))
		start := time.Now()
		answer, resp, err := call(t.Context(), t, over(base, p), http.MethodPost, serverURL, "{}")
		base.CloseIdleConnections()
		switch {
		case time.Since(start) > p.AttemptTimeout:
			t.Errorf("took %v, though the connection was closed", time.Since(start))
		case answer.Tries < 1 || answer.Tries > p.MaxAttempts:
			t.Errorf("got %d tries", answer.Tries)
		case len(answer.Body) > transport.MaxAnswer:
			t.Errorf("got a body of %d bytes", len(answer.Body))
		case err != nil && answer.Err == nil:
			t.Errorf("the answer does not tell the error %v", err)
		case err == nil && (answer.Status < 200 || answer.Status > 999):
			t.Errorf("got status %d", answer.Status)
		case err == nil && answer.Status/100 == 2 && (resp.Code != http.StatusNoContent || answer.Err != nil):
			t.Errorf("got status %d for the SDK, error %v, answer %+v", resp.Code, answer.Err, answer)
		case err == nil && answer.Status/100 != 2 && resp.Code != answer.Status:
			t.Errorf("got status %d for the SDK, answer %+v", resp.Code, answer)
		}
	})
}

// sending takes a request, sends raw and closes the connection.
func sending(raw []byte) func(context.Context, net.Conn) error {
	return func(_ context.Context, conn net.Conn) error {
		go func() {
			defer conn.Close()
			if skipRequest(bufio.NewReader(conn)) == nil {
				_, _ = conn.Write(raw)
			}
		}()
		return nil
	}
}
