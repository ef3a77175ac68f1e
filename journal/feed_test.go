package journal_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/journaltest"
	"github.com/softwareheritage/webhooks/journal"
	"github.com/softwareheritage/webhooks/webhookstest"
)

// newServer returns a mock server on which the archive's event types are registered, and a client as a
// feed needs it.
func newServer(t *testing.T) (*webhookstest.Server, *webhooks.Client) {
	t.Helper()
	server := webhookstest.NewServer(t)
	c := server.Client(webhooks.WithoutListenerCheck(), webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1}))
	for _, et := range webhooks.DefaultEventTypes() {
		if err := c.CreateEventType(t.Context(), et); err != nil {
			t.Fatal(err)
		}
	}
	return server, c
}

// config returns one for the topics of a broker, that ends with them.
func config(b *journaltest.Broker) journal.Config {
	return journal.Config{
		Brokers: b.Addresses, GroupID: b.Group, Prefix: b.Prefix, StopAtEnd: true,
		CommitInterval: 50 * time.Millisecond,
		Kafka:          journal.KafkaConfig{FetchMaxWait: 100 * time.Millisecond},
	}
}

// run runs a feed until it ends.
func run(t *testing.T, cfg journal.Config, to journal.Sender, opts ...journal.Option) (journal.Stats, error) {
	t.Helper()
	feed, err := journal.New(cfg, to, append([]journal.Option{
		journal.WithBackoff(time.Millisecond, 50*time.Millisecond), journal.WithLogger(logger(t)),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = feed.Run(ctx)
	if ctx.Err() != nil {
		t.Errorf("the feed did not end by itself: %+v", feed.Stats())
	}
	return feed.Stats(), err
}

func TestSamplesArriveOnce(t *testing.T) {
	t.Parallel()
	broker := journaltest.NewBroker(t, partitions)
	server, client := newServer(t)
	want := map[string]bool{}
	for i, s := range samples(t) {
		if s.Topic != "swh.journal.objects.origin" && s.Topic != "swh.journal.objects.origin_visit_status" {
			continue
		}
		broker.Produce(t, &kgo.Record{Topic: broker.Topic(objectOf(s.Topic)), Partition: int32(i % partitions), Key: s.Key, Value: s.Value})
		if s.Want == "send" {
			want[s.EventID] = true
		}
	}
	cfg := config(broker)
	cfg.Namespace = sampleNamespace
	cfg.DeadLetter.File = t.TempDir() + "/dead.ndjson"
	stats, err := run(t, cfg, client)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, m := range server.Messages() {
		got[m.EventID]++
	}
	for id := range want {
		if got[id] != 1 {
			t.Errorf("event %s: %d messages", id, got[id])
		}
		delete(got, id)
	}
	if len(got) > 0 {
		t.Errorf("messages that no sample stands for: %v", got)
	}
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
	var committed int64
	for p, end := range broker.Ends(t, broker.Topic("origin"), broker.Topic("origin_visit_status")) {
		if at := broker.Offsets(t, cfg.GroupID)[p]; at != end {
			t.Errorf("%v: committed %d of %d", p, at, end)
		}
		committed += end
	}
	if len(stats.Partitions) != 0 && stats.InFlight != 0 {
		t.Errorf("held at the end: %+v", stats)
	}
}
