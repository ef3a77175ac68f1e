// Package journaltest gives tests of the journal feed a Kafka cluster and records for it: one in
// the process or, if the environment variable KAFKA_BROKERS names brokers, that one.
package journaltest

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/ksuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// BrokersVariable is the environment variable that names the brokers to test on, separated by
// commas.
const BrokersVariable = "KAFKA_BROKERS"

// A Broker is a Kafka cluster of a test, with topics of its own.
type Broker struct {
	Addresses []string
	Fake      *kfake.Cluster // nil: a real cluster
	Prefix    string         // of the topics, another one for each Broker
	Group     string
	Client    *kgo.Client

	admin *kadm.Client
}

// NewBroker returns a cluster with the topics of origins and visit statuses, empty and with that
// many partitions. It ends with the test. Options are for the cluster in the process only.
func NewBroker(tb testing.TB, partitions int32, opts ...kfake.Opt) *Broker {
	tb.Helper()
	b := &Broker{}
	if named := os.Getenv(BrokersVariable); named != "" {
		b.Addresses = strings.Split(named, ",")
	} else {
		b.Fake = Fake(tb, opts...)
		b.Addresses = b.Fake.ListenAddrs()
	}
	b.Renew(tb, partitions)
	return b
}

// Renew gives the broker another prefix and group, and topics under it.
func (b *Broker) Renew(tb testing.TB, partitions int32) {
	tb.Helper()
	unique := strings.ToLower(ksuid.New().String())
	b.Prefix, b.Group = "swh.test."+unique+".objects", "swh-test-"+unique
	b.connect(tb)
	b.CreateTopics(tb, partitions, b.Topic("origin"), b.Topic("origin_visit_status"))
}

// Fake returns a cluster in the process.
func Fake(tb testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	tb.Helper()
	cluster, err := kfake.NewCluster(append(options(), opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(cluster.Close)
	return cluster
}

// options are those of every cluster in the process.
func options() []kfake.Opt {
	return []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.GroupMinSessionTimeout(100 * time.Millisecond),
		kfake.GroupMaxSessionTimeout(30 * time.Minute), // as Kafka
	}
}

func (b *Broker) connect(tb testing.TB) {
	tb.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addresses...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedRecords(100_000), kgo.UnknownTopicRetries(100),
		kgo.MetadataMinAge(20*time.Millisecond), kgo.MetadataMaxAge(100*time.Millisecond))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(client.Close)
	b.Client, b.admin = client, kadm.NewClient(client)
}

// Topic returns the name of the topic of an object type.
func (b *Broker) Topic(object string) string { return b.Prefix + "." + object }

// CreateTopics creates topics, which on a real cluster are deleted after the test.
func (b *Broker) CreateTopics(tb testing.TB, partitions int32, topics ...string) {
	tb.Helper()
	created, err := b.admin.CreateTopics(tb.Context(), partitions, 1, nil, topics...)
	if err == nil {
		err = created.Error()
	}
	if err != nil {
		tb.Fatal(err)
	}
	if b.Fake == nil {
		tb.Cleanup(func() { _, _ = b.admin.DeleteTopics(context.Background(), topics...) })
	}
	for len(b.Ends(tb, topics...)) != int(partitions)*len(topics) { // a real one takes a moment
		time.Sleep(10 * time.Millisecond)
	}
}

// TryCreateTopic creates a topic and reports whether that worked: a real cluster takes a while to
// delete one of the same name.
func (b *Broker) TryCreateTopic(tb testing.TB, partitions int32, topic string) bool {
	tb.Helper()
	created, err := b.admin.CreateTopics(tb.Context(), partitions, 1, nil, topic)
	return err == nil && created.Error() == nil
}

// RestartVariable is the environment variable that names a command with which a real broker crashes
// and comes back.
const RestartVariable = "KAFKA_RESTART"

// Restart closes the cluster in the process and opens it again at the same address, with the
// options that it had, a DataDir among them. A real one it lets crash.
func (b *Broker) Restart(tb testing.TB, opts ...kfake.Opt) {
	tb.Helper()
	if b.Fake == nil {
		words := strings.Fields(os.Getenv(RestartVariable))
		command := exec.CommandContext(tb.Context(), words[0], words[1:]...) //nolint:gosec // of the operator
		if out, err := command.CombinedOutput(); err != nil {
			tb.Fatalf("%v\n%s", err, out)
		}
		return
	}
	var ports []int
	for _, address := range b.Addresses {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			tb.Fatal(err)
		}
		number, err := strconv.Atoi(port)
		if err != nil {
			tb.Fatal(err)
		}
		ports = append(ports, number)
	}
	b.Fake.Close()
	b.Fake = Fake(tb, append(opts, kfake.Ports(ports...))...)
}

// DeleteTopics deletes topics.
func (b *Broker) DeleteTopics(tb testing.TB, topics ...string) {
	tb.Helper()
	b.connect(tb) // a client that does not know them
	deleted, err := b.admin.DeleteTopics(tb.Context(), topics...)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// Produce writes records and waits until they are there.
func (b *Broker) Produce(tb testing.TB, records ...*kgo.Record) {
	tb.Helper()
	if err := b.Client.ProduceSync(tb.Context(), records...).FirstErr(); err != nil {
		tb.Fatal(err)
	}
}

// Committed returns the sum of the offsets that a group committed.
func (b *Broker) Committed(tb testing.TB, group string) int64 {
	tb.Helper()
	var sum int64
	for _, offset := range b.Offsets(tb, group) {
		sum += offset
	}
	return sum
}

// A Partition is one of a topic.
type Partition struct {
	Topic     string
	Partition int32
}

// Offsets returns the offsets that a group committed.
func (b *Broker) Offsets(tb testing.TB, group string) map[Partition]int64 {
	tb.Helper()
	fetched, err := b.admin.FetchOffsets(tb.Context(), group)
	if err != nil && !isNewGroup(err) {
		tb.Fatal(err)
	}
	offsets := map[Partition]int64{}
	fetched.Each(func(o kadm.OffsetResponse) { offsets[Partition{o.Topic, o.Partition}] = o.At })
	return offsets
}

// isNewGroup tells the errors of a group that never committed, and of a cluster that had no group
// yet.
func isNewGroup(err error) bool {
	return errors.Is(err, kerr.GroupIDNotFound) || errors.Is(err, kerr.CoordinatorNotAvailable) ||
		errors.Is(err, kerr.CoordinatorLoadInProgress) || errors.Is(err, kerr.NotCoordinator)
}

// Ends returns the ends of the partitions of topics.
func (b *Broker) Ends(tb testing.TB, topics ...string) map[Partition]int64 {
	tb.Helper()
	listed, err := b.admin.ListEndOffsets(tb.Context(), topics...)
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		tb.Fatal(err)
	}
	ends := map[Partition]int64{}
	listed.Each(func(o kadm.ListedOffset) {
		if o.Err == nil {
			ends[Partition{o.Topic, o.Partition}] = o.Offset
		}
	})
	return ends
}

// AddPartitions gives topics more partitions.
func (b *Broker) AddPartitions(tb testing.TB, n int, topics ...string) {
	tb.Helper()
	before := len(b.Ends(tb, topics...))
	added, err := b.admin.CreatePartitions(tb.Context(), n, topics...)
	if err == nil {
		err = added.Error()
	}
	if err != nil {
		tb.Fatal(err)
	}
	for len(b.Ends(tb, topics...)) != before+n*len(topics) {
		time.Sleep(10 * time.Millisecond)
	}
	b.connect(tb) // a client that knows them
}

// DeleteRecords deletes the records of a partition before an offset.
func (b *Broker) DeleteRecords(tb testing.TB, topic string, partition int32, before int64) {
	tb.Helper()
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: topic, Partition: partition, At: before})
	deleted, err := b.admin.DeleteRecords(tb.Context(), offsets)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		tb.Fatal(err)
	}
}
