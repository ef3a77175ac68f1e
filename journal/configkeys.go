package journal

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/foreign"
)

// A keyReader takes the value of one key over into the configuration.
type keyReader func(p *configParser, value *yaml.Node) error

// journalKeys are those that the Python command reads.
var journalKeys = map[string]keyReader{
	"brokers":            texts(func(c *Config) *[]string { return &c.Brokers }),
	"group_id":           text(func(c *Config) *string { return &c.GroupID }),
	"prefix":             text(func(c *Config) *string { return &c.Prefix }),
	"object_types":       texts(func(c *Config) *[]string { return &c.ObjectTypes }),
	"batch_size":         number(func(c *Config) *int { return &c.BatchSize }),
	"stop_after_objects": number(func(c *Config) *int { return &c.StopAfterObjects }),
	"create_topics":      boolean(func(c *Config) *bool { return &c.CreateTopics }),
	"auto_offset_reset": choice(map[string]func(*Config){
		"earliest": func(*Config) {},
		"latest":   func(c *Config) { c.FromLatest = true },
	}),
	"on_eof": choice(map[string]func(*Config){
		"continue": func(*Config) {},
		"stop":     func(c *Config) { c.StopAtEnd = true },
	}),
	"stop_on_eof":     boolean(func(c *Config) *bool { return &c.StopAtEnd }),
	"cls":             choice(map[string]func(*Config){"kafka": func(*Config) {}}),
	"privileged":      unused("changes nothing: origins and visits have no privileged topics"),
	"stats_cb":        unused("has no effect here, see --metrics"),
	"error_reporter":  unused("has no effect here, see dead_letter"),
	"process_timeout": unused("has no effect here"),
	"consumer_settings": func(p *configParser, value *yaml.Node) error {
		p.keys(value, kafkaKeys)
		return nil
	},
}

// kafkaKeys are names of librdkafka, below "consumer_settings" or, as in old files, beside the
// others.
var kafkaKeys = map[string]keyReader{
	"security.protocol":         text(func(c *Config) *string { return &c.Kafka.Protocol }),
	"sasl.mechanism":            text(func(c *Config) *string { return &c.Kafka.SASLMechanism }),
	"sasl.mechanisms":           text(func(c *Config) *string { return &c.Kafka.SASLMechanism }),
	"sasl.username":             text(func(c *Config) *string { return &c.Kafka.Username }),
	"sasl.password":             secret(func(c *Config) *webhooks.Secret { return &c.Kafka.Password }),
	"ssl.ca.location":           text(func(c *Config) *string { return &c.Kafka.CAFile }),
	"ssl.certificate.location":  text(func(c *Config) *string { return &c.Kafka.CertificateFile }),
	"ssl.key.location":          text(func(c *Config) *string { return &c.Kafka.KeyFile }),
	"client.id":                 text(func(c *Config) *string { return &c.Kafka.ClientID }),
	"group.instance.id":         text(func(c *Config) *string { return &c.Kafka.InstanceID }),
	"session.timeout.ms":        milliseconds(func(c *Config) *time.Duration { return &c.Kafka.SessionTimeout }),
	"heartbeat.interval.ms":     milliseconds(func(c *Config) *time.Duration { return &c.Kafka.HeartbeatInterval }),
	"fetch.wait.max.ms":         milliseconds(func(c *Config) *time.Duration { return &c.Kafka.FetchMaxWait }),
	"fetch.max.bytes":           number(func(c *Config) *int { return &c.Kafka.FetchMaxBytes }),
	"max.partition.fetch.bytes": number(func(c *Config) *int { return &c.Kafka.FetchMaxPartitionBytes }),
	"enable.ssl.certificate.verification": func(p *configParser, value *yaml.Node) error {
		verify := true
		err := value.Decode(&verify)
		p.cfg.Kafka.SkipVerify = !verify
		return kindError(err, value, "true or false")
	},
	"max.poll.interval.ms": unused("has no effect here: no time passes between polls that counts"),
	"message.max.bytes":    unused("has no effect here: a record may be as large as the broker allows"),
	"debug":                unused("has no effect here"),
}

// feedKeys are those of this package only.
var feedKeys = map[string]keyReader{
	"namespace": text(func(c *Config) *string { return &c.Namespace }),
	"event_id": choice(map[string]func(*Config){
		"object":   func(*Config) {},
		"position": func(c *Config) { c.ByPosition = true },
	}),
	"concurrency":         number(func(c *Config) *int { return &c.Concurrency }),
	"max_in_flight":       number(func(c *Config) *int { return &c.MaxInFlight }),
	"max_in_flight_bytes": number(func(c *Config) *int { return &c.MaxInFlightBytes }),
	"commit_interval":     duration(func(c *Config) *time.Duration { return &c.CommitInterval }),
	"drain_timeout":       duration(func(c *Config) *time.Duration { return &c.DrainTimeout }),
	"shutdown_timeout":    duration(func(c *Config) *time.Duration { return &c.ShutdownTimeout }),
	"max_dead_in_a_row":   number(func(c *Config) *int { return &c.MaxDeadInARow }),
	"dead_letter": func(p *configParser, value *yaml.Node) error {
		p.keys(value, map[string]keyReader{
			"topic": text(func(c *Config) *string { return &c.DeadLetter.Topic }),
			"file":  text(func(c *Config) *string { return &c.DeadLetter.File }),
			"force": texts(func(c *Config) *[]string { return &c.DeadLetter.Force }),
		})
		return nil
	},
}

func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func kindOf(node *yaml.Node) string {
	switch node.ShortTag() {
	case "!!map":
		return "a mapping"
	case "!!seq":
		return "a list"
	case "!!str":
		return "a text"
	case "!!int":
		return "a whole number"
	case "!!float":
		return "a fraction"
	case "!!bool":
		return "true or false"
	}
	return "another kind of value"
}

var errKind = errors.New("another kind")

// kindError says what was found instead; the error of the YAML library quotes the value.
func kindError(err error, value *yaml.Node, want string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("found %s, want %s", kindOf(value), want)
}

// scalar returns the text of a value that is not a list or a mapping, whatever its type.
func scalar(value *yaml.Node) (string, error) {
	if value.Kind != yaml.ScalarNode {
		return "", kindError(errKind, value, "a text")
	}
	return value.Value, nil
}

func text(field func(*Config) *string) keyReader {
	return func(p *configParser, value *yaml.Node) (err error) {
		*field(&p.cfg), err = scalar(value)
		return err
	}
}

func secret(field func(*Config) *webhooks.Secret) keyReader {
	return func(p *configParser, value *yaml.Node) error {
		plain, err := scalar(value)
		*field(&p.cfg) = webhooks.Secret(plain)
		return err
	}
}

// texts reads a list of texts, or one text.
func texts(field func(*Config) *[]string) keyReader {
	return func(p *configParser, value *yaml.Node) error {
		items := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode {
			items = value.Content
		}
		var all []string
		for _, item := range items {
			one, err := scalar(resolve(item))
			if err != nil {
				return kindError(err, value, "a text or a list of texts")
			}
			all = append(all, one)
		}
		*field(&p.cfg) = all
		return nil
	}
}

func number(field func(*Config) *int) keyReader {
	return func(p *configParser, value *yaml.Node) error {
		plain, err := scalar(value)
		if err == nil {
			err = parsePositive(plain, field(&p.cfg))
		}
		return kindError(err, value, "a whole number from 1 on")
	}
}

func milliseconds(field func(*Config) *time.Duration) keyReader {
	return func(p *configParser, value *yaml.Node) error {
		var n int
		plain, err := scalar(value)
		if err == nil {
			err = parsePositive(plain, &n)
		}
		*field(&p.cfg) = time.Duration(n) * time.Millisecond
		return kindError(err, value, "a whole number of milliseconds from 1 on")
	}
}

func parsePositive(plain string, n *int) (err error) {
	if *n, err = strconv.Atoi(plain); err == nil && (*n < 1 || *n > 1<<30) {
		err = strconv.ErrRange
	}
	return err
}

func duration(field func(*Config) *time.Duration) keyReader {
	return func(p *configParser, value *yaml.Node) error {
		plain, err := scalar(value)
		if err == nil {
			*field(&p.cfg), err = time.ParseDuration(plain)
		}
		if err == nil && *field(&p.cfg) <= 0 {
			err = errKind
		}
		return kindError(err, value, "a duration, such as 5s")
	}
}

func boolean(field func(*Config) *bool) keyReader {
	return func(p *configParser, value *yaml.Node) error {
		return kindError(value.Decode(field(&p.cfg)), value, "true or false")
	}
}

// choice reads a text that is one of several.
func choice(values map[string]func(*Config)) keyReader {
	return func(p *configParser, value *yaml.Node) error {
		plain, err := scalar(value)
		if err != nil {
			return err
		}
		set, ok := values[plain]
		if !ok {
			possible := strings.Join(slices.Sorted(maps.Keys(values)), " and ")
			return fmt.Errorf("%s is not possible here, only %s", foreign.Quote(plain), possible)
		}
		set(&p.cfg)
		return nil
	}
}

// unused accepts a key that the Python command knows, and notes why it is of no use here.
func unused(why string) keyReader {
	return func(p *configParser, _ *yaml.Node) error {
		p.notices[p.key+" "+why] = true
		return nil
	}
}
