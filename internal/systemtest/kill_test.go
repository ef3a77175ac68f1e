package systemtest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// senderProcess is the environment variable under which this test binary is a sender.
const senderProcess = "WEBHOOKS_TEST_SENDER_PROCESS"

// TestKilledSendersLoseNothing kills senders in the middle, without a chance for them to finish
// anything, and starts them again from the first event that they have not reported as sent.
func TestKilledSendersLoseNothing(t *testing.T) {
	t.Parallel()
	d := &dice{rand: chance(t)}
	n := harness.Sized(400, 10_000)
	mock, address := slowServer(t, d, n)
	sent, kills := 0, 0
	for sent < n {
		from := sent
		sender := startSender(t, address, mock.Token(), from, n)
		sent += sender.reported(d.upTo(40 * time.Millisecond))
		if sent < n {
			kills++
		}
	}
	mock.FailRate(0, 0)
	requests := len(mock.Requests())
	if err := mock.WaitForDeliveries(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	s := checkAttempts(t, mock, n, 0, 0)
	t.Logf("%d events, %d senders killed, %.1f requests an event; %s", n, kills, float64(requests)/float64(n), s)
	if kills == 0 {
		t.Error("no sender was killed; the test wants some")
	}
}

// slowServer is a server behind a socket whose handlers take some time, so that a client that goes
// away leaves some of them half done. A hundred seconds of its clock are one of this machine's.
func slowServer(t *testing.T, d *dice, n int) (mock *svixmock.Server, address string) {
	t.Helper()
	mock = svixmock.New(svixmock.Config{
		RetrySchedule: []time.Duration{}, KeepRequests: 100 * n,
		KeepDeliveries: 100 * n,
	})
	srv := httptest.NewServer(mock)
	t.Cleanup(srv.Close)
	t.Cleanup(mock.Close)
	hasten(mock)
	mock.Handle(harness.HookURL, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	setup := harness.NewClient(t, mock.RoundTripper(), mock.Token())
	harness.CreateEventTypes(t, setup)
	if err := setup.CreateEndpoint(t.Context(), harness.KnownEndpoint(), ""); err != nil {
		t.Fatal(err)
	}
	mock.FailRate(0.5, uint64(d.upTo(time.Hour)), //nolint:gosec // never negative
		svixmock.Fault{Delay: 5 * time.Millisecond, Only: createsMessage})
	return mock, srv.URL
}

// A sender is a process that sends events in their order and reports each that is sent.
type sender struct {
	*exec.Cmd

	out io.Reader
}

func startSender(t *testing.T, address, token string, from, to int) *sender {
	t.Helper()
	args := []string{address, token, strconv.Itoa(from), strconv.Itoa(to)}
	s := &sender{Cmd: exec.CommandContext(t.Context(), os.Args[0], args...)} //nolint:gosec // this test binary
	s.Env = append(os.Environ(), senderProcess+"=1")
	s.Stderr = os.Stderr
	var err error
	if s.out, err = s.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// reported is how many events the sender has reported when it ends. It is killed some time after
// the first, if it still lives.
func (s *sender) reported(life time.Duration) int {
	n := 0
	for lines := bufio.NewScanner(s.out); lines.Scan(); {
		if n++; n == 1 {
			time.AfterFunc(life, func() { _ = s.Process.Kill() })
		}
	}
	_ = s.Wait() // it was killed, or not
	return n
}

// runSender is the sender's main function.
func runSender(args []string) error {
	from, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	to, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	client, err := webhooks.NewClient(webhooks.WithConfig(webhooks.Config{}),
		webhooks.WithServerURL(args[0]), webhooks.WithAuthToken(args[1]))
	if err != nil {
		return err
	}
	events := func(yield func(webhooks.Event) bool) {
		for i := from; i < to; i++ {
			if !yield(harness.NumberedEvent(i, true)) {
				return
			}
		}
	}
	for result := range client.SendEvents(context.Background(), events, 16) {
		if result.Err != nil {
			return result.Err
		}
		fmt.Println(result.Message.ID)
	}
	return nil
}

// TestProxyThatRestarts breaks all connections of a proxy in front of the server in the middle of
// sends.
func TestProxyThatRestarts(t *testing.T) {
	t.Parallel()
	d := &dice{rand: chance(t)}
	n := harness.Sized(300, 3_000)
	mock, address := slowServer(t, d, n)
	proxy := newProxy(t, address)
	transport := webhooks.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	client, err := webhooks.NewClient(webhooks.WithConfig(webhooks.Config{}),
		webhooks.WithServerURL("http://"+proxy.Addr().String()), webhooks.WithAuthToken(mock.Token()),
		webhooks.WithHTTPClient(&http.Client{Transport: transport}),
		webhooks.WithRetry(webhooks.RetryPolicy{
			MaxAttempts: 10, MinBackoff: 10 * time.Millisecond,
			MaxBackoff: 100 * time.Millisecond,
		}))
	if err != nil {
		t.Fatal(err)
	}
	failed, results := 0, 0
	for result := range client.SendEvents(t.Context(), harness.NumberedEvents(n, true), 16) {
		if results++; results%100 == 50 {
			proxy.restart()
		}
		if result.Err != nil {
			failed++
			t.Errorf("event %s: %v", result.Event.ID, result.Err)
		}
	}
	if err := mock.WaitForDeliveries(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d events, %d failed; %s", n, failed, checkAttempts(t, mock, n, 0, 0))
}

// A proxy passes connections on to a server.
type proxy struct {
	net.Listener

	target string
	mu     sync.Mutex
	open   []net.Conn
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing to wait for
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: listener, target: target[len("http://"):]}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := p.Accept()
			if err != nil {
				return
			}
			running.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = p.Close()
		p.restart()
		running.Wait()
	})
	return p
}

func (p *proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", p.target) //nolint:noctx // it is on this machine
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.open = append(p.open, client, server)
	p.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_, _ = way[0].Close(), way[1].Close()
		})
	}
	both.Wait()
}

// restart closes all connections.
func (p *proxy) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.open {
		_ = conn.Close()
	}
	p.open = nil
}
