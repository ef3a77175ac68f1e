package webhooks

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/softwareheritage/webhooks/internal/configfile"
	"github.com/softwareheritage/webhooks/internal/foreign"
	"github.com/softwareheritage/webhooks/internal/secret"
	"github.com/softwareheritage/webhooks/internal/transport"
)

// ConfigFileVariable is the environment variable that names the configuration
// file of Software Heritage services. Where it is set and not empty it wins
// over a path given in the program.
const ConfigFileVariable = "SWH_CONFIG_FILENAME"

const (
	defaultRetention = 90 // days
	minRetention     = 5
	maxRetention     = 90

	maxConfigKeys = 2000 // in one mapping; the YAML library compares each with all others
)

// Config is what an operator writes in the configuration file, below its
// top-level key "webhooks".
type Config struct {
	// Svix says how to reach the Svix server.
	Svix SvixConfig `yaml:"svix"`
	// EventRetentionPeriod is how many days the server keeps the payload of an
	// event, 5 to 90. Zero means 90.
	EventRetentionPeriod int `yaml:"event_retention_period"`
}

// SvixConfig says how to reach the Svix server.
type SvixConfig struct {
	// ServerURL is the http or https address of the server, with the path
	// prefix under which it is served, if any. Required, here or as an option.
	ServerURL string `yaml:"server_url"`
	// AuthToken is the bearer token of the organization on the server.
	// Required, here or as an option.
	AuthToken Secret `yaml:"auth_token"`
}

// A Secret is a text that must not be seen: printed, logged or encoded it is "[redacted]". Convert
// it to a string to use it.
//
// Package fmt calls no method of a value in an unexported field: printing a struct that holds a
// Config or a Secret in one with %+v shows the text. Keep it in an exported field, or behind a
// pointer or a function.
type Secret string

const redacted = foreign.Redacted

// Format prints "[redacted]" whatever the verb: for one that texts do not have,
// package fmt would show the value.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// GoString returns "[redacted]", for the verb %#v.
func (Secret) GoString() string { return redacted }

// LogValue returns "[redacted]", for [log/slog].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]", for JSON, YAML and other encodings.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// checkSecret refuses what is neither empty nor the secret of an endpoint.
func checkSecret(text string) error {
	if text == "" {
		return nil
	}
	if err := secret.Check(text); err != nil {
		return fmt.Errorf("webhooks: %w: %w", ErrInvalidSecret, err)
	}
	return nil
}

// WithConfigFile reads the configuration file at path as [LoadConfig] does, so
// the environment variable SWH_CONFIG_FILENAME wins over it.
func WithConfigFile(path string) Option {
	return func(o *options) error {
		o.configFile = path
		return nil
	}
}

// WithConfig takes the configuration from cfg; no file is read then, not even
// the one that the environment variable SWH_CONFIG_FILENAME names.
func WithConfig(cfg Config) Option {
	return func(o *options) error {
		o.config = &cfg
		return nil
	}
}

// WithServerURL sets the address of the Svix server, whatever the configuration
// says. An empty one leaves it to the configuration.
func WithServerURL(rawURL string) Option {
	return func(o *options) error {
		o.serverURL = rawURL
		return nil
	}
}

// WithAuthToken sets the bearer token, whatever the configuration says. An empty
// one leaves it to the configuration.
func WithAuthToken(token string) Option {
	return func(o *options) error {
		o.authToken = token
		return nil
	}
}

// WithHTTPClient sends the requests through the Transport of hc, or through one
// like the default where that is nil. The cookies of its jar are sent, too; those
// that the server sets are not kept. Its Timeout, where it is not zero, bounds
// each try like [RetryPolicy.AttemptTimeout], the shorter of the two counts;
// redirects are never followed. hc itself is not modified. A nil hc means the
// default, a transport made for many concurrent requests to one server.
func WithHTTPClient(hc *http.Client) Option {
	return func(o *options) error {
		o.httpClient = hc
		return nil
	}
}

// WithRetry sets how requests are retried. Zero fields keep their defaults.
func WithRetry(p RetryPolicy) Option {
	return func(o *options) error {
		if p.MaxAttempts < 0 || p.MinBackoff < 0 || p.MaxBackoff < 0 || p.AttemptTimeout < 0 {
			return errors.New("retry policy: negative number or duration")
		}
		o.retry = p
		return nil
	}
}

// A RetryPolicy says how a request is retried. Retried are errors of the
// network, answers that are cut off and the statuses 408, 425, 429, 500, 502,
// 503 and 504. Each request can be repeated without doing anything twice.
type RetryPolicy struct {
	// MaxAttempts is the number of tries of one request in all. Zero means 4; 1
	// means no retry.
	MaxAttempts int
	// MinBackoff is the longest wait before the second try; it doubles with each
	// try. The wait itself is drawn at random from zero to that. Zero means 500 ms.
	MinBackoff time.Duration
	// MaxBackoff is the longest wait before any try, also where the server asks
	// for a longer one in a Retry-After header. Zero means 30 s.
	MaxBackoff time.Duration
	// AttemptTimeout is the longest time of one try. Zero means 15 s.
	AttemptTimeout time.Duration
}

func (p RetryPolicy) withDefaults() transport.Policy {
	return transport.Policy{
		MaxAttempts:    cmp.Or(p.MaxAttempts, 4),
		MinBackoff:     cmp.Or(p.MinBackoff, 500*time.Millisecond),
		MaxBackoff:     cmp.Or(p.MaxBackoff, 30*time.Second),
		AttemptTimeout: cmp.Or(p.AttemptTimeout, 15*time.Second),
	}
}

// LoadConfig reads the configuration file that the environment variable
// SWH_CONFIG_FILENAME names or, where that is unset or empty, the file at path;
// with an empty path too it returns the zero Config. A file that does not exist
// is looked for once more with ".yml" appended.
//
// The file is YAML, at most 1 MiB and 2000 keys in one mapping. Only its
// top-level key "webhooks" is read, since other programs share the file; without
// that key the Config is zero. Below it, a key that is not known is an error, as
// are values of a wrong type. What may be completed by options, such as a
// missing token, is left to [NewClient].
//
// Every error is an [ErrInvalidConfig] that names the file and every mistake in
// it, with its line where one is known. It never shows a value of the file.
func LoadConfig(path string) (Config, error) {
	cfg, mistakes := readConfig(path)
	return cfg, configError(mistakes)
}

// readConfig returns the configuration in the file that the environment or else
// path names, and what is wrong with it.
func readConfig(path string) (Config, []error) {
	if named := os.Getenv(ConfigFileVariable); named != "" {
		path = named
	}
	if path == "" {
		return Config{}, nil
	}
	data, err := configfile.Read(path)
	if err != nil {
		return Config{}, []error{err}
	}
	cfg, mistakes := parseConfig(data)
	if len(mistakes) > 0 {
		mistakes[0] = fmt.Errorf("%s: %w", path, mistakes[0])
		return Config{}, mistakes
	}
	return cfg, nil
}

// parseConfig returns the configuration in a file's text and what is wrong with it.
func parseConfig(data []byte) (Config, []error) {
	var file struct {
		Webhooks struct {
			Svix SvixConfig `yaml:"svix"`
			// A node: into an int, the library would cut a fraction off.
			EventRetentionPeriod yaml.Node `yaml:"event_retention_period"`
		} `yaml:"webhooks"`
		Others map[string]yaml.Node `yaml:",inline"` // nodes: their aliases are not expanded
	}
	if mistakes := checkKeys(data); len(mistakes) > 0 {
		return Config{}, mistakes
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	err := dec.Decode(&file)
	if errors.Is(err, io.EOF) {
		return Config{}, []error{errors.New("the file is empty")}
	}
	mistakes := yamlMistakes(err)
	if errEnd := dec.Decode(new(yaml.Node)); err == nil && !errors.Is(errEnd, io.EOF) {
		mistakes = append(mistakes, errors.New("the file holds more than one YAML document"))
	}
	cfg := Config{Svix: file.Webhooks.Svix}
	if cfg.EventRetentionPeriod, err = wholeNumber(file.Webhooks.EventRetentionPeriod); err != nil {
		mistakes = append(mistakes, fmt.Errorf("event_retention_period: %w", err))
	}
	return cfg, append(mistakes, cfg.mistakes(urlKey, tokenKey)...)
}

// checkKeys returns what is wrong with the keys of the mappings in a file. The library, too, finds
// the ones that are there twice, but compares each with all others and then tells each pair.
func checkKeys(data []byte) []error {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil // its mistakes are reported where it is decoded
	}
	return checkKeysOf(nil, &document)
}

func checkKeysOf(mistakes []error, node *yaml.Node) []error {
	if node.Kind == yaml.MappingNode {
		lines := map[string]int{}
		for key := range slices.Chunk(node.Content, 2) {
			if key[0].Kind != yaml.ScalarNode {
				continue
			}
			if line, ok := lines[key[0].Value]; ok && len(mistakes) < maxMistakes {
				mistakes = append(mistakes, fmt.Errorf("line %d: mapping key%s already defined at line %d",
					key[0].Line, plainKey(key[0].Value), line))
			} else if !ok {
				lines[key[0].Value] = key[0].Line
			}
		}
		if len(lines) > maxConfigKeys {
			mistakes = append(mistakes, fmt.Errorf("line %d: a mapping of %d keys, at most %d are possible",
				node.Line, len(lines), maxConfigKeys))
		}
	}
	for _, child := range node.Content {
		mistakes = checkKeysOf(mistakes, child)
	}
	return mistakes
}

// plainKey shows a key, unless it may be something else: "auth_token:" without a blank after it
// makes the token a part of the key.
func plainKey(key string) string {
	if !yamlPlainKey.MatchString(key) {
		return ""
	}
	return fmt.Sprintf(" %q", key)
}

// wholeNumber returns the number that a node of a YAML file holds, 0 for none.
func wholeNumber(node yaml.Node) (int, error) {
	if node.Kind == yaml.AliasNode {
		node = *node.Alias
	}
	var n int
	switch tag := strings.TrimPrefix(node.ShortTag(), "!!"); {
	case node.IsZero() || tag == "null":
		return 0, nil
	case tag != "int":
		return 0, fmt.Errorf("line %d: found a %s, want a whole number", node.Line, yamlKind(tag))
	case node.Decode(&n) != nil:
		return 0, fmt.Errorf("line %d: the number is too large", node.Line)
	}
	return n, nil
}

// urlKey and tokenKey are what values from a configuration are called in errors.
const (
	urlKey   = "svix.server_url"
	tokenKey = "svix.auth_token" //nolint:gosec // a key, not a token
)

// mistakes lists what is wrong with the values that are there, by where they come from.
func (cfg Config) mistakes(urlFrom, tokenFrom string) []error {
	var mistakes []error
	if cfg.Svix.ServerURL != "" {
		if _, err := parseServerURL(cfg.Svix.ServerURL); err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: %w", urlFrom, err))
		}
	}
	if cfg.Svix.AuthToken != "" {
		if err := checkToken(string(cfg.Svix.AuthToken)); err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: %w", tokenFrom, err))
		}
	}
	if days := cfg.EventRetentionPeriod; days != 0 && (days < minRetention || days > maxRetention) {
		mistakes = append(mistakes,
			fmt.Errorf("event_retention_period: %d days, want %d to %d", days, minRetention, maxRetention))
	}
	return mistakes
}

// A mistakeErrors is the ErrInvalidConfig that lists mistakes; they are its causes.
type mistakeErrors []error

func (m mistakeErrors) Error() string {
	texts := make([]string, len(m))
	for i, err := range m {
		texts[i] = err.Error()
	}
	return fmt.Sprintf("webhooks: %v: %s", ErrInvalidConfig, joinMistakes(texts))
}

func (m mistakeErrors) Unwrap() []error { return append([]error{ErrInvalidConfig}, m...) }

// configError returns the error that lists the mistakes, nil if there are none.
func configError(mistakes []error) error {
	if len(mistakes) == 0 {
		return nil
	}
	return mistakeErrors(mistakes)
}

// The YAML library quotes values, which may be secret, and names Go types,
// which say nothing to an operator.
var (
	yamlUnknownKey = regexp.MustCompile(`^line (\d+): field (.*) not found in type .*$`)
	yamlPlainKey   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)
	yamlQuoted     = regexp.MustCompile("(?s) (`.*`|'.*' referenced)")
	yamlWrongType  = regexp.MustCompile("^line (\\d+): cannot unmarshal !!(\\w+)(?: `(?s:.*)`)? into (.*)$")
)

func yamlMistakes(err error) []error {
	if err == nil {
		return nil
	}
	typeErr, ok := errors.AsType[*yaml.TypeError](err)
	if !ok {
		text := strings.TrimPrefix(err.Error(), "yaml: ")
		return []error{fmt.Errorf("not YAML: %s", yamlQuoted.ReplaceAllString(text, ""))}
	}
	mistakes := make([]error, len(typeErr.Errors))
	for i, text := range typeErr.Errors {
		mistakes[i] = errors.New(yamlMistake(text))
	}
	return mistakes
}

func yamlMistake(text string) string {
	if m := yamlUnknownKey.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("line %s: unknown key%s", m[1], plainKey(m[2]))
	}
	if m := yamlWrongType.FindStringSubmatch(text); m != nil {
		want := "a mapping"
		if m[3] == "string" || m[3] == "webhooks.Secret" {
			want = "a text"
		}
		return fmt.Sprintf("line %s: found a %s, want %s", m[1], yamlKind(m[2]), want)
	}
	return text
}

func yamlKind(tag string) string {
	switch tag {
	case "map":
		return "mapping"
	case "seq":
		return "list"
	case "str":
		return "text"
	case "float":
		return "fraction"
	default:
		return tag
	}
}

// parseServerURL returns the address below which the API's paths are appended.
func parseServerURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("not a URL") // the library's error quotes it, with a password perhaps
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("not an http or https URL")
	case u.Hostname() == "":
		return nil, errors.New("the URL has no host")
	case u.User != nil:
		return nil, errors.New("the URL has user information; the token belongs in auth_token")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(raw, "#"):
		return nil, errors.New("the URL has a query or a fragment")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// checkToken refuses a token that cannot stand in a header line. The error of
// net/http for it would come with every request and too late.
func checkToken(token string) error {
	for _, r := range token {
		if r <= ' ' || r > '~' {
			return errors.New("the token has a character that cannot be part of one, such as a blank or a line break")
		}
	}
	return nil
}
