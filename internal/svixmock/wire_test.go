package svixmock_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// These tests are about sections 13.2 and 13.4 of the contract, byte by byte.

// rawReceiver is a receiver that answers each connection with a text and ends it.
type rawReceiver struct {
	host string
	got  chan string // the requests
}

func newRawReceiver(t *testing.T, answer string) rawReceiver {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := rawReceiver{listener.Addr().String(), make(chan string, 10)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			r.serve(conn, answer)
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return r
}

func (r rawReceiver) serve(conn net.Conn, answer string) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	reader := bufio.NewReader(conn)
	var request strings.Builder
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = reader.ReadString('\n'); err != nil {
			return
		}
		request.WriteString(line)
		if length, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(length), 10, 64)
			if err != nil {
				return
			}
			defer func() { _, _ = io.CopyN(io.Discard, reader, n) }()
		}
	}
	r.got <- request.String()
	_, _ = io.WriteString(conn, answer)
}

const accepted = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"

func TestDeliveredBytes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		path    string
		headers string // of the endpoint, as JSON
		message string // members besides the event type
		want    []string
		not     string
	}{
		"path as it is":   {path: "/a|b^c[d]%zz?q=|", want: []string{"POST /a|b^c[d]%zz?q=| HTTP/1.1\r\n"}},
		"path of a query": {path: "?q", want: []string{"POST /?q HTTP/1.1\r\n"}},
		"blanks are kept": {headers: `{"X-A":"  a\tb  "}`, want: []string{"\r\nX-A:   a\tb  \r\n"}},
		"UTF-8 is kept":   {headers: `{"X-A":"é"}`, want: []string{"\r\nX-A: é\r\n"}},
		"empty value":     {headers: `{"X-A":""}`, want: []string{"\r\nX-A:\r\n"}},
		"names of transport": {
			headers: `{"Trailer":"t","expect":"e","Date":"d","Connection":"c","Accept-Encoding":"x"}`,
			want: []string{
				"\r\nTrailer: t\r\n",
				"\r\nexpect: e\r\n",
				"\r\nDate: d\r\n",
				"\r\nConnection: c\r\n",
				"\r\nAccept-Encoding: x\r\n",
			},
		},
		"own host": {
			headers: `{"Host":"archive.example"}`,
			want:    []string{" HTTP/1.1\r\nHost: archive.example\r\n"},
		},
		"empty body": {
			message: `"payload":{},"transformationsParams":{"rawPayload":""}`,
			not:     "Content-Length",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newMemoryAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
			app := a.app()
			receiver := newRawReceiver(t, accepted)
			endpoint := app + "/endpoint/" + a.endpoint(app, "http://"+receiver.host+tt.path)
			if tt.headers != "" {
				a.do(http.MethodPut, endpoint+"/headers", `{"headers":`+tt.headers+`}`).
					expect(http.StatusNoContent, noBody)
			}
			if tt.message == "" {
				tt.message = `"payload":{}`
			}
			a.post(app+"/msg", `{"eventType":"a.b",`+tt.message+`}`).expect(http.StatusAccepted, "")
			got := <-receiver.got
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("got %q, want %q in it", got, want)
				}
			}
			if tt.not != "" && strings.Contains(got, tt.not) {
				t.Errorf("got %q, want no %s in it", got, tt.not)
			}
			a.delivered(1)
		})
	}
}

func TestRepliesByTheByte(t *testing.T) {
	t.Parallel()
	const broken = "error making request: client error (SendRequest)"
	tests := map[string]struct {
		reply    string
		code     float64
		response string
		requests int // one more for the immediate repetition
	}{
		"accepted":  {accepted, 204, "", 1},
		"nothing":   {"", 0, broken, 2},
		"garbage":   {"hello\r\n\r\n", 0, broken, 2},
		"HTTP/2.0":  {"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", 0, broken, 2},
		"code 099":  {"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n", 0, broken, 2},
		"code 1000": {"HTTP/1.1 1000 Odd\r\nContent-Length: 0\r\n\r\n", 0, broken, 2},
		"code 999":  {"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", 999, "", 1},
		"two lengths": {
			"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
			0,
			broken,
			2,
		},
		"bad length": {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 0, broken, 2},
		"NUL in a header": {
			"HTTP/1.1 200 OK\r\nX-A: a\x00b\r\nContent-Length: 0\r\n\r\n",
			0,
			broken,
			2,
		},
		"101 headers": {
			"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + strings.Repeat("X-A: b\r\n", 100) + "\r\n",
			0,
			broken,
			2,
		},
		"a header of 20 kB": {
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: " + strings.Repeat("a", 20_000) + "\r\n\r\nok",
			200,
			"ok",
			1,
		},
		"a header of 600 kB": {
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: " + strings.Repeat("a", 600_000) + "\r\n\r\nok",
			0,
			broken,
			2,
		},
		"switching protocols": {
			"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
			101,
			"",
			1,
		},
		"early hints": {
			"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: " +
				"2\r\n\r\nok",
			200,
			"ok",
			1,
		},
		"body cut short": {
			"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
			200,
			"Error reading response body: error reading a body from connection",
			1,
		},
		"bad chunk": {
			"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
			500,
			"Error reading response body: error reading a body from connection",
			1,
		},
		"body until the end": {"HTTP/1.1 200 OK\r\n\r\nok", 200, "ok", 1},
		"compressed, not undone": {
			"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok",
			200,
			"ok",
			1,
		},
		"redirect to the outside": {
			"HTTP/1.1 302 Found\r\nLocation: http://example.org\r\nContent-Length: 0\r\n\r\n",
			302,
			"",
			1,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newMemoryAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
			app := a.app()
			receiver := newRawReceiver(t, tt.reply)
			a.endpoint(app, "http://"+receiver.host)
			msg := a.message(app)
			a.delivered(1)
			got := a.attempts(app, msg)[0]
			if got["responseStatusCode"] != tt.code || got["response"] != tt.response {
				t.Errorf(
					"got status code %v and response %q, want %v and %q",
					got["responseStatusCode"],
					got["response"],
					tt.code,
					tt.response,
				)
			}
			if len(receiver.got) != tt.requests {
				t.Errorf("got %d requests, want %d", len(receiver.got), tt.requests)
			}
		})
	}
}

// A receiver that closes the connection instead of a TLS handshake was never connected to.
func TestNoTLSHandshake(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
	app := a.app()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	a.endpoint(app, "https://"+listener.Addr().String())
	msg := a.message(app)
	a.delivered(1)
	if got := a.attempts(app, msg)[0]["response"]; got != "error making request: client error (Connect)" {
		t.Errorf("got response %q", got)
	}
}

// Connections are kept for the next delivery, and one that was closed meanwhile costs nothing.
func TestConnectionsToReceiversAreKept(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
	app := a.app()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	a.endpoint(app, "http://"+listener.Addr().String())
	answered := make(chan int, 10) // numbers of connections
	go func() {
		for n := 0; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			reader := bufio.NewReader(conn)
			for range 2 { // requests for a connection
				req, err := http.ReadRequest(reader)
				if err != nil {
					break
				}
				_, _ = io.Copy(io.Discard, req.Body)
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				answered <- n
			}
			_ = conn.Close()
		}
	}()
	var got []int
	for i := range 4 {
		a.message(app)
		a.delivered(i + 1)
		got = append(got, <-answered)
	}
	if diff := cmp.Diff([]int{0, 0, 1, 1}, got); diff != "" {
		t.Errorf("connections (-want +got):\n%s", diff)
	}
}

// A handler in memory that ends its goroutine gave no answer.
func TestHandlerThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	a := newMemoryAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
	app := a.app()
	a.receiver("https://receiver.example", func(http.ResponseWriter, *http.Request) { runtime.Goexit() })
	a.endpoint(app, "https://receiver.example")
	msg := a.message(app)
	a.delivered(1)
	if got := a.attempts(app, msg)[0]; got["responseStatusCode"] != 0.0 || got["status"] != 2.0 {
		t.Errorf("got %v, want a failure without a status code", got)
	}
}

// Handle takes URLs as the server takes those of endpoints.
func TestHandleNormalisesURLs(t *testing.T) {
	t.Parallel()
	for handled, endpoint := range map[string]string{
		"https://münchen.example":        "https://xn--mnchen-3ya.example/hook",
		"http://127.1":                   "http://127.0.0.1/hook",
		"HTTPS://Receiver.Example:443/x": "https://receiver.example/hook",
		"https://receiver.example:8443":  "https://RECEIVER.example:8443",
		"http://user@receiver.example":   "http://receiver.example",
	} {
		a := newMemoryAPI(t, svixmock.Config{RetrySchedule: []time.Duration{}})
		app := a.app()
		receiver := a.receiver(handled)
		a.endpoint(app, endpoint)
		a.message(app)
		a.delivered(1)
		if len(receiver.deliveries()) != 1 {
			t.Errorf("%s: got no delivery to %s", handled, endpoint)
		}
	}
	for _, bad := range []string{"receiver.example", "", "https://", "ftp://receiver.example", "/hook", "http://a b"} {
		if svixmock.CheckReceiver(bad) == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
