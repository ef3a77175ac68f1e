package journal_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/journaltest"
	"github.com/softwareheritage/webhooks/internal/svixmock"
	"github.com/softwareheritage/webhooks/journal"
)

const partitions = 6 // of each topic

// A fleet is several processes that feed one server from one load.
type fleet struct {
	broker *journaltest.Broker
	server *svix
	load   journaltest.Load
	job    feedJob
	slots  []*process
	random *rand.Rand
}

// newFleet writes a load of that many records; no process runs yet. The seed of what is random is
// logged.
func newFleet(t *testing.T, records, processes int) *fleet {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	fl := &fleet{
		broker: journaltest.NewBroker(t, partitions),
		server: newSvix(t),
		slots:  make([]*process, processes),
		random: rand.New(rand.NewPCG(seed, seed)), //nolint:gosec // no secret
	}
	fl.load = fl.broker.NewLoad(records, partitions)
	fl.broker.Produce(t, fl.load.Records...)
	cfg := config(fl.broker)
	cfg.StopAtEnd = false
	cfg.CommitInterval = 20 * time.Millisecond
	cfg.DeadLetter.File = filepath.Join(t.TempDir(), "dead.ndjson")
	cfg.Kafka.SessionTimeout = 10 * time.Second
	cfg.Kafka.HeartbeatInterval = 200 * time.Millisecond
	fl.job = feedJob{
		Config:     cfg,
		URL:        fl.server.URL,
		Token:      fl.server.Token(),
		MaxBackoff: 20 * time.Millisecond,
		Timeout:    time.Second,
	}
	return fl
}

// start starts the process of a slot, which has an identity of its own.
func (fl *fleet) start(t *testing.T, slot int) {
	t.Helper()
	job := fl.job
	job.Config.Kafka.InstanceID = fmt.Sprintf("%s-%d", fl.broker.Group, slot)
	fl.slots[slot] = start(t, job)
}

// disturb runs all processes until everything is committed, and disturbs one that is drawn at that
// many points that are drawn, too.
func (fl *fleet) disturb(t *testing.T, points int, do func(slot int)) {
	t.Helper()
	for slot := range fl.slots {
		fl.start(t, slot)
	}
	total := int64(len(fl.load.Records))
	thresholds := make([]int64, points)
	for i := range thresholds {
		thresholds[i] = fl.random.Int64N(total * 9 / 10)
	}
	slices.Sort(thresholds)
	for _, threshold := range thresholds {
		fl.await(t, threshold)
		do(fl.random.IntN(len(fl.slots)))
	}
	fl.await(t, total)
}

// await waits until so many records are committed.
func (fl *fleet) await(t *testing.T, records int64) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for fl.broker.Committed(t, fl.broker.Group) < records {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d records are committed, waited for %d; %d messages",
				fl.broker.Committed(t, fl.broker.Group), len(fl.load.Records), records, len(fl.server.Messages()))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// check looks at what the server and the dead letters hold.
func (fl *fleet) check(t *testing.T) {
	t.Helper()
	wantEvents, wantDead := map[string]int{}, map[string]bool{}
	for _, r := range fl.load.Records {
		record := journal.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Value: r.Value}
		switch ev, err := journal.Decode(record, journal.DecodeOptions{}); {
		case err == nil:
			wantEvents[ev.ID] = 1
		case r.Value != nil:
			wantDead[record.Position()] = true
		}
	}
	got := map[string]int{}
	for _, id := range fl.server.eventIDs() {
		got[id]++
	}
	if !maps.Equal(got, wantEvents) {
		t.Errorf("%d messages of %d events, want %d once", len(fl.server.Messages()), len(got), len(wantEvents))
	}
	letters, dead := 0, map[string]bool{}
	for l, err := range journal.ReadDeadLetterFile(fl.job.Config.DeadLetter.File) {
		if err != nil {
			t.Logf("a line that a killed process did not finish: %v", err)
			continue
		}
		letters++
		dead[l.Position()] = true
	}
	if !maps.Equal(dead, wantDead) {
		t.Errorf("dead letters of %d records, want %d", len(dead), len(wantDead))
	}
	t.Logf("%d records, %d events, %d stored, %d creates, %d dead letters for %d broken records", len(fl.load.Records),
		len(wantEvents), len(got), fl.server.creates.Load(), letters, fl.load.Broken)
}

func TestKilledProcessesLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	fl := newFleet(t, harness.Sized(6_000, 100_000), 3)
	fl.disturb(t, harness.Sized(6, 20), func(slot int) {
		fl.slots[slot].kill()
		fl.start(t, slot)
	})
	fl.check(t)
}

func TestTerminatedProcessesSendNothingTwice(t *testing.T) {
	t.Parallel()
	fl := newFleet(t, harness.Sized(6_000, 100_000), 3)
	var longest time.Duration
	fl.disturb(t, harness.Sized(5, 20), func(slot int) {
		began := time.Now()
		fl.slots[slot].terminate(t)
		longest = max(longest, time.Since(began))
		fl.start(t, slot)
	})
	fl.check(t)
	if want := int64(len(fl.load.Records) - fl.load.Broken - fl.load.Nothings); fl.server.creates.Load() != want {
		t.Errorf("%d requests that create a message, want %d, one for each record", fl.server.creates.Load(), want)
	}
	t.Logf("longest end: %v", longest)
}

func TestFaultsAndKillsLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	fl := newFleet(t, harness.Sized(3_000, 30_000), 2)
	fl.job.Timeout = 200 * time.Millisecond // some requests hang
	fl.server.FailRate(0.3, fl.random.Uint64(), harness.EveryFault(20*time.Millisecond)...)
	fl.disturb(t, harness.Sized(3, 10), func(slot int) {
		fl.slots[slot].kill()
		fl.start(t, slot)
	})
	fl.check(t)
}

// TestKilledProcessesLeaveNoEventUndelivered has an endpoint that listens to everything. What a
// killed process was sending is stored and never queued, as on a real server: it is found and sent
// again, once it is 35 seconds old by the server's clock, which therefore runs fast here.
func TestKilledProcessesLeaveNoEventUndelivered(t *testing.T) {
	t.Parallel()
	fl := newFleet(t, harness.Sized(2_000, 20_000), 2)
	began := time.Now()
	fl.server.SetClock(func() time.Time { return began.Add(60 * time.Since(began)) })
	fl.server.FailRate(1, 1, svixmock.Fault{Delay: 20 * time.Millisecond, AfterActing: true}) // a kill finds something
	var mu sync.Mutex
	delivered := map[string]int{}
	receive := func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		delivered[r.Header.Get("Webhook-Id")]++
	}
	fl.server.Handle("http://receiver.example", http.HandlerFunc(receive))
	for _, et := range webhooks.DefaultEventTypes() {
		endpoint := webhooks.Endpoint{URL: "http://receiver.example/" + et.Name, EventType: et.Name}
		if err := fl.server.client(t).CreateEndpoint(t.Context(), endpoint, ""); err != nil {
			t.Fatal(err)
		}
	}
	fl.server.creates.Store(0)
	fl.disturb(t, harness.Sized(4, 20), func(slot int) {
		fl.slots[slot].kill()
		fl.start(t, slot)
	})
	fl.check(t)
	eventually(t, "all are delivered", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(delivered) == fl.load.Events
	})
	resent := 0
	for _, r := range fl.server.Requests() {
		if strings.Contains(r.Path, "/resend") {
			resent++
		}
	}
	t.Logf("%d messages delivered, of them %d were stored and not queued", len(delivered), resent)
	if resent == 0 {
		t.Error("no kill left a message that was stored and not queued: the test shows nothing")
	}
}
