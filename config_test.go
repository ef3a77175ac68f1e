package webhooks_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/harness"
)

const (
	configFolder = "testdata/config"
	goodConfig   = configFolder + "/good.yml"
	fileURL      = "http://127.0.0.1:8071"
	fileToken    = "not-a-real-token"
)

// Most tests here set the environment and so cannot be parallel.

// TestExplicitOptionsWin tells from the request which server and token were chosen.
func TestExplicitOptionsWin(t *testing.T) {
	const explicitURL, explicitToken = "http://explicit.example.org", "explicit-token"
	other := webhooks.Config{Svix: webhooks.SvixConfig{ServerURL: "http://value.example.org", AuthToken: "value-token"}}
	tests := map[string]struct {
		environment string
		opts        []webhooks.Option
		host, token string
	}{
		"file": {
			"",
			[]webhooks.Option{webhooks.WithConfigFile(goodConfig)},
			"127.0.0.1:8071", fileToken,
		},
		"file of the environment": {goodConfig, nil, "127.0.0.1:8071", fileToken},
		"environment over file": {
			configFolder + "/good-minimal.yml",
			[]webhooks.Option{webhooks.WithConfigFile(goodConfig)},
			"svix.example.org", fileToken,
		},
		"environment over missing file": {
			goodConfig,
			[]webhooks.Option{webhooks.WithConfigFile("missing.yml")},
			"127.0.0.1:8071", fileToken,
		},
		"value over environment": {
			"missing.yml",
			[]webhooks.Option{webhooks.WithConfig(other)},
			"value.example.org", "value-token",
		},
		"value over file": {
			"",
			[]webhooks.Option{webhooks.WithConfigFile("missing.yml"), webhooks.WithConfig(other)},
			"value.example.org", "value-token",
		},
		"URL over file": {
			"",
			[]webhooks.Option{webhooks.WithServerURL(explicitURL), webhooks.WithConfigFile(goodConfig)},
			"explicit.example.org", fileToken,
		},
		"token over environment": {
			goodConfig,
			[]webhooks.Option{webhooks.WithAuthToken(explicitToken)},
			"127.0.0.1:8071", explicitToken,
		},
		"URL and token over value": {
			"",
			[]webhooks.Option{
				webhooks.WithConfig(other), webhooks.WithServerURL(explicitURL),
				webhooks.WithAuthToken(explicitToken),
			},
			"explicit.example.org", explicitToken,
		},
		"URL and token alone": {
			"",
			[]webhooks.Option{webhooks.WithServerURL(explicitURL), webhooks.WithAuthToken(explicitToken)},
			"explicit.example.org", explicitToken,
		},
		"URL completes a file without one": {
			configFolder + "/good-token-missing.yml",
			[]webhooks.Option{webhooks.WithAuthToken(explicitToken)},
			"127.0.0.1:8071", explicitToken,
		},
		"empty ones are left to the file": {
			"",
			[]webhooks.Option{
				webhooks.WithServerURL(""), webhooks.WithAuthToken(""),
				webhooks.WithConfigFile(goodConfig),
			},
			"127.0.0.1:8071", fileToken,
		},
		"nil option and empty file name": {
			"",
			[]webhooks.Option{
				nil, webhooks.WithConfigFile(""), webhooks.WithServerURL(explicitURL),
				webhooks.WithAuthToken(explicitToken),
			},
			"explicit.example.org", explicitToken,
		},
		"path prefix, slashes at its end": {
			configFolder + "/good-path-prefix.yml", nil,
			"example.org/svix/eu", fileToken,
		},
		"slashes at the end of the host": {
			"",
			[]webhooks.Option{webhooks.WithConfig(other), webhooks.WithServerURL(explicitURL + "//")},
			"explicit.example.org", "value-token",
		},
		"path prefix with an escaped letter": {
			"",
			[]webhooks.Option{webhooks.WithConfig(other), webhooks.WithServerURL("https://example.org/a%2Fb/")},
			"example.org/a%2Fb", "value-token",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv(webhooks.ConfigFileVariable, tt.environment)
			var url, token string
			transport := harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
				url, token = r.URL.Host+r.URL.EscapedPath(), r.Header.Get("Authorization")
				return nil, errors.New("not sent")
			})
			client, err := webhooks.NewClient(append(tt.opts,
				webhooks.WithHTTPClient(&http.Client{Transport: transport}),
				webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1}))...)
			if err != nil {
				t.Fatal(err)
			}
			if err := client.DeleteEventType(t.Context(), "a.b"); err == nil {
				t.Fatal("got no error, want that of the transport")
			}
			if want := tt.host + "/api/v1/event-type/a.b"; url != want || token != "Bearer "+tt.token {
				t.Errorf("asked %s with %q, want %s with the token %q", url, token, want, tt.token)
			}
		})
	}
}

// TestConfigFiles reads every file of the folder: those named good as they are, the others with an
// error that says all of what is listed here.
func TestConfigFiles(t *testing.T) {
	t.Setenv(webhooks.ConfigFileVariable, "")
	config := func(url, token string, retention int) webhooks.Config {
		return webhooks.Config{
			Svix:                 webhooks.SvixConfig{ServerURL: url, AuthToken: webhooks.Secret(token)},
			EventRetentionPeriod: retention,
		}
	}
	good := map[string]webhooks.Config{
		"good":                          config(fileURL+"/", fileToken, 30),
		"good-anchors":                  config(fileURL, fileToken, 0),
		"good-billion-laughs-elsewhere": config(fileURL, fileToken, 0),
		"good-minimal":                  config("https://svix.example.org", fileToken, 0),
		"good-other-keys-only":          {},
		"good-path-prefix":              config("https://example.org/svix/eu//", fileToken, 0),
		"good-svix-null":                config("", "", 5),
		"good-token-missing":            config(fileURL, "", 0),
		"good-webhooks-null":            {},
	}
	broken := map[string][]string{
		"anchor-contains-itself": {"line 2", `"svix"`},
		"billion-laughs":         {"line 9", "want a mapping"},
		"comment-only":           {"the file is empty"},
		"duplicate-key":          {"line 5", `"server_url"`},
		"duplicate-webhooks":     {"line 3", `"webhooks"`},
		"empty":                  {"the file is empty"},
		"list-at-top":            {"line 1", "found a list"},
		"many-mistakes": {
			`line 6: unknown key "region"`,
			"svix.server_url: not an http or https URL", "svix.auth_token", "900 days, want 5 to 90",
		},
		"not-yaml":                        {"not YAML", "line 2"},
		"retention-is-fraction":           {"event_retention_period", "line 2", "found a fraction"},
		"retention-is-list":               {"event_retention_period", "line 2", "found a list"},
		"retention-is-text":               {"event_retention_period", "line 2", "found a text"},
		"retention-negative":              {"event_retention_period", "-30 days"},
		"retention-too-large-for-integer": {"event_retention_period", "line 2", "too large"},
		"retention-too-long":              {"event_retention_period", "91 days, want 5 to 90"},
		"retention-too-short":             {"event_retention_period", "4 days, want 5 to 90"},
		"several-documents":               {"more than one YAML document"},
		"svix-is-text":                    {"line 2", "found a text, want a mapping"},
		"tab-indentation":                 {"not YAML", "line 2"},
		"text-at-top":                     {"line 1", "found a text, want a mapping"},
		"token-is-list":                   {"line 4", "found a list, want a text"},
		"token-with-blank":                {"svix.auth_token"},
		"token-with-line-break":           {"svix.auth_token"},
		"unknown-key":                     {`line 4: unknown key "auth_tokn"`},
		"unknown-key-case":                {`line 2: unknown key "Svix"`},
		"unknown-key-twice":               {`line 4: unknown key "auth-token"`, `line 5: unknown key "retention"`},
		"url-is-mapping":                  {"line 3", "found a mapping, want a text"},
		"url-not-a-url":                   {"svix.server_url", "not a URL"},
		"url-with-fragment":               {"svix.server_url", "fragment"},
		"url-with-other-scheme":           {"svix.server_url", "not an http or https URL"},
		"url-with-port-but-no-scheme":     {"svix.server_url"},
		"url-with-query":                  {"svix.server_url", "query"},
		"url-with-user":                   {"svix.server_url", "user information"},
		"url-without-host":                {"svix.server_url", "no host"},
		"url-without-scheme":              {"svix.server_url", "not an http or https URL"},
		"webhooks-is-list":                {"line 2", "found a list, want a mapping"},
		"webhooks-is-text":                {"line 1", "found a text, want a mapping"},
	}
	files, err := filepath.Glob(configFolder + "/*.yml")
	if err != nil || len(files) != len(good)+len(broken) {
		t.Fatalf("found %d files (%v), want %d", len(files), err, len(good)+len(broken))
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yml")
		t.Run(name, func(t *testing.T) {
			got, err := webhooks.LoadConfig(file)
			want, isGood := good[name]
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
			if isGood {
				if err != nil {
					t.Errorf("got the error %v, want none", err)
				}
				return
			}
			checkConfigError(t, err, append(broken[name], file)...)
			_, err = webhooks.NewClient(webhooks.WithConfigFile(file),
				webhooks.WithServerURL(fileURL), webhooks.WithAuthToken("explicit"))
			checkConfigError(t, err, broken[name]...)
		})
	}
}

// checkConfigError checks that an error is an ErrInvalidConfig that says what is wanted and shows
// no secret.
func checkConfigError(t *testing.T, err error, want ...string) {
	t.Helper()
	if !errors.Is(err, webhooks.ErrInvalidConfig) {
		t.Fatalf("got the error %v, want an ErrInvalidConfig", err)
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, err)
		}
	}
	for _, secret := range []string{"not-a-real", "not a real token"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
}

func TestConfigFileIsFound(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const thirty = "webhooks: {event_retention_period: 30}\n"
	tests := map[string]struct {
		environment, path string
		want              int      // retention period
		wantErr           []string // in the error; nil: none
	}{
		"nothing named":                     {"", "", 0, nil},
		"with .yml appended":                {"", strings.TrimSuffix(write("appended.yml", thirty), ".yml"), 30, nil},
		"with .yml appended to environment": {strings.TrimSuffix(write("appended2.yml", thirty), ".yml"), "", 30, nil},
		"any other name":                    {"", write("webhooks.conf", thirty), 30, nil},
		"JSON is YAML": {
			"",
			write("config.json", `{"webhooks": {"event_retention_period": 30}}`), 30, nil,
		},
		"byte order mark":  {"", write("bom.yml", "\ufeff"+thirty), 30, nil},
		"lines of Windows": {"", write("crlf.yml", strings.ReplaceAll(thirty, "\n", "\r\n")), 30, nil},
		"as large as possible": {
			"",
			write("large.yml", thirty+strings.Repeat("#", 1<<20-len(thirty))), 30, nil,
		},
		"too large": {
			"",
			write("too-large.yml", thirty+strings.Repeat("#", 1<<20-len(thirty)+1)), 0,
			[]string{"1 MiB", "too-large.yml"},
		},
		"missing": {
			"", filepath.Join(folder, "missing"), 0,
			[]string{"missing", "missing.yml"},
		},
		"missing, named by environment": {
			filepath.Join(folder, "missing"), goodConfig, 0,
			[]string{"missing", "missing.yml"},
		},
		"below a file":     {"", filepath.Join(goodConfig, "config.yml"), 0, []string{"good.yml"}},
		"a folder":         {"", folder, 0, []string{folder}},
		"no list of files": {"", goodConfig + ":" + goodConfig, 0, []string{"good.yml:"}},
		"no home":          {"", "~/config.yml", 0, []string{"~/config.yml"}},
		"NUL in its name":  {"", "a\x00b", 0, []string{"invalid"}},
		"not text":         {"", write("binary.yml", "webhooks: \x00\xff"), 0, []string{"not YAML"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv(webhooks.ConfigFileVariable, tt.environment)
			cfg, err := webhooks.LoadConfig(tt.path)
			if cfg.EventRetentionPeriod != tt.want {
				t.Errorf("got the configuration %+v, want a retention of %d days", cfg, tt.want)
			}
			if tt.wantErr == nil && err != nil {
				t.Errorf("got the error %v, want none", err)
			}
			if tt.wantErr != nil {
				checkConfigError(t, err, tt.wantErr...)
			}
		})
	}
}

// TestNewClientNamesEveryMistake: one error tells all that is wrong.
func TestNewClientNamesEveryMistake(t *testing.T) {
	t.Setenv(webhooks.ConfigFileVariable, "")
	const missingURL, missingToken = "URL of the Svix server is missing", "authentication token is missing"
	tests := map[string]struct {
		opts []webhooks.Option
		want []string
	}{
		"nothing":  {nil, []string{missingURL, missingToken}},
		"no URL":   {[]webhooks.Option{webhooks.WithAuthToken(fileToken)}, []string{missingURL}},
		"no token": {[]webhooks.Option{webhooks.WithServerURL(fileURL)}, []string{missingToken}},
		"empty file": {
			[]webhooks.Option{webhooks.WithConfigFile(configFolder + "/good-webhooks-null.yml")},
			[]string{missingURL, missingToken},
		},
		"value": {
			[]webhooks.Option{webhooks.WithConfig(webhooks.Config{
				Svix:                 webhooks.SvixConfig{ServerURL: "svix.example.org", AuthToken: "not a real token"},
				EventRetentionPeriod: 91,
			})},
			[]string{"svix.server_url", "svix.auth_token", "91 days"},
		},
		"options": {
			[]webhooks.Option{
				webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: -1}), webhooks.WithCacheTTL(-time.Second),
				webhooks.WithServerURL("https://someone:not-a-real-password@svix.example.org"),
			},
			[]string{"retry policy", "cache TTL", "user information", missingToken},
		},
		"negative backoff": {
			[]webhooks.Option{webhooks.WithRetry(webhooks.RetryPolicy{MinBackoff: -1})},
			[]string{"retry policy"},
		},
		"negative maximum": {
			[]webhooks.Option{webhooks.WithRetry(webhooks.RetryPolicy{MaxBackoff: -1})},
			[]string{"retry policy"},
		},
		"negative timeout": {
			[]webhooks.Option{webhooks.WithRetry(webhooks.RetryPolicy{AttemptTimeout: -1})},
			[]string{"retry policy"},
		},
		"token with newline": {[]webhooks.Option{
			webhooks.WithServerURL(fileURL),
			webhooks.WithAuthToken(fileToken + "\n"),
		}, []string{"WithAuthToken"}},
		"bad file, all explicit": {
			[]webhooks.Option{
				webhooks.WithConfigFile("missing.yml"),
				webhooks.WithServerURL(fileURL), webhooks.WithAuthToken(fileToken),
			}, []string{"missing.yml"},
		},
		"token outside ASCII": {[]webhooks.Option{
			webhooks.WithServerURL(fileURL),
			webhooks.WithAuthToken(fileToken + "é"),
		}, []string{"WithAuthToken"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			client, err := webhooks.NewClient(tt.opts...)
			checkConfigError(t, err, tt.want...)
			if client != nil {
				t.Error("got a client and an error")
			}
		})
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	const secret webhooks.Secret = fileToken
	text, err := secret.MarshalText()
	for _, got := range []string{secret.String(), secret.GoString(), secret.LogValue().String(), string(text)} {
		if got != "[redacted]" || err != nil {
			t.Errorf("got %q, %v; want [redacted]", got, err)
		}
	}
	if string(secret) != fileToken {
		t.Error("converted to a string it is not what it was")
	}
}

// loaded is a configuration file of the given text, loaded.
func loaded(t *testing.T, text string) (webhooks.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return webhooks.LoadConfig(path)
}

// manyKeys is a mapping, indented.
func manyKeys(n int, indentation string) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "%s%x:\n", indentation, i)
	}
	return text.String()
}

// TestYAMLThatIsRefused: what the YAML library lets pass, or chokes on.
func TestYAMLThatIsRefused(t *testing.T) {
	t.Setenv(webhooks.ConfigFileVariable, "")
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 9 {
		fmt.Fprintf(&laughs, "a%d: &a%d [%s]\n", i+1, i+1,
			strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	for name, test := range map[string]struct{ text, want string }{
		"unknown key": {
			"webhooks: {evnt_retention_period: 5}",
			`line 1: unknown key "evnt_retention_period"`,
		},
		"unknown key below": {
			"webhooks: {svix: {server_ulr: http://svix.test}}",
			`unknown key "server_ulr"`,
		},
		"key in capitals": {
			"webhooks: {svix: {Server_URL: http://svix.test}}",
			`unknown key "Server_URL"`,
		},
		"all unknown keys at once": {
			"webhooks:\n  a: 1\n  svix:\n    b: 2\n",
			`line 2: unknown key "a"; line 4: unknown key "b"`,
		},
		"key twice": {
			"webhooks:\n  svix: {}\n  svix: {}\n",
			`mapping key "svix" already defined at line 2`,
		},
		"nothing":                     {"", "the file is empty"},
		"blanks":                      {"  \n\n", "the file is empty"},
		"comments":                    {"# webhooks:\n", "the file is empty"},
		"second document":             {"webhooks: {}\n---\nwebhooks: {}\n", "more than one YAML document"},
		"empty second document":       {"webhooks: {}\n---\n", "more than one YAML document"},
		"billion laughs in webhooks":  {laughs.String() + "webhooks: {svix: *a9}\n", "want a mapping"},
		"billion laughs in the token": {laughs.String() + "webhooks: {svix: {auth_token: *a9}}\n", "want a text"},
		"nesting":                     {"webhooks: " + strings.Repeat("[", 20_000), "exceeded max depth"},
		"anchor that contains itself": {"webhooks: {svix: {auth_token: &a {b: *a}}}\n", "want a text"},
		"many keys":                   {manyKeys(20_000, ""), "keys, at most 2000"},
		"many keys below webhooks":    {"webhooks:\n" + manyKeys(20_000, " "), "keys, at most 2000"},
		"many keys below svix":        {"webhooks:\n svix:\n" + manyKeys(20_000, "  "), "keys, at most 2000"},
		"many keys by an alias": {
			"other: &o\n" + manyKeys(20_000, " ") + "webhooks: *o\n",
			"keys, at most 2000",
		},
		"file too large": {"webhooks: {}\n#" + strings.Repeat("x", 1<<20), "larger than 1 MiB"},
		"tab":            {"webhooks:\n\tsvix: {}\n", "not YAML"},
		"octal that is too large": {
			"webhooks: {event_retention_period: 0o17777777777777777777777}",
			"event_retention_period",
		},
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

// TestYAMLThatMeansWhatItSays: scalars that YAML reads as something else are the texts that were
// written.
func TestYAMLThatMeansWhatItSays(t *testing.T) {
	t.Setenv(webhooks.ConfigFileVariable, "")
	token := func(text string) webhooks.Config {
		return webhooks.Config{Svix: webhooks.SvixConfig{AuthToken: webhooks.Secret(text)}}
	}
	period := func(days int) webhooks.Config { return webhooks.Config{EventRetentionPeriod: days} }
	for name, test := range map[string]struct {
		text string
		want webhooks.Config
	}{
		"token like a fraction": {"webhooks: {svix: {auth_token: 1.10}}", token("1.10")},
		"token like a date":     {"webhooks: {svix: {auth_token: 2024-01-01}}", token("2024-01-01")},
		"token like octal":      {"webhooks: {svix: {auth_token: 017}}", token("017")},
		"token like a truth":    {"webhooks: {svix: {auth_token: yes}}", token("yes")},
		"token like a large number": {
			"webhooks: {svix: {auth_token: 12345678901234567890123}}",
			token("12345678901234567890123"),
		},
		"no token":            {"webhooks: {svix: {auth_token: null}}", webhooks.Config{}},
		"hexadecimal":         {"webhooks: {event_retention_period: 0x1e}", period(30)},
		"null":                {"webhooks: {event_retention_period: ~}", webhooks.Config{}},
		"by a merge":          {"base: &b {event_retention_period: 7}\nwebhooks: {<<: *b}\n", period(7)},
		"only null documents": {"---\n", webhooks.Config{}},
		"billion laughs elsewhere": {"a: &a [x, x]\nb: &b [*a, *a]\nother: [*b, *b]\nwebhooks: " +
			"{event_retention_period: 7}\n", period(7)},
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

// TestServerURLs: each leads to the API or to an error of NewClient.
func TestServerURLs(t *testing.T) {
	t.Setenv(webhooks.ConfigFileVariable, "")
	for given, want := range map[string]string{ // "": an error
		"http://svix.test":               "http://svix.test/api/v1/event-type/origin.create",
		"http://svix.test/":              "http://svix.test/api/v1/event-type/origin.create",
		"http://svix.test///":            "http://svix.test/api/v1/event-type/origin.create",
		"https://svix.test:8443/svix":    "https://svix.test:8443/svix/api/v1/event-type/origin.create",
		"http://svix.test/svix/":         "http://svix.test/svix/api/v1/event-type/origin.create",
		"http://[::1]:8071":              "http://[::1]:8071/api/v1/event-type/origin.create",
		"":                               "",
		"svix.test":                      "",
		"svix.test:8071":                 "",
		"//svix.test":                    "",
		"http:svix.test":                 "",
		"http:///api":                    "",
		"http://:8071":                   "",
		"http://svix.test/?x=1":          "",
		"http://svix.test/?":             "",
		"http://svix.test/#":             "",
		"http://svix.test/#fragment":     "",
		"http://user:password@svix.test": "",
		"http://user@svix.test":          "",
		"ftp://svix.test":                "",
		"unix:///run/svix":               "",
		"http://svix.test:port":          "",
		"http://svix test":               "",
		"http://svix.test/%zz":           "",
		"http://svix.test\n":             "",
	} {
		var asked string
		transport := harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			asked = r.URL.String()
			return nil, errors.New("not sent")
		})
		client, err := webhooks.NewClient(webhooks.WithServerURL(given), webhooks.WithAuthToken("token"),
			webhooks.WithHTTPClient(&http.Client{Transport: transport}),
			webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1}))
		if want == "" {
			if !errors.Is(err, webhooks.ErrInvalidConfig) {
				t.Errorf("%q: got %v, want ErrInvalidConfig", given, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", given, err)
			continue
		}
		_, _ = client.GetEventType(t.Context(), webhooks.TypeOriginCreate) // it fails
		if asked != want {
			t.Errorf("%q: asked %s, want %s", given, asked, want)
		}
	}
}

// TestTokenStaysAtHome: without a URL the SDK would take a token to the public cloud, to the region
// that its last part names.
func TestTokenStaysAtHome(t *testing.T) {
	t.Setenv(webhooks.ConfigFileVariable, "")
	for _, token := range []string{"testsk_x", "testsk_x.us", "testsk_x.eu", "sk_x.in"} {
		if _, err := webhooks.NewClient(webhooks.WithAuthToken(token)); !errors.Is(err, webhooks.ErrInvalidConfig) {
			t.Errorf("%s: got %v, want ErrInvalidConfig", token, err)
		}
		var host string
		asked := harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			host = r.URL.Host
			return nil, errors.New("not sent")
		})
		client, err := webhooks.NewClient(webhooks.WithServerURL("http://svix.test"), webhooks.WithAuthToken(token),
			webhooks.WithHTTPClient(&http.Client{Transport: asked}),
			webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1}))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = client.GetEventType(t.Context(), webhooks.TypeOriginCreate) // it fails
		if host != "svix.test" {
			t.Errorf("%s went to %q", token, host)
		}
	}
}

// TestMissingFileIsACause that a program can ask for.
func TestMissingFileIsACause(t *testing.T) {
	t.Setenv(webhooks.ConfigFileVariable, "")
	_, err := webhooks.LoadConfig(filepath.Join(t.TempDir(), "webhooks.yml"))
	if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, webhooks.ErrInvalidConfig) {
		t.Errorf("got %v, want both %v and %v", err, fs.ErrNotExist, webhooks.ErrInvalidConfig)
	}
}

// TestErrorOfAConfigurationIsShort, whatever is in it.
func TestErrorOfAConfigurationIsShort(t *testing.T) {
	t.Setenv(webhooks.ConfigFileVariable, "")
	for name, text := range map[string]string{
		"one key many times":    "webhooks:\n" + strings.Repeat("  a:\n", 1999),
		"many keys twice":       "webhooks:\n" + strings.Repeat(manyKeys(900, "  "), 2),
		"many unknown keys":     "webhooks:\n" + manyKeys(1900, "  "),
		"a key of many letters": "webhooks:\n  " + strings.Repeat("a", 1<<19) + ": 1\n",
		"an escape sequence":    "webhooks:\n  \"\\e[31m\": 1\n",
	} {
		_, err := loaded(t, text)
		if !errors.Is(err, webhooks.ErrInvalidConfig) || len(err.Error()) > 8<<10 ||
			strings.ContainsRune(err.Error(), 0x1b) {
			t.Errorf("%s: got %d bytes: %.200v", name, len(err.Error()), err)
		}
	}
}
