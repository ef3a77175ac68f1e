package journal

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/foreign"
)

// DefaultPrefix is the prefix of the topics of the archive's journal.
const DefaultPrefix = "swh.journal.objects"

// Config says what a [Feed] reads, and how. [LoadConfig] reads it from a file; zero fields have the
// defaults that are named here.
type Config struct {
	// Brokers are addresses "host:port" of the Kafka cluster. At least one is required.
	Brokers []string
	// GroupID is the consumer group under which Kafka keeps how far the feed is. Required. Feeds
	// with one group share the work.
	GroupID string
	// Prefix of the topics' names. Empty: [DefaultPrefix].
	Prefix string
	// ObjectTypes are those whose topics are read: "origin", "origin_visit_status". Empty: both.
	ObjectTypes []string
	// FromLatest begins with what is written after the start if the group has no offset yet, so
	// that nothing older is sent. By default the feed begins with the oldest record.
	FromLatest bool
	// StopAtEnd ends the feed when it has dealt with what was there when it got its partitions.
	StopAtEnd bool
	// StopAfterObjects ends the feed after this many records, tombstones not counted. Zero: no
	// limit.
	StopAfterObjects int
	// CreateTopics creates missing topics, with the brokers' defaults.
	CreateTopics bool
	// BatchSize is how many records are taken from the Kafka client at once, at most. Zero: 200.
	BatchSize int
	// Kafka says how to reach the brokers.
	Kafka KafkaConfig

	// Namespace and ByPosition say how ids are made, see [DecodeOptions]. An empty Namespace is
	// Prefix.
	Namespace  string
	ByPosition bool
	// Concurrency is how many events are on their way to the server at once. Zero: 64.
	Concurrency int
	// MaxInFlight and MaxInFlightBytes bound the records that are held: those on their way, and
	// those that wait for an earlier one of their partition. Zero: 1024, and 64 MiB.
	MaxInFlight      int
	MaxInFlightBytes int
	// CommitInterval is the time between commits. Zero: 1 s.
	CommitInterval time.Duration
	// DrainTimeout is how long events on their way may take when another member of the group gets
	// their partition. Zero: 5 s. At most 20 s.
	DrainTimeout time.Duration
	// ShutdownTimeout is how long they may take when the feed ends. Zero: 20 s.
	ShutdownTimeout time.Duration
	// MaxDeadInARow ends the feed when so many records in a row of one event type are refused
	// although its schema in [webhooks.DefaultEventTypes] allows them: the registered one is wrong
	// then. Zero: 100.
	MaxDeadInARow int
	// DeadLetter says where records go that cannot be sent.
	DeadLetter DeadLetterConfig

	// Notices name what the file sets and what has no effect here.
	Notices []string
}

// KafkaConfig says how to reach the brokers. The names in brackets are those of librdkafka.
type KafkaConfig struct {
	Protocol      string          // [security.protocol] plaintext, ssl, sasl_plaintext, sasl_ssl; empty: plaintext
	SASLMechanism string          // [sasl.mechanism] PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
	Username      string          // [sasl.username]
	Password      webhooks.Secret // [sasl.password]

	CAFile          string // [ssl.ca.location] empty: the system's
	CertificateFile string // [ssl.certificate.location]
	KeyFile         string // [ssl.key.location]
	SkipVerify      bool   // [enable.ssl.certificate.verification], negated

	ClientID          string        // [client.id] empty: "swh-webhooks"
	InstanceID        string        // [group.instance.id] makes the member a static one
	SessionTimeout    time.Duration // [session.timeout.ms] zero: 45 s, of a static member 10 min
	HeartbeatInterval time.Duration // [heartbeat.interval.ms] zero: 3 s

	FetchMaxWait           time.Duration // [fetch.wait.max.ms] zero: 5 s
	FetchMaxBytes          int           // [fetch.max.bytes] of one answer of a broker, compressed; zero: 2 MiB
	FetchMaxPartitionBytes int           // [max.partition.fetch.bytes] zero: 256 KiB
}

// DeadLetterConfig says where records go that cannot be sent. With neither Topic nor File the feed
// ends at the first of them.
type DeadLetterConfig struct {
	// Topic is one of the same cluster.
	Topic string
	// File is appended to, one JSON object a line. Several processes may share it.
	File string
	// Force names positions, "topic/partition/offset", whose records become dead letters without
	// being sent: it lets go of a record that the server never takes.
	Force []string
}

func (c Config) withDefaults() Config {
	c.Prefix = cmp.Or(c.Prefix, DefaultPrefix)
	c.Namespace = cmp.Or(c.Namespace, c.Prefix)
	if len(c.ObjectTypes) == 0 {
		c.ObjectTypes = []string{objectOrigin, objectStatus}
	}
	c.BatchSize = cmp.Or(c.BatchSize, 200)
	c.Concurrency = cmp.Or(c.Concurrency, 64)
	c.MaxInFlight = cmp.Or(c.MaxInFlight, 1024)
	c.MaxInFlightBytes = cmp.Or(c.MaxInFlightBytes, 64<<20)
	c.CommitInterval = cmp.Or(c.CommitInterval, time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 5*time.Second)
	c.ShutdownTimeout = cmp.Or(c.ShutdownTimeout, 20*time.Second)
	c.MaxDeadInARow = cmp.Or(c.MaxDeadInARow, 100)
	c.Kafka.Protocol = strings.ToLower(cmp.Or(c.Kafka.Protocol, protocolPlain))
	c.Kafka.ClientID = cmp.Or(c.Kafka.ClientID, "swh-webhooks")
	c.Kafka.FetchMaxWait = cmp.Or(c.Kafka.FetchMaxWait, 5*time.Second)
	c.Kafka.FetchMaxBytes = cmp.Or(c.Kafka.FetchMaxBytes, 2<<20)
	c.Kafka.FetchMaxPartitionBytes = cmp.Or(c.Kafka.FetchMaxPartitionBytes, 256<<10)
	c.Kafka.HeartbeatInterval = cmp.Or(c.Kafka.HeartbeatInterval, 3*time.Second)
	session := 45 * time.Second
	if c.Kafka.InstanceID != "" {
		session = 10 * time.Minute
	}
	c.Kafka.SessionTimeout = cmp.Or(c.Kafka.SessionTimeout, session)
	return c
}

// topics are the names of those that are read.
func (c Config) topics() []string {
	topics := make([]string, len(c.ObjectTypes))
	for i, object := range c.ObjectTypes {
		topics[i] = c.Prefix + "." + object
	}
	return topics
}

// eventTypes are the names of those that are sent.
func (c Config) eventTypes() []string {
	types := make([]string, len(c.ObjectTypes))
	for i, object := range c.ObjectTypes {
		types[i] = webhooks.TypeOriginCreate
		if object == objectStatus {
			types[i] = webhooks.TypeOriginVisit
		}
	}
	return types
}

func (c Config) decodeOptions() DecodeOptions {
	return DecodeOptions{Namespace: c.Namespace, ByPosition: c.ByPosition}
}

// maxDrainTimeout is a third of the time that a rebalance may take.
const maxDrainTimeout = rebalanceTimeout / 3

// mistakes lists what is wrong with a configuration that has its defaults.
func (c Config) mistakes() []error {
	var m []error
	wrong := func(format string, args ...any) { m = append(m, fmt.Errorf(format, args...)) }
	if len(c.Brokers) == 0 {
		wrong("brokers: the brokers configuration is mandatory")
	}
	if slices.Contains(c.Brokers, "") {
		wrong("brokers: one is empty")
	}
	if c.GroupID == "" {
		wrong("group_id: missing")
	}
	for _, object := range c.ObjectTypes {
		if object != objectOrigin && object != objectStatus {
			wrong("object_types: %s stands for no event; possible are %s and %s",
				foreign.Quote(object), objectOrigin, objectStatus)
		}
	}
	for name, n := range map[string]int{
		"batch_size": c.BatchSize, "concurrency": c.Concurrency, "max_in_flight": c.MaxInFlight,
		"max_in_flight_bytes": c.MaxInFlightBytes, "max_dead_in_a_row": c.MaxDeadInARow,
		"fetch.max.bytes": c.Kafka.FetchMaxBytes, "max.partition.fetch.bytes": c.Kafka.FetchMaxPartitionBytes,
	} {
		if n < 1 || n > 1<<30 {
			wrong("%s: %d, want 1 to %d", name, n, 1<<30)
		}
	}
	if c.StopAfterObjects < 0 {
		wrong("stop_after_objects: a negative number")
	}
	for name, d := range map[string]time.Duration{
		"commit_interval": c.CommitInterval, "drain_timeout": c.DrainTimeout, "shutdown_timeout": c.ShutdownTimeout,
		"session.timeout.ms": c.Kafka.SessionTimeout, "heartbeat.interval.ms": c.Kafka.HeartbeatInterval,
		"fetch.wait.max.ms": c.Kafka.FetchMaxWait,
	} {
		if d <= 0 {
			wrong("%s: want a positive duration", name)
		}
	}
	if c.DrainTimeout > maxDrainTimeout {
		wrong("drain_timeout: at most %v, since a rebalance has to end within %v", maxDrainTimeout, rebalanceTimeout)
	}
	m = append(m, c.DeadLetter.mistakes(c.topics())...)
	m = append(m, c.Kafka.mistakes()...)
	slices.SortFunc(m, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return m
}

func (d DeadLetterConfig) mistakes(topics []string) []error {
	var m []error
	if d.Topic != "" && d.File != "" {
		m = append(m, errors.New("dead_letter: both a topic and a file"))
	}
	if slices.Contains(topics, d.Topic) {
		m = append(m, fmt.Errorf("dead_letter.topic: %s is one of those that are read", foreign.Quote(d.Topic)))
	}
	for _, position := range d.Force {
		if !isPosition.MatchString(position) {
			m = append(m, fmt.Errorf("dead_letter.force: %s is not topic/partition/offset", foreign.Quote(position)))
		}
	}
	return m
}
