package journal

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/softwareheritage/webhooks/internal/foreign"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const (
	// rebalanceTimeout is how long Kafka waits for a member that has to give partitions away.
	rebalanceTimeout = 60 * time.Second
	// maxRecord is more than the archive's writer lets a record be, 100 MiB. An answer holds one at
	// least.
	maxRecord = 128 << 20
	// startTimeout is how long the brokers may take to answer at the start.
	startTimeout = 30 * time.Second
)

// Values of KafkaConfig.Protocol.
const (
	protocolPlain    = "plaintext"
	protocolTLS      = "ssl"
	protocolSASL     = "sasl_plaintext"
	protocolSASLOver = "sasl_ssl"
)

var isPosition = regexp.MustCompile(`^[a-zA-Z0-9._-]+/\d+/\d+$`)

func (k KafkaConfig) usesTLS() bool {
	return k.Protocol == protocolTLS || k.Protocol == protocolSASLOver
}

func (k KafkaConfig) usesSASL() bool {
	return k.Protocol == protocolSASL || k.Protocol == protocolSASLOver
}

func (k KafkaConfig) mistakes() []error {
	var m []error
	switch k.Protocol {
	case protocolPlain, protocolTLS, protocolSASL, protocolSASLOver:
	default:
		m = append(m, fmt.Errorf("security.protocol: %s, want plaintext, ssl, sasl_plaintext or sasl_ssl",
			foreign.Quote(k.Protocol)))
	}
	if k.usesSASL() {
		if _, err := k.mechanism(); err != nil {
			m = append(m, err)
		}
		if k.Username == "" || k.Password == "" {
			m = append(m, errors.New("sasl.username, sasl.password: missing, with this security.protocol"))
		}
	} else if k.Username != "" || k.Password != "" {
		m = append(m, errors.New("sasl.username, sasl.password: not used with this security.protocol"))
	}
	if (k.CertificateFile == "") != (k.KeyFile == "") {
		m = append(m, errors.New("ssl.certificate.location, ssl.key.location: one of them is missing"))
	}
	return m
}

func (k KafkaConfig) mechanism() (sasl.Mechanism, error) {
	user := scram.Auth{User: k.Username, Pass: string(k.Password)}
	switch strings.ToUpper(k.SASLMechanism) {
	case "PLAIN":
		return plain.Auth{User: k.Username, Pass: string(k.Password)}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return user.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return user.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("sasl.mechanism: %s, want PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
		foreign.Quote(k.SASLMechanism))
}

func (k KafkaConfig) tls() (*tls.Config, error) {
	cfg := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: k.SkipVerify, //nolint:gosec // only if the operator says so
	}
	if k.CAFile != "" {
		pem, err := os.ReadFile(k.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ssl.ca.location: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ssl.ca.location: no certificate in %s", k.CAFile)
		}
	}
	if k.CertificateFile != "" {
		pair, err := tls.LoadX509KeyPair(k.CertificateFile, k.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("ssl.certificate.location, ssl.key.location: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// connection returns the options of every client of the cluster. Those of the caller come first, so
// that they win over nothing.
func (c Config) connection(callers []kgo.Opt, log *slog.Logger) ([]kgo.Opt, error) {
	opts := append([]kgo.Opt{}, callers...)
	opts = append(opts, kgo.SeedBrokers(c.Brokers...), kgo.ClientID(c.Kafka.ClientID), kgo.WithLogger(kafkaLogger{log}),
		kgo.BrokerMaxReadBytes(2*maxRecord), kgo.BrokerMaxWriteBytes(2*maxRecord), kgo.ProducerBatchMaxBytes(maxRecord))
	if c.Kafka.usesTLS() {
		cfg, err := c.Kafka.tls()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(cfg))
	}
	if c.Kafka.usesSASL() {
		mechanism, err := c.Kafka.mechanism()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(mechanism))
	}
	return opts, nil
}

// consumer returns the options of a member of the group.
func (c Config) consumer() []kgo.Opt {
	start := kgo.NewOffset().AtStart()
	if c.FromLatest {
		start = kgo.NewOffset().AtEnd()
	}
	opts := []kgo.Opt{
		kgo.ConsumerGroup(c.GroupID),
		kgo.ConsumeTopics(c.topics()...),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.SessionTimeout(c.Kafka.SessionTimeout),
		kgo.HeartbeatInterval(c.Kafka.HeartbeatInterval),
		kgo.ConsumeStartOffset(start),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // what was not read yet must not be passed over
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // a partition may end with one
		kgo.FetchMaxWait(c.Kafka.FetchMaxWait),
		kgo.FetchMaxBytes(int32(c.Kafka.FetchMaxBytes)),                   //nolint:gosec // checked
		kgo.FetchMaxPartitionBytes(int32(c.Kafka.FetchMaxPartitionBytes)), //nolint:gosec // checked
	}
	if c.Kafka.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(c.Kafka.InstanceID))
	}
	return opts
}

// checkTopics returns an error unless the topics are there. With create it creates them.
func checkTopics(ctx context.Context, admin *kadm.Client, timeout time.Duration, create bool, topics ...string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errors.New("no broker answered"))
	defer cancel()
	listed, err := admin.ListTopics(ctx, topics...)
	if err != nil {
		return kafkaError(ctx, err)
	}
	var mistakes []error
	for _, topic := range topics {
		err := listed[topic].Err
		if errors.Is(err, kerr.UnknownTopicOrPartition) && create {
			_, err = admin.CreateTopic(ctx, -1, -1, nil, topic)
			if errors.Is(err, kerr.TopicAlreadyExists) {
				err = nil
			}
		}
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			err = errors.New("it does not exist")
		}
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("topic %s: %w", topic, err))
		}
	}
	return errors.Join(mistakes...)
}

// kafkaError says in its text why the brokers could not be asked.
func kafkaError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	if errors.Is(err, kerr.SaslAuthenticationFailed) || errors.Is(err, io.EOF) { // some brokers only hang up
		err = fmt.Errorf("%w (are the user's name, the password and security.protocol right?)", err)
	}
	return fmt.Errorf("kafka: %w", err)
}

// A kafkaLogger hands on what the Kafka client has to say of its connections, for those who look
// for a fault: it mends by itself what the feed does not tell of.
type kafkaLogger struct{ log *slog.Logger }

func (kafkaLogger) Level() kgo.LogLevel { return kgo.LogLevelWarn }

func (l kafkaLogger) Log(level kgo.LogLevel, message string, keyvals ...any) {
	to := slog.LevelDebug
	if level == kgo.LogLevelError {
		to = slog.LevelInfo
	}
	l.log.Log(context.Background(), to, "kafka: "+message, keyvals...)
}
