package journal

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/configfile"
	"github.com/softwareheritage/webhooks/internal/foreign"
)

// InstanceVariable is the environment variable that makes a feed a static member of its group, as
// Config.Kafka.InstanceID does, and wins over the configuration file. The Python command reads it,
// too.
const InstanceVariable = "KAFKA_GROUP_INSTANCE_ID"

// LoadConfig reads the configuration of a feed from the file that the environment variable
// SWH_CONFIG_FILENAME names or, if that is unset or empty, from the file at path; with an empty
// path too it reads none. A file that does not exist is looked for once more with ".yml" appended.
//
// The file is YAML, at most 1 MiB. Of its top-level keys two are read. Below "journal" stands what
// the Python command reads, with the settings of librdkafka in "consumer_settings" or beside the
// others; below "journal_feed" stands what is of this package only, since the Python command ends
// with an error at a key that it does not know. Other programs share the file: all other top-level
// keys are ignored.
//
// Every error is a [webhooks.ErrInvalidConfig] that names the file and every mistake in it with its
// line: keys that are not known and values that cannot be. It never shows a password. What may be
// completed later, such as missing brokers, is left to [New].
func LoadConfig(path string) (Config, error) {
	if named := os.Getenv(webhooks.ConfigFileVariable); named != "" {
		path = named
	}
	var cfg Config
	if path != "" {
		text, err := configfile.Read(path)
		if err != nil {
			return Config{}, configError([]error{err})
		}
		var mistakes []error
		if cfg, mistakes = parseConfig(text); len(mistakes) > 0 {
			return Config{}, configError([]error{fmt.Errorf("%s: %w", path, joined(mistakes))})
		}
	}
	if instance := os.Getenv(InstanceVariable); instance != "" {
		cfg.Kafka.InstanceID = instance
	}
	return cfg, nil
}

func parseConfig(text []byte) (Config, []error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return Config{}, []error{errors.New("not YAML" + yamlLine(err))}
	}
	if len(document.Content) == 0 {
		return Config{}, []error{errors.New("the file is empty")}
	}
	p := &configParser{notices: map[string]bool{}, key: "the file"}
	p.mapping(document.Content[0], func(key string, value *yaml.Node) bool {
		p.key = key
		switch key {
		case "journal":
			p.keys(value, journalKeys, kafkaKeys)
		case "journal_feed":
			p.keys(value, feedKeys)
		}
		return true
	})
	p.cfg.Notices = slices.Sorted(maps.Keys(p.notices))
	return p.cfg, p.mistakes
}

// yamlLine returns the line that an error of the YAML library names. The rest of it may quote a
// secret.
func yamlLine(err error) string {
	var line int
	if _, scanErr := fmt.Sscanf(err.Error(), "yaml: line %d:", &line); scanErr != nil {
		return ""
	}
	return fmt.Sprintf(" (line %d)", line)
}

// A configParser collects what a file says and what is wrong with it.
type configParser struct {
	cfg      Config
	key      string // that is being read
	mistakes []error
	notices  map[string]bool
}

func (p *configParser) wrong(node *yaml.Node, format string, args ...any) {
	const most = 20 // nobody reads more
	if len(p.mistakes) < most {
		p.mistakes = append(p.mistakes, fmt.Errorf("line %d: %w", node.Line, fmt.Errorf(format, args...)))
	}
}

// mapping calls each with the keys of a mapping and their values, aliases resolved and null left
// out.
func (p *configParser) mapping(node *yaml.Node, each func(key string, value *yaml.Node) bool) {
	node = resolve(node)
	if node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" {
		return
	}
	if node.Kind != yaml.MappingNode {
		p.wrong(node, "%s: found %s, want a mapping", p.key, kindOf(node))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], resolve(node.Content[i+1])
		if seen[key.Value] {
			p.wrong(key, "the key %s is there twice", foreign.Quote(key.Value))
			continue
		}
		seen[key.Value] = true
		if value.ShortTag() != "!!null" && !each(key.Value, value) {
			p.wrong(key, "unknown key %s", foreign.Quote(key.Value))
		}
	}
}

// keys reads a mapping with the readers of its keys.
func (p *configParser) keys(node *yaml.Node, tables ...map[string]keyReader) {
	p.mapping(node, func(key string, value *yaml.Node) bool {
		for _, table := range tables {
			if read, ok := table[key]; ok {
				p.key = key
				if err := read(p, value); err != nil {
					p.wrong(value, "%s: %w", key, err)
				}
				return true
			}
		}
		return false
	})
}
