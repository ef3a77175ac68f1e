package journal_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/svixmock"
	"github.com/softwareheritage/webhooks/journal"
)

// feedProcess is the environment variable under which a test binary runs the feed that it
// describes.
const feedProcess = "JOURNAL_TEST_FEED"

// A feedJob is what a process of its own does.
type feedJob struct {
	Config     journal.Config
	URL, Token string
	MaxBackoff time.Duration
	Timeout    time.Duration // of one send
}

func (j feedJob) client() (*webhooks.Client, error) {
	return webhooks.NewClient(
		webhooks.WithConfig(webhooks.Config{}), webhooks.WithServerURL(j.URL), webhooks.WithAuthToken(j.Token),
		webhooks.WithoutListenerCheck(),
		webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1, AttemptTimeout: j.Timeout}))
}

// runFeedProcess runs a feed until it ends, SIGTERM comes, or the test is gone.
func runFeedProcess(text string) int {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	fmt.Println("ready") // from here on SIGTERM is not the end at once
	stats, err := func() (journal.Stats, error) {
		var job feedJob
		encoded := base64.NewDecoder(base64.StdEncoding, strings.NewReader(text))
		if err := gob.NewDecoder(encoded).Decode(&job); err != nil { //nolint:gosec // of this test
			return journal.Stats{}, err
		}
		client, err := job.client()
		if err != nil {
			return journal.Stats{}, err
		}
		defer func() { _ = client.Drain(context.WithoutCancel(ctx)) }()
		log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
		if os.Getenv("JOURNAL_TEST_LOG") != "" {
			log = slog.New(slog.NewTextHandler(os.Stderr, nil))
		}
		feed, err := journal.New(job.Config, client, journal.WithLogger(log), //nolint:contextcheck // New needs none
			journal.WithBackoff(time.Millisecond, job.MaxBackoff))
		if err != nil {
			return journal.Stats{}, err
		}
		err = feed.Run(ctx)
		return feed.Stats(), err
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := gob.NewEncoder(os.Stdout).Encode(stats); err != nil {
		return 1
	}
	return 0
}

// A process is a feed in a process of its own.
type process struct {
	cmd    *exec.Cmd
	out    bytes.Buffer  // what follows "ready"
	ready  chan struct{} // closed when the process heeds SIGTERM
	exited chan struct{}
}

func start(t *testing.T, job feedJob) *process {
	t.Helper()
	var text bytes.Buffer
	if err := gob.NewEncoder(&text).Encode(job); err != nil {
		t.Fatal(err)
	}
	p := &process{ready: make(chan struct{}), exited: make(chan struct{})}
	p.cmd = exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this test
	p.cmd.Env = append(os.Environ(), feedProcess+"="+base64.StdEncoding.EncodeToString(text.Bytes()))
	p.cmd.Stderr = os.Stderr
	in, errIn := p.cmd.StdinPipe()
	out, errOut := p.cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err == nil {
			close(p.ready)
		}
		_, _ = p.out.ReadFrom(out)
		_ = p.cmd.Wait()
		_ = in.Close()
		close(p.exited)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends the process where it stands.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// terminate asks the process to end, which it has to do well.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	select {
	case <-p.ready:
	case <-p.exited:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	<-p.exited
	var stats journal.Stats
	if err := gob.NewDecoder(&p.out).
		Decode(&stats); err != nil || p.cmd.ProcessState.ExitCode() != 0 ||
		stats.InFlight > 0 {
		t.Fatalf("a feed ended with %v, statistics %+v", p.cmd.ProcessState, stats)
	}
}

// A svix is a mock server with a socket, which counts.
type svix struct {
	*svixmock.Server

	URL     string
	creates atomic.Int64 // requests that create a message
	all     atomic.Int64 // requests
}

// newSvix returns a server on which the archive's event types are registered.
func newSvix(t *testing.T) *svix {
	t.Helper()
	s := &svix{Server: harness.NewMock(t, svixmock.Config{})}
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.all.Add(1)
		if r.Method == http.MethodPost {
			s.creates.Add(1)
		}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		s.Close() // first: it lets hanging requests go, for which the listener waits
		listener.Close()
	})
	s.URL = listener.URL
	harness.CreateEventTypes(t, s.client(t))
	s.creates.Store(0)
	return s
}

// client returns a client as a feed needs it.
func (s *svix) client(t *testing.T) *webhooks.Client {
	t.Helper()
	client, err := feedJob{URL: s.URL, Token: s.Token(), Timeout: time.Second}.client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Drain(context.Background()) })
	return client
}

// eventIDs are the ids of the events that are stored, in the order of their storage.
func (s *svix) eventIDs() []string {
	var ids []string
	for _, m := range s.Messages() {
		ids = append(ids, m.EventID)
	}
	return ids
}
