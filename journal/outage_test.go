package journal_test

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/journaltest"
	"github.com/softwareheritage/webhooks/internal/svixmock"
	"github.com/softwareheritage/webhooks/journal"
)

func TestOutagesMoveNothingAndCostLittle(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]svixmock.Fault{
		"frozen":           {Hang: true},
		"refuses":          {Status: http.StatusServiceUnavailable},
		"refuses token":    {Status: http.StatusUnauthorized, Body: `{"code":"authentication_failed"}`},
		"wrong address":    {Status: http.StatusNotFound, Body: "<html>"},
		"not its customer": {Status: http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testOutage(t, fault)
		})
	}
}

func testOutage(t *testing.T, fault svixmock.Fault) {
	t.Helper()
	broker, server := journaltest.NewBroker(t, 2), newSvix(t)
	before := origins(t, broker, 0, 0, 200)
	cfg := config(broker)
	cfg.DrainTimeout = time.Second
	cfg.DeadLetter.File = filepath.Join(t.TempDir(), "dead.ndjson")
	const least, most = 10 * time.Millisecond, 200 * time.Millisecond
	first := runBeside(t, cfg, server.client(t), journal.WithBackoff(least, most))
	eventually(t, "the first records arrive", func() bool { return broker.Committed(t, broker.Group) == 200 })

	server.FailRate(1, 1, fault)
	during := origins(t, broker, 1, 200, 2000)
	eventually(t, "the feed notices", func() bool { return first.Stats().GateClosed })
	time.Sleep(2 * most) // those that were on their way are over
	requests := server.all.Load()
	length := time.Duration(harness.Sized(1, 60)) * time.Second
	began := time.Now()
	time.Sleep(length / 2)
	second := runBeside(t, cfg, noPreflight{server.client(t)}, journal.WithBackoff(least, most))
	eventually(t, "another member joins",
		func() bool { return len(second.Stats().Partitions) > 0 && len(first.Stats().Partitions) > 0 })
	joined := time.Since(began) - length/2
	time.Sleep(max(length-time.Since(began), 0))
	took := time.Since(began)
	// Two members, each with one probe at a time; the second begins with as many as it may send at
	// once.
	if got, bound := server.all.Load()-requests, 2*int64(took/most)+64+20; got > bound {
		t.Errorf("%d requests in %v, want at most %d", got, took, bound)
	}
	if got := broker.Committed(t, broker.Group); got != 200 {
		t.Errorf("%d records are committed, want 200", got)
	}
	if stats := first.Stats(); stats.Topics[broker.Topic("origin")].Dead > 0 || stats.InFlight > 1024 {
		t.Errorf("in the outage: %+v", stats)
	}
	t.Logf("outage of %v: %d requests, another member joined after %v", took, server.all.Load()-requests, joined)

	server.FailRate(0, 1)
	eventually(t, "all arrives", func() bool { return broker.Committed(t, broker.Group) == 2000 })
	checkStored(t, server, slices.Concat(before, during))
}

// noPreflight lets a feed start while its server is down.
type noPreflight struct{ journal.Sender }

func (noPreflight) GetEventType(context.Context, string) (webhooks.EventType, error) {
	return webhooks.EventType{}, nil
}

// A poisoned sender always fails the events on some channels, as a server does that dies of them.
type poisoned struct {
	journal.Sender

	mu       sync.Mutex
	channels map[string]bool
	tries    atomic.Int64
}

func (p *poisoned) SendEvent(ctx context.Context, ev webhooks.Event) (webhooks.Message, error) {
	p.mu.Lock()
	poison := p.channels[ev.Channel]
	p.mu.Unlock()
	if poison {
		p.tries.Add(1)
		return webhooks.Message{}, &webhooks.APIError{Op: "message create", StatusCode: http.StatusInternalServerError}
	}
	return p.Sender.SendEvent(ctx, ev)
}

// TestRecordsThatAlwaysFailHoldUpTheirPartitionsOnly has such a record at the head of all
// partitions but one, and a window that one partition alone could fill.
func TestRecordsThatAlwaysFailHoldUpTheirPartitionsOnly(t *testing.T) {
	t.Parallel()
	const count, window = 8, 64
	broker, server := journaltest.NewBroker(t, count), newSvix(t)
	sender := &poisoned{Sender: server.client(t), channels: map[string]bool{}}
	cfg := config(broker)
	cfg.MaxInFlight = window
	cfg.DeadLetter.File = filepath.Join(t.TempDir(), "dead.ndjson")
	records := harness.Sized(2000, 1_000_000)
	var want []string
	next := 0
	for partition := range int32(count) {
		n := 300
		if partition == count-1 {
			n = records
		} else {
			sender.channels[originURL(next)] = true
			cfg.DeadLetter.Force = append(
				cfg.DeadLetter.Force,
				journal.Record{Topic: broker.Topic("origin"), Partition: partition}.Position(),
			)
		}
		ids := origins(t, broker, partition, next, next+n)
		if partition < count-1 {
			ids = ids[1:]
		}
		want = append(want, ids...)
		next += n
	}
	force := cfg.DeadLetter.Force
	cfg.DeadLetter.Force = nil

	feed := runBeside(t, cfg, sender)
	last := journaltest.Partition{Topic: broker.Topic("origin"), Partition: count - 1}
	eventually(t, "the one without such a record is done",
		func() bool { return broker.Offsets(t, broker.Group)[last] == int64(records) })
	if got := broker.Committed(t, broker.Group); got != int64(records) {
		t.Errorf("%d records are committed, want %d: those of that partition", got, records)
	}
	if stats := feed.Stats(); stats.InFlight > window {
		t.Errorf("%d records are held, want at most %d", stats.InFlight, window)
	}
	more := origins(t, broker, count-1, next, next+1000) // so that the others fail alone
	want = append(want, more...)
	eventually(t, "all are called stuck or wait", func() bool {
		return broker.Offsets(t, broker.Group)[last] == int64(records+1000)
	})
	feed.stop(t)

	cfg.DeadLetter.Force = force
	if _, err := run(t, cfg, sender); err != nil {
		t.Fatal(err)
	}
	checkStored(t, server, want)
	dead := 0
	for l, err := range journal.ReadDeadLetterFile(cfg.DeadLetter.File) {
		if err != nil || l.Class != journal.ClassForced || !slices.Contains(force, l.Position()) {
			t.Errorf("dead letter %s, class %s, error %v", l.Position(), l.Class, err)
		}
		dead++
	}
	if dead != len(force) {
		t.Errorf("%d dead letters, want %d", dead, len(force))
	}
}

// TestARecordThatFailsAloneIsStuckAndThenGoesOn has one partition wait for a record that the server
// takes in the end.
func TestARecordThatFailsAloneIsStuckAndThenGoesOn(t *testing.T) {
	t.Parallel()
	broker, server := journaltest.NewBroker(t, 2), newSvix(t)
	sender := &poisoned{Sender: server.client(t), channels: map[string]bool{originURL(0): true}}
	cfg := config(broker)
	cfg.MaxInFlight = 32
	want := origins(t, broker, 0, 0, 500)
	feed := runBeside(t, cfg, sender, journal.WithBackoff(time.Millisecond, 2*time.Millisecond))
	next := 500
	eventually(t, "it is called stuck", func() bool {
		want = append(want, origins(t, broker, 1, next, next+20)...)
		next += 20
		return feed.Stats().Stuck == 1
	})
	sender.mu.Lock()
	clear(sender.channels)
	sender.mu.Unlock()
	eventually(t, "all arrives", func() bool { return broker.Committed(t, broker.Group) == int64(next) })
	feed.stop(t)
	checkStored(t, server, want)
}
