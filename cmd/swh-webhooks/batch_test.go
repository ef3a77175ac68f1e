package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock"
)

var batchLines = flag.Int("batch-lines", 2000,
	"`number` of events that are sent in batches; the bar is 100000")

// TestBatchInterrupted ends a batch before its end, and answers of the server are lost besides.
// However it is gone on with, every event is delivered exactly once.
func TestBatchInterrupted(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		signal     os.Signal
		wantStatus int
		goOn       func(stderr string) []string // options of the second run
	}{
		"all again": {
			signal: os.Interrupt, wantStatus: 1,
			goOn: func(string) []string { return nil },
		},
		"from the line that the error names": {
			signal: os.Interrupt, wantStatus: 1,
			goOn: func(stderr string) []string {
				return []string{
					"--from-line",
					regexp.MustCompile(`--from-line (\d+)`).FindStringSubmatch(stderr)[1],
				}
			},
		},
		"killed": {
			signal: os.Kill, wantStatus: -1,
			goOn: func(string) []string { return nil },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newBatchServer(t)
			file := writeBatch(t, *batchLines)

			first := server.commandUntil(t, *batchLines/3, test.signal, "--concurrency", "64", file)
			stderr, status := runToEnd(t, first)
			if status != test.wantStatus {
				t.Fatalf("exit status %d, want %d: %s", status, test.wantStatus, stderr)
			}
			if sent := server.count(); sent == *batchLines {
				t.Fatal("the batch ended before it was interrupted")
			}

			second := server.command(t.Context(), append(test.goOn(stderr), file)...)
			if stderr, status := runToEnd(t, second); status != 0 {
				t.Fatalf("exit status %d: %s", status, stderr)
			}
			server.checkDeliveries(t, *batchLines)
		})
	}
}

func TestBatchInterruptMessage(t *testing.T) {
	t.Parallel()
	server := newBatchServer(t)
	input, lines, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(input.Close(), lines.Close()) }()
	cmd := server.commandUntil(t, 2, os.Interrupt, "-o", "json", "-")
	cmd.Stdin = input
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	if _, err := io.WriteString(lines,
		batchText(2)); err != nil { // and then the input is silent, but does not end
		t.Fatal(err)
	}
	stderr, status := runToEnd(t, cmd)
	if want := "Error: Interrupted; to go on: swh-webhooks event send-batch --from-line 3 -\n"; status != 1 || stderr != want {
		t.Errorf("exit status %d and %q, want 1 and %q", status, stderr, want)
	}
	var summary struct {
		Sent     int `json:"sent"`
		NextLine int `json:"next_line"`
	}
	if err := json.Unmarshal(stdout.Bytes(), &summary); err != nil || summary.Sent != 2 ||
		summary.NextLine != 3 {
		t.Errorf("summary %s (%v)", stdout.Bytes(), err)
	}
	server.checkDeliveries(t, 2)
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	server := newBatchServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	server.mock.FailNext(1, svixmock.Fault{
		Hang: true,
		Only: func(*http.Request) bool { cancel(); return true },
	})
	cmd := server.program(ctx, "event-type", "list")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if stderr, status := runToEnd(t, cmd); status != 1 || stderr != "Error: Interrupted\n" {
		t.Errorf("exit status %d: %s", status, stderr)
	}
}

// TestBatchServerGone wants a batch to end when nothing gets through any more.
func TestBatchServerGone(t *testing.T) {
	t.Parallel()
	server := newBatchServer(t)
	server.mock.FailRate(1, 1, svixmock.Fault{
		Status: http.StatusInternalServerError,
		Only:   isMessage,
	})
	dir := t.TempDir()
	failed := filepath.Join(dir, "failed.ndjson")
	cmd := server.command(t.Context(), "--failed", failed, writeBatch(t, 1000))
	stderr, status := runToEnd(t, cmd)
	if status != 1 || !strings.HasPrefix(stderr,
		"Error: 100 events in a row failed, the last one: Svix server answered 500") ||
		!strings.Contains(stderr, "--from-line 101 ") {
		t.Errorf("exit status %d: %s", status, stderr)
	}
	if got := strings.Count(readFile(t, failed), "\n"); got != 100 {
		t.Errorf("%d failed lines, want 100", got)
	}
}

// TestBatchLongLines sends the longest payload there can be, and lines that are too long for any.
func TestBatchLongLines(t *testing.T) {
	t.Parallel()
	server := newBatchServer(t)
	const around = len(`{"n":2,"text":""}`)
	longest := fmt.Sprintf(`{"type": "a.b", "payload": {"n":2,"text":"%s"}}`,
		strings.Repeat("x", 1<<20-around))
	tooLong := strings.Repeat("x", 1<<20+1<<17)
	path := filepath.Join(t.TempDir(), "events.ndjson")
	text := strings.Join([]string{longest, tooLong, strings.TrimSpace(batchText(2)), tooLong +
		tooLong + tooLong}, "\n")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	stderr, status := runToEnd(t, server.command(t.Context(), path))
	if status != 2 || !strings.HasPrefix(stderr,
		"Error: 2 of 5 events failed, such as: the line is longer than 1114112 bytes;") {
		t.Errorf("exit status %d: %s", status, stderr)
	}
	failed := readFile(t, strings.TrimSuffix(path, ".ndjson")+".failed.ndjson")
	if want := `{"line":2,"error":"the line is longer than 1114112 bytes"}` + "\n" +
		`{"line":5,"error":"the line is longer than 1114112 bytes"}` + "\n"; failed != want {
		t.Errorf("failed lines:\n%swant:\n%s", failed, want)
	}
	server.checkDeliveries(t, 3)
}

// TestBatchMemory wants the memory of a batch not to grow with it.
func TestBatchMemory(t *testing.T) {
	t.Parallel()
	server := newBatchServer(t)
	cmd := server.command(t.Context(), writeBatch(t, *batchLines))
	cmd.Env = append(cmd.Env, "GODEBUG=gctrace=1")
	stderr, status := runToEnd(t, cmd)
	if status != 0 {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	var live []int
	for _, match := range regexp.MustCompile(`->(\d+) MB, \d+ MB goal`).FindAllStringSubmatch(stderr, -1) {
		n, err := strconv.Atoi(match[1])
		if err != nil {
			t.Fatal(err)
		}
		live = append(live, n)
	}
	if len(live) == 0 {
		t.Fatal("no trace of the garbage collector")
	}
	const limit = 16 // MB
	for _, n := range live {
		if n > limit {
			t.Fatalf("live heap in MB after each collection, limit %d: %v", limit, live)
		}
	}
	t.Logf("live heap in MB after each collection: %v", live)
}

// A batchServer is a mock server with the event type a.b, and the receiver of its events.
type batchServer struct {
	mock *svixmock.Server
	url  string

	mu       sync.Mutex
	messages int
	awaited  int // the number of the message at which reached is called
	reached  func()
	received map[int]int // deliveries of each event
}

func newBatchServer(t *testing.T) *batchServer {
	t.Helper()
	s := &batchServer{
		mock:     svixmock.New(svixmock.Config{Token: token, RetrySchedule: []time.Duration{}}),
		received: map[int]int{},
	}
	s.mock.Handle("http://receiver.example", http.HandlerFunc(s.receive))
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(server.Close)
	t.Cleanup(s.mock.Close)
	s.url = server.URL
	prepareServer(t, s.url, "http://receiver.example/")
	s.mock.FailNext(3, svixmock.Fault{Reset: true, AfterActing: true, Only: isMessage})
	return s
}

func isMessage(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/msg")
}

func (s *batchServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mock.ServeHTTP(w, r)
	if !isMessage(r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.messages++; s.messages == s.awaited {
		s.reached()
	}
}

func (s *batchServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.messages
}

func (s *batchServer) receive(w http.ResponseWriter, r *http.Request) {
	var payload struct {
		N int `json:"n"`
	}
	if err := json.NewDecoder(r.Body).Decode(&payload); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received[payload.N]++
}

// checkDeliveries wants each of n events to be delivered exactly once.
func (s *batchServer) checkDeliveries(t *testing.T, n int) {
	t.Helper()
	if err := s.mock.WaitForDeliveries(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	s.mock.Close() // no more come
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range n {
		if s.received[i] != 1 {
			t.Errorf("event %d was delivered %d times", i, s.received[i])
		}
	}
	if len(s.received) != n {
		t.Errorf("%d events were delivered, want %d", len(s.received), n)
	}
}

// command returns "swh-webhooks event send-batch" with the arguments.
func (s *batchServer) command(ctx context.Context, args ...string) *exec.Cmd {
	return s.program(ctx, append([]string{"event", "send-batch"}, args...)...)
}

func (s *batchServer) program(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "swh-webhooks", args...) //nolint:gosec // this program
	cmd.Env = append(os.Environ(), "SVIX_URL="+s.url, "SVIX_TOKEN="+token, "SWH_CONFIG_FILENAME=")
	return cmd
}

// commandUntil is command, with a signal to the program once the server was sent n messages.
func (s *batchServer) commandUntil(t *testing.T, n int, signal os.Signal,
	args ...string,
) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awaited, s.reached = n, cancel
	cmd := s.command(ctx, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(signal) }
	return cmd
}

func runToEnd(t *testing.T, cmd *exec.Cmd) (stderr string, status int) {
	t.Helper()
	var text bytes.Buffer
	cmd.Stderr = &text
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return text.String(), cmd.ProcessState.ExitCode()
}

func writeBatch(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "events.ndjson")
	if err := os.WriteFile(path, []byte(batchText(n)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func batchText(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text,
			`{"type": "a.b", "payload": {"n": %d, "origin_url": "https://example.org/%d"}}`+"\n", i,
			i)
	}
	return text.String()
}
