package journal_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/journaltest"
	"github.com/softwareheritage/webhooks/internal/svixmock"
	"github.com/softwareheritage/webhooks/journal"
)

// onlyFake skips a test that needs what only the broker in the process can do.
func onlyFake(t *testing.T, b *journaltest.Broker) {
	t.Helper()
	if b.Fake == nil {
		t.Skip("only the broker in this process can do that")
	}
}

// write writes records to all partitions until ctx ends and returns the ids of their events.
func write(ctx context.Context, t *testing.T, b *journaltest.Broker, from int) []string {
	t.Helper()
	var want []string
	for next := from; ctx.Err() == nil; next += 10 * partitions {
		for partition := range int32(partitions) {
			from := next + 10*int(partition)
			written := origins(t, b, partition, from, from+10) //nolint:contextcheck // it has that of t
			want = append(want, written...)
		}
		pause(ctx, 10*time.Millisecond)
	}
	return want
}

func TestLeadersAndCoordinatorsMoveUnderLoad(t *testing.T) {
	t.Parallel()
	// This broker calls records lost that were written under an epoch after which nothing was
	// written.
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.OffsetForLeaderEpoch), -1)
	broker, server := journaltest.NewBroker(t, partitions, kfake.NumBrokers(3), kfake.MaxVersions(versions)), newSvix(t)
	onlyFake(t, broker)
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(harness.Sized(2, 30))*time.Second)
	defer cancel()
	watched := watchOffsets(ctx, t, broker)
	feed := runBeside(t, config(broker), server.client(t))
	moved := make(chan int)
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			broker.Fake.ShufflePartitionLeaders()
			if n%3 == 0 {
				broker.Fake.RehashCoordinators()
			}
			pause(ctx, 150*time.Millisecond)
		}
		moved <- n
	}()
	want := write(ctx, t, broker, 0)
	n := <-moved
	watched()
	eventually(t, "all arrives", func() bool { return broker.Committed(t, broker.Group) == int64(len(want)) })
	feed.stop(t)
	checkStored(t, server, want)
	t.Logf("%d records, %d times all leaders moved, %d requests", len(want), n, server.creates.Load())
}

func TestCommitsThatFailOrAreLateAreRepeated(t *testing.T) {
	t.Parallel()
	broker, server := journaltest.NewBroker(t, partitions), newSvix(t)
	onlyFake(t, broker)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	commits := 0
	broker.Fake.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		broker.Fake.KeepControl()
		commits++
		request, ok := r.(*kmsg.OffsetCommitRequest)
		if over := ctx.Err() != nil; over || !ok || commits%3 == 0 {
			return nil, nil, false //nolint:nilerr // the broker answers itself
		}
		answer := request.ResponseKind().(*kmsg.OffsetCommitResponse) //nolint:forcetypeassert // its own
		for _, topic := range request.Topics {
			at := kmsg.NewOffsetCommitResponseTopic()
			at.Topic, at.TopicID = topic.Topic, topic.TopicID
			for _, partition := range topic.Partitions {
				number := kmsg.NewOffsetCommitResponseTopicPartition()
				number.Partition, number.ErrorCode = partition.Partition, kerr.RebalanceInProgress.Code
				at.Partitions = append(at.Partitions, number)
			}
			answer.Topics = append(answer.Topics, at)
		}
		return answer, nil, true
	})
	watched := watchOffsets(ctx, t, broker)
	feed := runBeside(t, config(broker), server.client(t))
	want := write(ctx, t, broker, 0)
	watched()
	eventually(t, "all is committed", func() bool { return broker.Committed(t, broker.Group) == int64(len(want)) })
	if stats := feed.Stats(); stats.CommitsFailed == 0 {
		t.Errorf("no commit failed: %+v", stats)
	}
	feed.stop(t)
	checkStored(t, server, want)
}

func TestBrokerIsStartedAgain(t *testing.T) {
	if onReal() && os.Getenv(journaltest.RestartVariable) == "" {
		t.Skip(journaltest.RestartVariable + " names no command")
	}
	if !onReal() {
		t.Parallel() // it is the others' broker, too
	}
	dir := t.TempDir()
	listen := []kfake.Opt{kfake.DataDir(dir), kfake.SyncWrites()}
	broker, server := journaltest.NewBroker(t, 2, listen...), newSvix(t)
	server.FailRate(1, 1, svixmock.Fault{Delay: 5 * time.Millisecond})
	want := origins(t, broker, 0, 0, 1000)
	want = append(want, origins(t, broker, 1, 1000, 2000)...)
	cfg := config(broker)
	cfg.Concurrency = 8
	cfg.Kafka.SessionTimeout = 3 * time.Second
	feed := runBeside(t, cfg, server.client(t))
	for _, records := range []int64{200, 600, 1200} {
		eventually(t, "some arrive", func() bool { return broker.Committed(t, broker.Group) >= records })
		broker.Restart(t, listen...)
	}
	eventually(t, "all arrives", func() bool { return broker.Committed(t, broker.Group) == 2000 })
	feed.stop(t)
	checkStored(t, server, want)
	t.Logf("%d requests for %d records", server.creates.Load(), len(want))
}

func TestFeedEndsWhileTheBrokerIsDown(t *testing.T) {
	t.Parallel()
	broker, server := journaltest.NewBroker(t, 2), newSvix(t)
	onlyFake(t, broker)
	cfg := config(broker)
	cfg.CommitInterval = time.Hour // so that there is something to commit at the end
	cfg.ShutdownTimeout = 5 * time.Second
	feed := runBeside(t, cfg, server.client(t))
	want := origins(t, broker, 0, 0, 100)
	eventually(t, "all arrives", func() bool { return len(server.eventIDs()) == len(want) })
	broker.Fake.Close()
	began := time.Now()
	feed.stop(t)
	if took := time.Since(began); took > 2*cfg.ShutdownTimeout {
		t.Errorf("it took %v to end", took)
	}
	checkStored(t, server, want)
}

func TestTopicIsDeletedAndCreatedAgain(t *testing.T) {
	t.Parallel()
	for name, byPosition := range map[string]bool{"ids of objects": false, "ids of positions": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broker, server := journaltest.NewBroker(t, 1), newSvix(t)
			topic := broker.Topic("origin")
			origins(t, broker, 0, 0, 100)
			cfg := config(broker)
			cfg.ByPosition = byPosition
			feed := runBeside(t, cfg, server.client(t))
			eventually(t, "the first arrive", func() bool { return broker.Committed(t, broker.Group) == 100 })
			broker.DeleteTopics(t, topic)
			eventually(t, "it can be created again", func() bool { return broker.TryCreateTopic(t, 1, topic) })
			origins(t, broker, 0, 90, 230) // 10 of them were there before
			<-feed.ended
			if !errors.Is(feed.err, journal.ErrStopped) || !strings.Contains(feed.err.Error(), topic+" was deleted") {
				t.Fatalf("got %v", feed.err)
			}
			if _, err := run(t, cfg, server.client(t)); err != nil {
				t.Fatal(err)
			}
			want := 230
			if byPosition {
				want = 240
			}
			if got := len(server.eventIDs()); got != want {
				t.Errorf("%d messages, want %d", got, want)
			}
			if at := broker.Offsets(t, broker.Group)[journaltest.Partition{Topic: topic}]; at != 140 {
				t.Errorf("committed %d of the new topic, want 140", at)
			}
		})
	}
}

func TestRecordsThatWereDeletedBeforeTheyWereReadAreTold(t *testing.T) {
	t.Parallel()
	broker, server := journaltest.NewBroker(t, 1), newSvix(t)
	all := origins(t, broker, 0, 0, 10)
	cfg := config(broker)
	if _, err := run(t, cfg, server.client(t)); err != nil {
		t.Fatal(err)
	}
	all = append(all, origins(t, broker, 0, 10, 100)...)
	broker.DeleteRecords(t, broker.Topic("origin"), 0, 50)
	cfg.FromLatest = true // which is for the first time only: what is there is not passed over
	stats, err := run(t, cfg, server.client(t))
	if err != nil {
		t.Fatal(err)
	}
	if stats.DataLoss != 1 {
		t.Errorf("data loss was noticed %d times, want once", stats.DataLoss)
	}
	checkStored(t, server, append(all[:10:10], all[50:]...))
}

func TestFeedEndsBehindControlRecords(t *testing.T) {
	t.Parallel()
	broker, server := journaltest.NewBroker(t, 1), newSvix(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addresses...), kgo.TransactionalID(broker.Group))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		r := &kgo.Record{
			Topic: broker.Topic("origin"),
			Value: journaltest.Origin(originURL(int(map[kgo.TransactionEndTry]int{kgo.TryAbort: 1}[end]))),
		}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := client.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := run(t, config(broker), server.client(t)); err != nil {
		t.Fatal(err)
	}
	if got := len(server.eventIDs()); got != 1 {
		t.Errorf("%d messages, want 1: the other was taken back", got)
	}
	if got := broker.Committed(t, broker.Group); got != 4 {
		t.Errorf("committed %d, want 4, control records included", got)
	}
	if _, err := run(t, config(broker), server.client(t)); err != nil { // nothing is left
		t.Fatal(err)
	}
}

func TestFeedReadsCompactedTopics(t *testing.T) {
	t.Parallel()
	broker, server := journaltest.NewBroker(t, 1), newSvix(t)
	onlyFake(t, broker)
	topic := broker.Topic("origin")
	broker.DeleteTopics(t, topic)
	compact := "compact"
	if err := broker.Fake.CreateTopic(
		topic,
		1,
		map[string]string{"cleanup.policy": compact, "min.cleanable.dirty.ratio": "0"},
	); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for i := range 20 {
			broker.Produce(t,
				&kgo.Record{Topic: topic, Key: []byte(originURL(i)), Value: journaltest.Origin(originURL(i))})
		}
	}
	broker.Fake.Compact()
	if _, err := run(t, config(broker), server.client(t)); err != nil {
		t.Fatal(err)
	}
	if got := len(server.eventIDs()); got != 20 {
		t.Errorf("%d messages, want 20", got)
	}
	if got := broker.Committed(t, broker.Group); got != 60 {
		t.Errorf("committed %d, want 60", got)
	}
}

func TestWhatIsWrongWithTheBrokersIsToldAtTheStart(t *testing.T) {
	t.Parallel()
	broker, server := journaltest.NewBroker(t, 1), newSvix(t)
	tests := map[string]struct {
		change func(*journal.Config)
		want   string
	}{
		"no such topic": {
			func(c *journal.Config) { c.Prefix = "no.such" },
			"topic no.such.origin: it does not exist",
		},
		"no topic for dead letters": {
			func(c *journal.Config) { c.DeadLetter.Topic = "no.such" },
			"topic no.such: it does not exist",
		},
		"no directory for them": {
			func(c *journal.Config) { c.DeadLetter.File = t.TempDir() + "/no/dead.ndjson" },
			"no such file or directory",
		},
		"a certificate that is not there": {
			func(c *journal.Config) { c.Kafka.Protocol, c.Kafka.CAFile = "ssl", "no.pem" },
			"ssl.ca.location: open no.pem",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(broker)
			tt.change(&cfg)
			_, err := run(t, cfg, server.client(t))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestBrokersThatDoNotAnswerAreTold(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing to wait for
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	server := newSvix(t)
	for name, tt := range map[string]struct{ broker, want string }{
		"down":   {"127.0.0.1:1", "connection refused"},
		"silent": {silent.Addr().String(), "no broker answered"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := journal.Config{Brokers: []string{tt.broker}, GroupID: "g"}
			_, err := run(t, cfg, server.client(t), journal.WithStartTimeout(200*time.Millisecond))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestPasswordThatKafkaRefusesIsTold(t *testing.T) {
	t.Parallel()
	if onReal() {
		t.Skip("only the broker in this process has a password")
	}
	fake := journaltest.Fake(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "webhooks", "right"))
	server := newSvix(t)
	cfg := journal.Config{
		Brokers: fake.ListenAddrs(),
		GroupID: "g",
		Kafka: journal.KafkaConfig{
			Protocol:      "sasl_plaintext",
			SASLMechanism: "SCRAM-SHA-512",
			Username:      "webhooks",
			Password:      "wrong",
		},
	}
	_, err := run(t, cfg, server.client(t))
	if err == nil || !strings.Contains(err.Error(), "are the user's name, the password and security.protocol right?") ||
		strings.Contains(err.Error(), "wrong") {
		t.Errorf("got %v", err)
	}
	cfg.Kafka.Password = "right"
	if _, err = run(t, cfg, server.client(t)); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("with the right password: %v", err)
	}
}

func TestASecondProcessWithTheSameStaticIdentityIsTold(t *testing.T) {
	t.Parallel()
	broker, server := journaltest.NewBroker(t, 1), newSvix(t)
	cfg := config(broker)
	cfg.Kafka.InstanceID = broker.Group + "-1"
	first := runBeside(t, cfg, server.client(t))
	eventually(t, "the first joins", func() bool { return len(first.Stats().Partitions) > 0 })
	second := runBeside(t, cfg, server.client(t))
	<-first.ended
	if !errors.Is(first.err, journal.ErrStopped) || !errors.Is(first.err, kerr.FencedInstanceID) {
		t.Errorf("got %v, want ErrStopped and FENCED_INSTANCE_ID", first.err)
	}
	first.err = nil
	second.stop(t)
}
