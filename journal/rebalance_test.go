package journal_test

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/journaltest"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// TestMembersJoinAndLeaveUnderLoad has one member that stays, dynamic ones that come and go, and a
// static one that is started again and again.
func TestMembersJoinAndLeaveUnderLoad(t *testing.T) {
	t.Parallel()
	broker, server := journaltest.NewBroker(t, partitions), newSvix(t)
	server.FailRate(1, 1, svixmock.Fault{Delay: 2 * time.Millisecond})
	cfg := config(broker)
	cfg.DrainTimeout = 2 * time.Second
	static := cfg
	static.Kafka.InstanceID = broker.Group + "-static"

	length := time.Duration(harness.Sized(3, 60)) * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	watched := watchOffsets(ctx, t, broker)
	stays := runBeside(t, cfg, server.client(t))
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() {
			for ctx.Err() == nil {
				wait := length/10 + time.Duration(rand.Int64N(int64(length/10))) //nolint:gosec // no secret

				r := runBeside(t, cfg, server.client(t)) //nolint:contextcheck // it has that of t
				pause(ctx, wait)
				r.stop(t)
			}
		})
	}
	others.Go(func() {
		for ctx.Err() == nil {
			r := runBeside(t, static, server.client(t)) //nolint:contextcheck // it has that of t
			pause(ctx, length/8)
			r.stop(t)
		}
	})
	var want []string
	for next := 0; ctx.Err() == nil; next += 60 {
		for partition := range int32(partitions) {
			want = append(want, origins(t, broker, partition, next+10*int(partition), next+10*int(partition)+10)...)
		}
		pause(ctx, 10*time.Millisecond)
	}
	others.Wait()
	watched()
	last := runBeside(t, static, server.client(t)) // or what the static member had would wait for it
	eventually(t, "all arrives", func() bool { return broker.Committed(t, broker.Group) == int64(len(want)) })
	last.stop(t)
	stays.stop(t)
	checkStored(t, server, want)
	if creates := server.creates.Load(); creates > int64(len(want))+int64(len(want))/20 {
		t.Errorf("%d requests for %d events", creates, len(want))
	}
	t.Logf(
		"%d records, %d rebalances seen by the one that stays, %d requests",
		len(want),
		stays.Stats().Rebalances,
		server.creates.Load(),
	)
}

// watchOffsets looks at the committed offsets again and again until ctx ends: they never go back.
// The function that it returns waits for that.
func watchOffsets(ctx context.Context, t *testing.T, broker *journaltest.Broker) (wait func()) {
	t.Helper()
	var watching sync.WaitGroup
	watching.Go(func() {
		before := map[journaltest.Partition]int64{}
		for ctx.Err() == nil {
			now := broker.Offsets(t, broker.Group) //nolint:contextcheck // it has that of t
			for p, offset := range now {
				if offset < before[p] {
					t.Errorf("%v: the committed offset went back from %d to %d", p, before[p], offset)
				}
			}
			maps.Copy(before, now)
			pause(ctx, 20*time.Millisecond)
		}
	})
	return watching.Wait
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func TestNewPartitionsAreReadFromTheirBeginning(t *testing.T) {
	t.Parallel()
	broker, server := journaltest.NewBroker(t, 1), newSvix(t)
	want := origins(t, broker, 0, 0, 10)
	cfg := config(broker)
	feed := runBeside(t, cfg, server.client(t))
	eventually(t, "the first partition is read", func() bool { return broker.Committed(t, broker.Group) == 10 })
	broker.AddPartitions(t, 3, broker.Topic("origin"))
	for partition := range int32(4) {
		want = append(want, origins(t, broker, partition, 10+10*int(partition), 20+10*int(partition))...)
	}
	eventually(t, "all arrives", func() bool { return broker.Committed(t, broker.Group) == 50 })
	feed.stop(t)
	checkStored(t, server, want)
}

func TestCountOfObjectsIsNotPassed(t *testing.T) {
	t.Parallel()
	broker, server := journaltest.NewBroker(t, 2), newSvix(t)
	load := broker.NewLoad(2000, 2)
	broker.Produce(t, load.Records...)
	cfg := config(broker)
	cfg.StopAtEnd = false
	cfg.DeadLetter.File = t.TempDir() + "/dead.ndjson"
	for i, n := range []int{1, 500, 499} {
		cfg.StopAfterObjects = n
		stats, err := run(t, cfg, server.client(t))
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for _, o := range stats.Topics {
			got += o.Sent + o.Dead
		}
		if got != n {
			t.Errorf("run %d: %d records, want %d", i, got, n)
		}
	}
	if got := server.creates.Load(); got > 1000 || got < 990 {
		t.Errorf("%d requests for 1000 records", got)
	}
}

func TestLatestBeginsWithWhatIsWrittenLater(t *testing.T) {
	t.Parallel()
	broker, server := journaltest.NewBroker(t, 1), newSvix(t)
	origins(t, broker, 0, 0, 10)
	cfg := config(broker)
	cfg.FromLatest = true
	if stats, err := run(t, cfg, server.client(t)); err != nil || len(stats.Topics) > 0 {
		t.Fatalf("%+v, %v", stats, err)
	}
	feed := runBeside(t, cfg, server.client(t))
	eventually(t, "it reads", func() bool { return len(feed.Stats().Partitions) == 2 })
	var want []string
	next := 10
	eventually(t, "later records arrive", func() bool {
		want = append(want, origins(t, broker, 0, next, next+1)...)
		next++
		return len(server.eventIDs()) > 0
	})
	eventually(t, "all of them", func() bool { return broker.Committed(t, broker.Group) == int64(next) })
	feed.stop(t)
	first := slices.Index(want, server.eventIDs()[0])
	if first < 0 {
		t.Fatal("an earlier record was sent")
	}
	checkStored(t, server, want[first:])
}
