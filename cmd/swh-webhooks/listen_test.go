package main_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
)

// TestListenForwardsEachEventOnce, in order, though the receiver is away for a while and the server
// refuses some requests.
func TestListenForwardsEachEventOnce(t *testing.T) {
	t.Parallel()
	events := harness.Sized(200, 1000)
	server := newBatchServer(t)
	receiver := newLocalReceiver(t)
	receiver.start(t)
	secret := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" //nolint:gosec // of nobody
	receiver.secret = secret
	receiver.awayAfter = events / 3

	cmd := server.program(t.Context(), "listen", "a.b", "--forward-to", "http://"+receiver.address,
		"--after", "1h", "--secret", secret, "--limit", strconv.Itoa(events))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	refused := make(chan int)
	go func() { refused <- receiver.startWhenMissed(t, stdout) }()
	sent := server.command(t.Context(), "--concurrency", "1", writeBatch(t, events))
	if stderr, status := runToEnd(t, sent); status != 0 {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	if n := <-refused; n == 0 {
		t.Error("the receiver was never away")
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	receiver.check(t, events)
}

// TestListenSignsAlwaysWithTheSameSecret wants the secret that is printed to sign what arrives, and
// the command to end well when it is told to.
func TestListenSignsAlwaysWithTheSameSecret(t *testing.T) {
	t.Parallel()
	server := newBatchServer(t)
	receiver := newLocalReceiver(t)
	var secrets []string
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		cmd := server.program(ctx, "listen", "--forward-to", "http://"+receiver.address)
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, printedSecret(t, stdout))
		cancel()
		_, _ = io.Copy(io.Discard, stdout)
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 0 {
			t.Errorf("ended with %v", err)
		}
	}
	if secrets[0] != secrets[1] || strings.Contains(secrets[0], token) {
		t.Errorf("the secrets are %q", secrets)
	}
	body := []byte(`{}`)
	if _, err := webhooks.SignPayload(secrets[0], "msg_1", time.Now(), body); err != nil {
		t.Error(err)
	}
}

func printedSecret(t *testing.T, stdout io.Reader) string {
	t.Helper()
	var text []byte
	for buffer := make([]byte, 256); ; {
		n, err := stdout.Read(buffer)
		text = append(text, buffer[:n]...)
		if found := regexp.MustCompile(`whsec_\S+;`).Find(text); found != nil {
			return strings.TrimSuffix(string(found), ";")
		}
		if err != nil {
			t.Fatalf("no secret in %q", text)
		}
	}
}

// A localReceiver is a developer's program. It keeps its address when it is started again.
type localReceiver struct {
	address   string
	secret    string
	awayAfter int

	mu       sync.Mutex
	server   *http.Server
	received []string
	wrong    []string
}

func newLocalReceiver(t *testing.T) *localReceiver {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return &localReceiver{address: listener.Addr().String()}
}

func (r *localReceiver) start(t *testing.T) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", r.address)
	if err != nil {
		t.Error(err)
		return
	}
	server := &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	r.mu.Lock()
	r.server = server
	r.mu.Unlock()
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
}

func (r *localReceiver) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err == nil {
		_, err = webhooks.VerifyPayload(r.secret, req.Header, body)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || req.Header.Get("X-Swh-Event") != "a.b" {
		r.wrong = append(r.wrong, fmt.Sprint(err, req.Header))
	}
	r.received = append(r.received, string(body))
	if len(r.received) == r.awayAfter {
		go r.server.Shutdown(context.WithoutCancel(req.Context())) //nolint:errcheck // it ends
	}
}

// startWhenMissed starts the receiver when the program's output tells that nobody is there, and
// returns how often it told so.
func (r *localReceiver) startWhenMissed(t *testing.T, output io.Reader) (missed int) {
	t.Helper()
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if strings.Contains(lines.Text(), "connection refused; again in ") {
			if missed++; missed == 1 {
				r.start(t)
			}
		}
	}
	return missed
}

// check wants each event once, in the order in which they were sent.
func (r *localReceiver) check(t *testing.T, events int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.server.Close()
	if len(r.wrong) > 0 {
		t.Errorf("%d deliveries were wrong, such as %s", len(r.wrong), r.wrong[0])
	}
	if len(r.received) != events {
		t.Fatalf("%d deliveries, want %d", len(r.received), events)
	}
	for i, body := range r.received {
		if want := fmt.Sprintf(`{"n":%d,"origin_url":"https://example.org/%d"}`, i, i); body != want {
			t.Fatalf("delivery %d is %s, want %s", i, body, want)
		}
	}
}
