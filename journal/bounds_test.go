package journal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/journaltest"
	"github.com/softwareheritage/webhooks/internal/svixmock"
	"github.com/softwareheritage/webhooks/journal"
)

// TestLargeRecordsAreSentOrDeadLetters has one whose metadata is large, which is sent, and one
// whose origin is, which no event can hold.
func TestLargeRecordsAreSentOrDeadLetters(t *testing.T) {
	t.Parallel()
	size := harness.Sized(12<<20, 100<<20) - 1<<10
	broker, server := journaltest.NewBroker(t, 1,
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": "209715200"})), newSvix(t)
	onlyFake(t, broker) // a real one is set up for smaller ones
	metadata := msgp.AppendMapHeader(nil, 2)
	metadata = msgp.AppendString(msgp.AppendString(metadata, "url"), originURL(0))
	metadata = msgp.AppendBytes(msgp.AppendString(metadata, "metadata"), make([]byte, size))
	large := []*kgo.Record{
		{Topic: broker.Topic("origin"), Value: metadata},
		{
			Topic: broker.Topic("origin"),
			Value: journaltest.Origin("https://git.example.org/" + strings.Repeat("a", size)),
		},
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addresses...), kgo.BrokerMaxWriteBytes(200<<20),
		kgo.ProducerBatchMaxBytes(150<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, r := range large {
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	want := append(origins(t, broker, 0, 1, 10), idOf(t, large[0]))
	cfg := config(broker)
	cfg.DeadLetter.File = filepath.Join(t.TempDir(), "dead.ndjson")
	if _, err := run(t, cfg, server.client(t)); err != nil {
		t.Fatal(err)
	}
	checkStored(t, server, want)
	for l, err := range journal.ReadDeadLetterFile(cfg.DeadLetter.File) {
		if err != nil || l.Class != journal.ClassRefused || len(l.Value) < size {
			t.Errorf("a dead letter of %d bytes, class %s, error %v", len(l.Value), l.Class, err)
		}
	}
}

func idOf(t *testing.T, r *kgo.Record) string {
	t.Helper()
	ev, err := journal.Decode(journal.Record{Topic: r.Topic, Value: r.Value}, journal.DecodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ev.ID
}

// TestMemoryDoesNotGrowWithTheBacklog runs a feed against a slow server.
func TestMemoryDoesNotGrowWithTheBacklog(t *testing.T) {
	t.Parallel()
	if harness.UnderRace() {
		t.Skip("the race detector takes memory, too")
	}
	const most = 128 << 20
	broker, server := journaltest.NewBroker(t, partitions), newSvix(t)
	server.FailRate(1, 1, svixmock.Fault{Delay: 300 * time.Millisecond}) // 64 at once: about 200 a second
	backlog := harness.Sized(50_000, 5_000_000)
	for next := 0; next < backlog; next += 50_000 {
		var records []*kgo.Record
		for i := range 50_000 {
			records = append(records, &kgo.Record{
				Topic: broker.Topic("origin_visit_status"), Partition: int32(i % partitions),
				Value: journaltest.Status(originURL(next+i), 1, uint32(i), "full"),
			})
		}
		broker.Produce(t, records...)
	}
	cfg := config(broker)
	cfg.StopAtEnd = false
	p := start(
		t,
		feedJob{
			Config:     cfg,
			URL:        server.URL,
			Token:      server.Token(),
			MaxBackoff: time.Second,
			Timeout:    10 * time.Second,
		},
	)
	began := time.Now()
	pauseFor := time.Duration(harness.Sized(3, 60)) * time.Second
	time.Sleep(pauseFor)
	peak := residentPeak(t, p.cmd.Process.Pid)
	sent := len(server.eventIDs())
	stopping := time.Now()
	p.terminate(t)
	t.Logf(
		"backlog of %d: %d sent in %v, %d MiB resident at most, ended after %v",
		backlog,
		sent,
		time.Since(began).Round(time.Second),
		peak>>20,
		time.Since(stopping),
	)
	if peak > most {
		t.Errorf("%d MiB resident, want at most %d", peak>>20, most>>20)
	}
	if sent == 0 {
		t.Error("nothing was sent")
	}
}

// residentPeak returns the most memory that a process has had, in bytes.
func residentPeak(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("this system does not tell: %v", err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ := strings.Cut(after, "\n")
	kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(line, "kB")))
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
