package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/journal"
)

// load loads a configuration file of that text.
func load(t *testing.T, text string) (journal.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "webhooks.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return journal.LoadConfig(path)
}

func TestLoadConfigReadsWhatThePythonCommandReads(t *testing.T) {
	cfg, err := load(t, `
webhooks:
  svix: {server_url: https://svix.example.org, auth_token: token}
journal:
  cls: kafka
  brokers: [kafka1.example.org:9093, kafka2.example.org:9093]
  group_id: swh.webhooks
  prefix: swh.journal.objects
  object_types: [origin, origin_visit_status]
  batch_size: 500
  stop_after_objects: 1000
  auto_offset_reset: latest
  on_eof: stop
  privileged: false
  consumer_settings:
    security.protocol: SASL_SSL
    sasl.mechanism: SCRAM-SHA-512
    sasl.username: webhooks
    sasl.password: hunter2
    session.timeout.ms: 60000
    max.poll.interval.ms: "90000"
  fetch.max.bytes: 1000000
  process_timeout: 10
journal_feed:
  namespace: staging
  event_id: position
  concurrency: 32
  commit_interval: 2s
  dead_letter: {file: /var/lib/webhooks/dead.ndjson, force: swh.journal.objects.origin/3/14}
another_program: {anything: [1, 2]}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := journal.Config{
		Brokers:          []string{"kafka1.example.org:9093", "kafka2.example.org:9093"},
		GroupID:          "swh.webhooks",
		Prefix:           "swh.journal.objects",
		ObjectTypes:      []string{"origin", "origin_visit_status"},
		BatchSize:        500,
		StopAfterObjects: 1000,
		FromLatest:       true,
		StopAtEnd:        true,
		Kafka: journal.KafkaConfig{
			Protocol: "SASL_SSL", SASLMechanism: "SCRAM-SHA-512", Username: "webhooks", Password: "hunter2",
			SessionTimeout: time.Minute, FetchMaxBytes: 1000000,
		},
		Namespace:      "staging",
		ByPosition:     true,
		Concurrency:    32,
		CommitInterval: 2 * time.Second,
		DeadLetter: journal.DeadLetterConfig{
			File:  "/var/lib/webhooks/dead.ndjson",
			Force: []string{"swh.journal.objects.origin/3/14"},
		},
		Notices: []string{
			"max.poll.interval.ms has no effect here: no time passes between polls that counts",
			"privileged changes nothing: origins and visits have no privileged topics",
			"process_timeout has no effect here",
		},
	}
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text := fmt.Sprintf("%+v %#v", cfg, cfg); strings.Contains(text, "hunter2") {
		t.Error("a password is printed")
	}
}

func TestLoadConfigTakesTheInstanceFromTheEnvironment(t *testing.T) {
	t.Setenv(journal.InstanceVariable, "webhooks-3")
	cfg, err := load(t, "journal: {consumer_settings: {group.instance.id: other}}")
	if err != nil || cfg.Kafka.InstanceID != "webhooks-3" {
		t.Errorf("got %q, error %v", cfg.Kafka.InstanceID, err)
	}
}

func TestLoadConfigNamesEveryMistakeWithItsLine(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"unknown keys": {
			"journal:\n  broker: a\n  enable.auto.commit: true\njournal_feed:\n  workers: 3",
			[]string{
				"line 2: unknown key broker",
				"line 3: unknown key enable.auto.commit",
				"line 5: unknown key workers",
			},
		},
		"our key in the wrong": {"journal:\n  concurrency: 3", []string{"line 2: unknown key concurrency"}},
		"a key twice":          {"journal:\n  prefix: a\n  prefix: b", []string{"twice"}},
		"kinds": {
			"journal:\n  brokers: {a: b}\n  batch_size: many\n  create_topics: 3\njournal_feed:\n  commit_interval: 7",
			[]string{
				"line 2: brokers: found a mapping, want a text or a list of texts",
				"line 3: batch_size: found a text, want a whole number from 1 on",
				"line 4: create_topics: found a whole number, want true or false",
				"line 6: commit_interval: found a whole number, want a duration",
			},
		},
		"zero":       {"journal: {batch_size: 0}", []string{"batch_size"}},
		"no mapping": {"journal: [1]", []string{"line 1: journal: found a list, want a mapping"}},
		"choices": {
			"journal:\n  on_eof: restart\n  auto_offset_reset: never\n  cls: memory\njournal_feed: {event_id: random}",
			[]string{"restart is not possible here, only continue and stop", "never", "memory", "random"},
		},
		"not YAML": {"journal:\n  sasl.password: 'hunter2", []string{"not YAML"}},
		"a password of a kind": {
			"journal:\n  sasl.password: [hunter2]",
			[]string{"sasl.password: found a list, want a text"},
		},
		"an empty file":         {"", []string{"the file is empty"}},
		"consumer_settings bad": {"journal: {consumer_settings: {acks: all}}", []string{"unknown key acks"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, tt.text)
			if !errors.Is(err, webhooks.ErrInvalidConfig) {
				t.Fatalf("got %v, want ErrInvalidConfig", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("shows a password: %v", err)
			}
		})
	}
}

func TestNewNamesEveryMistake(t *testing.T) {
	t.Parallel()
	_, err := journal.New(journal.Config{
		ObjectTypes: []string{"content"}, DrainTimeout: time.Minute, BatchSize: -1,
		Kafka:      journal.KafkaConfig{Protocol: "sasl_ssl", SASLMechanism: "GSSAPI", CertificateFile: "a"},
		DeadLetter: journal.DeadLetterConfig{Topic: "swh.journal.objects.content", File: "b", Force: []string{"c"}},
	}, nil)
	if !errors.Is(err, webhooks.ErrInvalidConfig) {
		t.Fatalf("got %v, want ErrInvalidConfig", err)
	}
	for _, want := range []string{
		"brokers", "group_id", "content", "drain_timeout", "batch_size", "GSSAPI", "sasl.username",
		"ssl.key.location", "both a topic and a file", "is one of those that are read", "dead_letter.force", "Sender",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in: %v", want, err)
		}
	}
}
