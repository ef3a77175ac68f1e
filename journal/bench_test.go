package journal_test

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/journaltest"
	"github.com/softwareheritage/webhooks/journal"
)

// BenchmarkFeed compares the feed with plain SendEvents, in turns: the same events, 64 at once, on
// a server and a broker in processes of their own. It reports the median of the ratios of their
// throughput, and what the feed takes more of the CPU.
func BenchmarkFeed(b *testing.B) {
	events := harness.Sized(3_000, 50_000)
	rounds := harness.Sized(1, 5)
	url, token := harness.StartProcess(b)
	broker := journaltest.StartProcess(b, partitions)
	client, err := feedJob{URL: url, Token: token}.client()
	if err != nil {
		b.Fatal(err)
	}
	harness.CreateEventTypes(b, client)
	var ratios, cpu []float64
	for b.Loop() {
		for range rounds {
			load := produceLoad(b, broker, events)
			plain := measure(events, func() { sendPlain(b, client, load) })
			feed := measure(events, func() { runFeed(b, broker, client) })
			b.Logf(
				"feed %.0f/s, %.1f µs CPU; SendEvents %.0f/s, %.1f µs CPU",
				feed.rate,
				feed.cpu,
				plain.rate,
				plain.cpu,
			)
			ratios = append(ratios, feed.rate/plain.rate)
			cpu = append(cpu, feed.cpu-plain.cpu)
		}
	}
	slices.Sort(ratios)
	slices.Sort(cpu)
	b.ReportMetric(ratios[len(ratios)/2], "of-SendEvents")
	b.ReportMetric(cpu[len(cpu)/2], "µs-CPU-more/event")
}

// A measurement is what events took.
type measurement struct{ rate, cpu float64 } // events a second, microseconds of CPU for each

func measure(events int, do func()) measurement {
	began, used := time.Now(), cpuTime()
	do()
	return measurement{
		rate: float64(events) / time.Since(began).Seconds(),
		cpu:  float64((cpuTime() - used).Microseconds()) / float64(events),
	}
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// produceLoad writes events to new topics, and returns them.
func produceLoad(b *testing.B, broker *journaltest.Broker, events int) []webhooks.Event {
	b.Helper()
	broker.Renew(b, partitions)
	records := make([]*kgo.Record, events)
	sent := make([]webhooks.Event, events)
	for i := range events {
		r := &kgo.Record{
			Topic: broker.Topic("origin_visit_status"), Partition: int32(i % partitions),
			Value: journaltest.Status(originURL(i), 1, 1, "full"),
		}
		ev, err := journal.Decode(
			journal.Record{Topic: r.Topic, Value: r.Value},
			journal.DecodeOptions{Namespace: "plain " + broker.Prefix},
		)
		if err != nil {
			b.Fatal(err)
		}
		records[i], sent[i] = r, ev
	}
	broker.Produce(b, records...)
	return sent
}

func runFeed(b *testing.B, broker *journaltest.Broker, client *webhooks.Client) {
	b.Helper()
	feed, err := journal.New(
		journal.Config{Brokers: broker.Addresses, GroupID: broker.Group, Prefix: broker.Prefix, StopAtEnd: true},
		client,
	)
	if err != nil {
		b.Fatal(err)
	}
	if err := feed.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func sendPlain(b *testing.B, client *webhooks.Client, events []webhooks.Event) {
	b.Helper()
	for result := range client.SendEvents(b.Context(), slices.Values(events), 64) {
		if result.Err != nil {
			b.Fatal(result.Err)
		}
	}
}
