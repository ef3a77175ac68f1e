package journal_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/journaltest"
	"github.com/softwareheritage/webhooks/journal"
)

// config returns one for the topics of a broker, that ends with them.
func config(b *journaltest.Broker) journal.Config {
	return journal.Config{
		Brokers:        b.Addresses,
		GroupID:        b.Group,
		Prefix:         b.Prefix,
		StopAtEnd:      true,
		CommitInterval: 50 * time.Millisecond,
		Kafka: journal.KafkaConfig{
			FetchMaxWait:      100 * time.Millisecond,
			HeartbeatInterval: 100 * time.Millisecond,
		},
	}
}

// newFeed returns a feed with short waits.
func newFeed(t *testing.T, cfg journal.Config, to journal.Sender, opts ...journal.Option) *journal.Feed {
	t.Helper()
	feed, err := journal.New(cfg, to, append([]journal.Option{
		journal.WithBackoff(time.Millisecond, 50*time.Millisecond), journal.WithLogger(logger(t)),
		journal.WithKafkaOptions(kgo.MetadataMinAge(50*time.Millisecond), kgo.MetadataMaxAge(200*time.Millisecond)),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return feed
}

// run runs a feed until it ends by itself.
func run(t *testing.T, cfg journal.Config, to journal.Sender, opts ...journal.Option) (journal.Stats, error) {
	t.Helper()
	feed := newFeed(t, cfg, to, opts...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := feed.Run(ctx)
	if ctx.Err() != nil {
		t.Errorf("the feed did not end by itself: %+v", feed.Stats())
	}
	return feed.Stats(), err
}

// A running is a feed that runs until it is stopped.
type running struct {
	*journal.Feed

	cancel context.CancelFunc
	err    error
	ended  chan struct{}
}

// runBeside runs a feed beside the test.
func runBeside(t *testing.T, cfg journal.Config, to journal.Sender, opts ...journal.Option) *running {
	t.Helper()
	cfg.StopAtEnd = false
	r := &running{Feed: newFeed(t, cfg, to, opts...), ended: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.ended)
		r.err = r.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-r.ended
	})
	return r
}

// stop ends the feed as a signal does.
func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	<-r.ended
	if r.err != nil {
		t.Error(r.err)
	}
}

// eventually waits for what comes without a word.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	patience := time.Duration(harness.Sized(30, 900)) * time.Second
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("in vain: " + what)
		}
	}
}

// origins writes records of origins to a partition and returns the ids of their events.
func origins(t *testing.T, b *journaltest.Broker, partition int32, from, to int) []string {
	t.Helper()
	var records []*kgo.Record
	var ids []string
	for i := from; i < to; i++ {
		r := &kgo.Record{Topic: b.Topic("origin"), Partition: partition, Value: journaltest.Origin(originURL(i))}
		ev, err := journal.Decode(journal.Record{Topic: r.Topic, Value: r.Value}, journal.DecodeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		records, ids = append(records, r), append(ids, ev.ID)
	}
	b.Produce(t, records...)
	return ids
}

func originURL(i int) string { return fmt.Sprintf("https://git.example.org/project/%d", i) }

// checkStored fails unless exactly the events with these ids are stored, each once.
func checkStored(t *testing.T, server interface{ eventIDs() []string }, want []string) {
	t.Helper()
	got := server.eventIDs()
	slices.Sort(got)
	want = slices.Clone(want)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d messages are stored, %d of them different, want %d", len(got), len(slices.Compact(got)), len(want))
	}
}

func TestSamplesArriveOnce(t *testing.T) {
	t.Parallel()
	broker := journaltest.NewBroker(t, partitions)
	server := newSvix(t)
	want := map[string]bool{}
	for i, s := range samples(t) {
		if s.Topic != "swh.journal.objects.origin" && s.Topic != "swh.journal.objects.origin_visit_status" {
			continue
		}
		broker.Produce(
			t,
			&kgo.Record{
				Topic:     broker.Topic(objectOf(s.Topic)),
				Partition: int32(i % partitions),
				Key:       s.Key,
				Value:     s.Value,
			},
		)
		if s.Want == "send" {
			want[s.EventID] = true
		}
	}
	cfg := config(broker)
	cfg.Namespace = sampleNamespace
	cfg.DeadLetter.File = t.TempDir() + "/dead.ndjson"
	stats, err := run(t, cfg, server.client(t))
	if err != nil {
		t.Fatal(err)
	}
	checkStored(t, server, slices.Collect(maps.Keys(want)))
	dead := 0
	for _, err := range journal.ReadDeadLetterFile(cfg.DeadLetter.File) {
		if err != nil {
			t.Fatal(err)
		}
		dead++
	}
	if dead != 32 {
		t.Errorf("%d dead letters, want 32", dead)
	}
	for p, end := range broker.Ends(t, broker.Topic("origin"), broker.Topic("origin_visit_status")) {
		if at := broker.Offsets(t, cfg.GroupID)[p]; at != end {
			t.Errorf("%v: committed %d of %d", p, at, end)
		}
	}
	if len(stats.Partitions) != 0 || stats.InFlight != 0 {
		t.Errorf("held at the end: %+v", stats)
	}
}
