package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// batchLines is how many events are sent in batches.
func batchLines() int { return harness.Sized(2000, 100_000) }

// TestBatchKilledAndMended kills a batch again and again, and answers of the server are lost
// besides. Repeated as it was, it sends every event exactly once and records every line that is
// none exactly once; corrected in the record, that is sent exactly once too.
func TestBatchKilledAndMended(t *testing.T) {
	t.Parallel()
	server := newBatchServer(t)
	file, bad := writeMixedBatch(t, batchLines(), 50)
	args := []string{"--concurrency", "64", file}

	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // any will do, but always the same
	for kill := range harness.Sized(4, 20) {
		left := batchLines() - len(bad) - len(server.mock.Messages())
		if left < 4 {
			t.Fatalf("all is sent after %d kills", kill)
		}
		cmd := server.commandUntil(t, server.count()+1+random.IntN(left/4), os.Kill, args...)
		if stderr, status := runToEnd(t, cmd); status != -1 {
			t.Fatalf("exit status %d: %s", status, stderr)
		}
		server.advance(time.Minute)
	}
	stderr, status := runToEnd(t, server.command(t.Context(), args...))
	if want := fmt.Sprintf("repeat: swh-webhooks event send-batch --concurrency=64 %s\n", file); status != 2 ||
		!strings.HasSuffix(stderr, want) {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	server.checkStored(t, batchLines(), func(n int) int { return sentIf(!bad[n]) })

	failed := failedFile(file)
	checkRecords(t, failed, bad)
	mend(t, failed)
	if stderr, status := runToEnd(t, server.command(t.Context(), failed)); status != 0 {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	server.checkStored(t, batchLines(), func(int) int { return 1 })
	if stderr, status := runToEnd(t, server.command(t.Context(), args...)); status != 2 {
		t.Fatalf("exit status %d: %s", status, stderr) // there the lines are as they were
	}
	server.checkStored(t, batchLines(), func(int) int { return 1 })
	checkRecords(t, failed, bad)
	server.checkDeliveries(t, batchLines())
}

// TestBatchOnAFullDisk lets the disk for the failed lines run full in the middle. Once there is
// room, the same command records every bad line exactly once, and sends every good one.
func TestBatchOnAFullDisk(t *testing.T) {
	t.Parallel()
	server := newBatchServer(t)
	file, bad := writeMixedBatch(t, batchLines(), 10)
	disk := newSmallDisk(t)
	failed := filepath.Join(disk.path, "failed.ndjson")
	args := []string{"--failed", failed, file}

	const (
		record = 100  // bytes, at least
		state  = 4096 // bytes, a page
	)
	times := harness.Sized(2, 5)
	room := int64(record * len(bad) / (times + 1))
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // any will do, but always the same
	for range times {
		cmd := disk.withRoom(t, server.command(t.Context(), args...),
			state+room/2+random.Int64N(room/2))
		stderr, status := runToEnd(t, cmd)
		if status != 1 || !strings.Contains(stderr, disk.full) {
			t.Fatalf("exit status %d: %s", status, stderr)
		}
		for number, text := range strings.Split(readFile(t, failed), "\n") {
			if text != "" && !json.Valid([]byte(text)) {
				t.Fatalf("line %d of the failed lines is no record: %s", number+1, text)
			}
		}
	}
	cmd := disk.withRoom(t, server.command(t.Context(), args...), 1<<30)
	if stderr, status := runToEnd(t, cmd); status != 2 {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	server.checkStored(t, batchLines(), func(n int) int { return sentIf(!bad[n]) })
	checkRecords(t, failed, bad)
}

// TestBatchInterrupted interrupts a batch, which lets what is on its way arrive and then says what
// to do; that goes on without sending anything again.
func TestBatchInterrupted(t *testing.T) {
	t.Parallel()
	server := newBatchServer(t)
	file := writeBatch(t, batchLines())
	first := server.commandUntil(t, batchLines()/3, os.Interrupt, "-o", "json", file)
	summary, stderr, status := runForSummary(t, first)
	want := "Error: Interrupted; to go on, repeat: swh-webhooks event send-batch --output=json " + file + "\n"
	if status != 130 || stderr != want {
		t.Errorf("exit status %d and %q, want %q", status, stderr, want)
	}
	if stored := len(server.mock.Messages()); summary.Sent != stored || stored == batchLines() ||
		summary.Complete {
		t.Errorf("the summary is %+v, the server has %d messages", summary, stored)
	}

	second, stderr, status := runForSummary(t, server.command(t.Context(), "-o", "json", file))
	if status != 0 || second.Skipped != summary.Sent || second.Repeated > 0 || !second.Complete ||
		second.Skipped+second.Sent != batchLines() {
		t.Errorf("exit status %d, summary %+v: %s", status, second, stderr)
	}
	server.checkDeliveries(t, batchLines())
	if left := globNames(t, filepath.Dir(file)); !slices.Equal(left, []string{"events.ndjson"}) {
		t.Errorf("there is %q", left)
	}
}

func TestBatchInterruptedWhileItsInputIsSilent(t *testing.T) {
	t.Parallel()
	server := newBatchServer(t)
	input, lines, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(input.Close(), lines.Close()) }()
	cmd := server.commandUntil(t, 2, os.Interrupt, "-o", "json", "-")
	cmd.Dir = t.TempDir()
	cmd.Stdin = input
	text := batchText(2)
	if _, err := io.WriteString(lines, text); err != nil { // and it does not end
		t.Fatal(err)
	}
	summary, stderr, status := runForSummary(t, cmd)
	want := "Error: Interrupted; to go on, repeat: swh-webhooks event send-batch --output=json -\n"
	if status != 130 || stderr != want || summary.Sent != 2 {
		t.Errorf("exit status %d, summary %+v and %q, want %q", status, summary, stderr, want)
	}
	server.checkDeliveries(t, 2)
}

func TestBatchIsSentByOneRunAtATime(t *testing.T) {
	t.Parallel()
	server := newBatchServer(t)
	file := writeBatch(t, 10)
	hold := make(chan struct{})
	server.mock.FailNext(1, svixmock.Fault{Hang: true, Only: func(r *http.Request) bool {
		if isMessage(r) {
			close(hold)
		}
		return isMessage(r)
	}})
	ctx, cancel := context.WithCancel(t.Context())
	first := server.command(ctx, file)
	first.Cancel = func() error { return first.Process.Signal(os.Kill) }
	done := make(chan struct{})
	go func() { defer close(done); _ = first.Run() }()
	defer func() { cancel(); <-done }()
	<-hold

	for name, args := range map[string][]string{
		"the same command":                 {file},
		"other failed lines":               {file, "--failed", filepath.Join(t.TempDir(), "f.ndjson")},
		"the lines that fail in the other": {failedFile(file)},
	} {
		stderr, status := runToEnd(t, server.command(t.Context(), args...))
		if status != 1 || !strings.Contains(stderr, "another run is at work on it") {
			t.Errorf("%s: exit status %d: %s", name, status, stderr)
		}
	}
}

// TestBatchToAnotherServer wants a batch that was cut off on one server to be sent to another from
// its beginning.
func TestBatchToAnotherServer(t *testing.T) {
	t.Parallel()
	one, other := newBatchServer(t), newBatchServer(t)
	file := writeBatch(t, 500)
	if stderr, status := runToEnd(t, one.commandUntil(t, 250, os.Interrupt, file)); status != 130 {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	if stderr, status := runToEnd(t, other.command(t.Context(), file)); status != 0 {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	other.checkDeliveries(t, 500)
}

// TestBatchWhoseFileChanged wants no line to be passed over because of its number alone.
func TestBatchWhoseFileChanged(t *testing.T) {
	t.Parallel()
	server := newBatchServer(t)
	file := writeBatch(t, 500)
	if stderr, status := runToEnd(t, server.commandUntil(t, 250, os.Interrupt, file)); status != 130 {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	text := strings.Replace(batchText(501), `{"n": 0,`, `{"n": 500,`, 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if stderr, status := runToEnd(t, server.command(t.Context(), file)); status != 0 {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	server.checkStored(t, 501, func(n int) int { return 1 + sentIf(n == 500) })
}

// TestExitStatusOfASignal is that of a shell's convention, but for commands that are to run until
// they are told to end.
func TestExitStatusOfASignal(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args   string
		signal syscall.Signal
		status int
		stderr string
	}{
		"interrupted":            {"event-type list", syscall.SIGINT, 130, "Error: Interrupted\n"},
		"terminated":             {"event-type list", syscall.SIGTERM, 143, "Error: Interrupted\n"},
		"following, interrupted": {"event follow a.b", syscall.SIGINT, 0, ""},
		"following, terminated":  {"event follow", syscall.SIGTERM, 0, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newBatchServer(t)
			ctx, cancel := context.WithCancel(t.Context())
			t.Cleanup(cancel)
			hang := svixmock.Fault{Hang: true, Only: func(*http.Request) bool { cancel(); return true }}
			server.mock.FailNext(1, hang)
			cmd := server.program(ctx, strings.Fields(test.args)...)
			cmd.Cancel = func() error { return cmd.Process.Signal(test.signal) }
			stderr, status := runToEnd(t, cmd)
			if status != test.status || stderr != test.stderr {
				t.Errorf("exit status %d and %q, want %d and %q", status, stderr, test.status, test.stderr)
			}
		})
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
		!strings.Contains(stderr, "; to go on, repeat: swh-webhooks event send-batch --failed=") {
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
	want := regexp.MustCompile(`^\{"id":"batch-[0-9a-f]{32}","line":2,"error":"the line is longer ` +
		`than 1114112 bytes; the line is not repeated here, see the file that it comes from"}\n` +
		`\{"id":"batch-[0-9a-f]{32}","line":5,"error":"the line is longer .*"}\n$`)
	if failed := readFile(t, failedFile(path)); !want.MatchString(failed) {
		t.Errorf("failed lines:\n%swant:\n%s", failed, want)
	}
	server.checkDeliveries(t, 3)
}

// TestBatchMemory wants the memory of a batch not to grow with it.
func TestBatchMemory(t *testing.T) {
	t.Parallel()
	server := newBatchServer(t)
	cmd := server.command(t.Context(), writeBatch(t, batchLines()))
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

	ahead time.Duration // the server's clock
}

func newBatchServer(t *testing.T) *batchServer {
	t.Helper()
	s := &batchServer{
		mock:     svixmock.New(svixmock.Config{Token: token, RetrySchedule: []time.Duration{}}),
		received: map[int]int{},
	}
	handle(s.mock, "http://receiver.example", s.receive)
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

// advance moves the server's clock, so that it has no doubt what became of earlier requests.
func (s *batchServer) advance(by time.Duration) {
	s.ahead += by
	ahead := s.ahead
	s.mock.SetClock(func() time.Time { return time.Now().Add(ahead) })
}

// checkStored wants the server to have as many messages of each of n events as it should.
func (s *batchServer) checkStored(t *testing.T, n int, want func(n int) int) {
	t.Helper()
	stored := map[int]int{}
	for _, message := range s.mock.Messages() {
		var payload struct {
			N int `json:"n"`
		}
		if err := json.Unmarshal(message.Payload, &payload); err != nil {
			t.Fatal(err)
		}
		stored[payload.N]++
	}
	for i := range n {
		if stored[i] != want(i) {
			t.Errorf("event %d is stored %d times, want %d", i, stored[i], want(i))
		}
		delete(stored, i)
	}
	if len(stored) > 0 {
		t.Errorf("there are messages of other events: %v", stored)
	}
}

func sentIf(sent bool) int {
	if sent {
		return 1
	}
	return 0
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
	toldToEnd := errors.Is(err, context.Canceled) // and it ended well
	if exit := (*exec.ExitError)(nil); err != nil && !toldToEnd && !errors.As(err, &exit) {
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

// writeMixedBatch writes a batch of n events, of which some cannot be sent: the lines of those in
// turn are no event and hold a payload that is refused.
func writeMixedBatch(t *testing.T, n, every int) (path string, bad map[int]bool) {
	t.Helper()
	bad = map[int]bool{}
	lines := strings.SplitAfter(batchText(n), "\n")
	for i := every / 2; i < n; i += every {
		bad[i] = true
		if len(bad)%2 == 0 {
			lines[i] = strings.Replace(lines[i], `"payload": {`, `"Payload": {`, 1)
		} else {
			lines[i] = strings.Replace(lines[i], `"n": `, `"bad": true, "n": `, 1)
		}
	}
	path = filepath.Join(t.TempDir(), "events.ndjson")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, bad
}

func failedFile(path string) string {
	return strings.TrimSuffix(path, ".ndjson") + ".failed.ndjson"
}

// checkRecords wants a record of each bad line of writeMixedBatch, and one only.
func checkRecords(t *testing.T, path string, bad map[int]bool) {
	t.Helper()
	records := map[int]int{}
	for text := range strings.Lines(readFile(t, path)) {
		var record struct {
			Line int    `json:"line"`
			ID   string `json:"id"`
		}
		if err := json.Unmarshal([]byte(text), &record); err != nil || record.ID == "" {
			t.Fatalf("%v: %s", err, text)
		}
		records[record.Line-1]++
	}
	for i := range bad {
		if records[i] != 1 {
			t.Errorf("there are %d records of the event %d", records[i], i)
		}
	}
	if len(records) != len(bad) {
		t.Errorf("there are records of %d events, want %d", len(records), len(bad))
	}
}

// mend corrects the lines of writeMixedBatch in their records.
func mend(t *testing.T, path string) {
	t.Helper()
	text := strings.NewReplacer(`\"Payload\"`, `\"payload\"`, `"bad":true,`, ``).Replace(readFile(t, path))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func globNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names
}

// A batchSummary is what -o json prints.
type batchSummary struct {
	Skipped  int  `json:"skipped"`
	Sent     int  `json:"sent"`
	Repeated int  `json:"repeated"`
	Complete bool `json:"complete"`
}

func runForSummary(t *testing.T, cmd *exec.Cmd) (summary batchSummary, stderr string, status int) {
	t.Helper()
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	stderr, status = runToEnd(t, cmd)
	if err := json.Unmarshal(stdout.Bytes(), &summary); err != nil {
		t.Fatalf("%v: the summary is %s, the error %s", err, &stdout, stderr)
	}
	return summary, stderr, status
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
