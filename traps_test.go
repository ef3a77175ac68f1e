package webhooks_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks"
)

// The tests of this file are named after the traps of the libraries below, which
// are numbered as in the project's notes on them, and show that the client does
// not lead into them. Those of internal/transport and internal/schema that are
// named so show the same closer to the libraries.

// loaded is a configuration file of the given text, loaded within bounded time.
func loaded(t *testing.T, text string) (webhooks.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	cfg, err := webhooks.LoadConfig(path)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	return cfg, err
}

// manyKeys is a mapping, indented.
func manyKeys(n int, indentation string) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "%s%x:\n", indentation, i)
	}
	return text.String()
}

// TestYFilesThatAreRefused: what the YAML library lets pass, or chokes on.
func TestYFilesThatAreRefused(t *testing.T) {
	t.Setenv(webhooks.ConfigFileVariable, "")
	laughs := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		laughs += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	for name, test := range map[string]struct{ text, want string }{
		"unknown key":                   {"webhooks: {evnt_retention_period: 5}", `line 1: unknown key "evnt_retention_period"`},
		"unknown key below":             {"webhooks: {svix: {server_ulr: http://svix.test}}", `unknown key "server_ulr"`},
		"key in capitals":               {"webhooks: {svix: {Server_URL: http://svix.test}}", `unknown key "Server_URL"`},
		"all unknown keys at once":      {"webhooks:\n  a: 1\n  svix:\n    b: 2\n", `line 2: unknown key "a"; line 4: unknown key "b"`},
		"key twice":                     {"webhooks:\n  svix: {}\n  svix: {}\n", `mapping key "svix" already defined at line 2`},
		"nothing":                       {"", "the file is empty"},
		"blanks":                        {"  \n\n", "the file is empty"},
		"comments":                      {"# webhooks:\n", "the file is empty"},
		"second document":               {"webhooks: {}\n---\nwebhooks: {}\n", "more than one YAML document"},
		"empty second document":         {"webhooks: {}\n---\n", "more than one YAML document"},
		"billion laughs in webhooks":    {laughs + "webhooks: {svix: *a9}\n", "want a mapping"},
		"billion laughs in the token":   {laughs + "webhooks: {svix: {auth_token: *a9}}\n", "want a text"},
		"nesting":                       {"webhooks: " + strings.Repeat("[", 20_000), "exceeded max depth"},
		"anchor that contains itself":   {"webhooks: {svix: {auth_token: &a {b: *a}}}\n", "want a text"},
		"many keys":                     {manyKeys(110_000, ""), "keys, at most 2000"},
		"many keys below webhooks":      {"webhooks:\n" + manyKeys(110_000, " "), "keys, at most 2000"},
		"many keys below svix":          {"webhooks:\n svix:\n" + manyKeys(110_000, "  "), "keys, at most 2000"},
		"many keys by an alias":         {"other: &o\n" + manyKeys(110_000, " ") + "webhooks: *o\n", "keys, at most 2000"},
		"file too large":                {"webhooks: {}\n#" + strings.Repeat("x", 1<<20), "larger than 1 MiB"},
		"tab":                           {"webhooks:\n\tsvix: {}\n", "not YAML"},
		"octal that is too large":       {"webhooks: {event_retention_period: 0o17777777777777777777777}", "event_retention_period"},
		"infinity":                      {"webhooks: {event_retention_period: .inf}", "found a fraction"},
		"day as a date":                 {"webhooks: {event_retention_period: 2024-01-01}", "event_retention_period"},
		"fraction":                      {"webhooks: {event_retention_period: 5.5}", "found a fraction"},
		"truth as a number":             {"webhooks: {event_retention_period: yes}", "event_retention_period"},
		"token that is a mapping":       {"webhooks: {svix: {auth_token: {a: b}}}", "want a text"},
		"keys that are not texts":       {"webhooks: {1: 2, [a]: b}", "line 1"},
		"merge of what is no mapping":   {"webhooks: {<<: 1}", "not YAML"},
		"binary that is not base64":     {"webhooks: {svix: {auth_token: !!binary '*'}}", "not YAML"},
		"server that is not normalised": {"webhooks: {svix: {server_url: 'http://svix.test/?a=b'}}", "query"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loaded(t, test.text)
			checkError(t, err, webhooks.ErrInvalidConfig, test.want)
		})
	}
}

// TestYFilesThatMeanWhatTheySay: scalars that YAML reads as something else are
// the texts that were written.
func TestYFilesThatMeanWhatTheySay(t *testing.T) {
	t.Setenv(webhooks.ConfigFileVariable, "")
	token := func(text string) webhooks.Config {
		return webhooks.Config{Svix: webhooks.SvixConfig{AuthToken: webhooks.Secret(text)}}
	}
	period := func(days int) webhooks.Config { return webhooks.Config{EventRetentionPeriod: days} }
	for name, test := range map[string]struct {
		text string
		want webhooks.Config
	}{
		"token like a fraction":       {"webhooks: {svix: {auth_token: 1.10}}", token("1.10")},
		"token like a date":           {"webhooks: {svix: {auth_token: 2024-01-01}}", token("2024-01-01")},
		"token like octal":            {"webhooks: {svix: {auth_token: 017}}", token("017")},
		"token like a truth":          {"webhooks: {svix: {auth_token: yes}}", token("yes")},
		"token like a large number":   {"webhooks: {svix: {auth_token: 12345678901234567890123}}", token("12345678901234567890123")},
		"no token":                    {"webhooks: {svix: {auth_token: null}}", webhooks.Config{}},
		"hexadecimal":                 {"webhooks: {event_retention_period: 0x1e}", period(30)},
		"null":                        {"webhooks: {event_retention_period: ~}", webhooks.Config{}},
		"by a merge":                  {"base: &b {event_retention_period: 7}\nwebhooks: {<<: *b}\n", period(7)},
		"only null documents":         {"---\n", webhooks.Config{}},
		"billion laughs elsewhere":    {"a: &a [x, x]\nb: &b [*a, *a]\nother: [*b, *b]\nwebhooks: {event_retention_period: 7}\n", period(7)},
		"other keys that are no text": {"1: 2\n2024-01-01: x\nwebhooks: {event_retention_period: 7}\n", period(7)},
		"many keys, but not so many":  {"webhooks: {event_retention_period: 7}\n" + manyKeys(1999, ""), period(7)},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := loaded(t, test.text)
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("%v; configuration (-want +got):\n%s", err, diff)
			}
		})
	}
}
