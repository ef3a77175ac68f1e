package main_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"
	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks"
	main "github.com/softwareheritage/webhooks/cmd/swh-webhooks"
	"github.com/softwareheritage/webhooks/internal/svixmock"
)

// TestHelpExamples runs the examples of each command's help, as they are, in a shell.
func TestHelpExamples(t *testing.T) {
	t.Parallel()
	for _, cmd := range allCommands(main.NewRootCommand()) {
		if cmd.Name() == "help" {
			continue // cobra's own
		}
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			t.Parallel()
			if cmd.Short == "" || !cmd.HasExample() {
				t.Fatal("a command without description or example")
			}
			runExample(t, cmd.Example)
		})
	}
}

func TestHelpFitsATerminal(t *testing.T) {
	t.Parallel()
	for _, cmd := range allCommands(main.NewRootCommand()) {
		root := main.NewRootCommand()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs(append(strings.Fields(cmd.CommandPath())[1:], "--help"))
		if err := root.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if width := uniseg.StringWidth(strings.TrimSuffix(line, "\n")); width > 80 {
				t.Errorf("%s: %d columns: %s", cmd.CommandPath(), width, line)
			}
		}
	}
}

func allCommands(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, child := range cmd.Commands() {
		all = append(all, allCommands(child)...)
	}
	return all
}

// runExample runs a shell script in a directory with the files, and with a server that has the
// event types and endpoints, that examples speak of.
func runExample(t *testing.T, example string) {
	t.Helper()
	mock := svixmock.New(svixmock.Config{Token: token, RetrySchedule: []time.Duration{}})
	handle(mock, "https://example.org", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(mock)
	t.Cleanup(server.Close)
	t.Cleanup(mock.Close)
	client := prepareServer(t, server.URL, "https://example.org/webhook")
	sendKnownEvent(t, mock, client)
	dir := t.TempDir()
	writeExampleFiles(t, dir, server.URL)

	script := "trap 'kill ${!:-} 2>/dev/null || :' EXIT\n" + example
	shell := exec.CommandContext(t.Context(), "sh", "-eu", "-c", script) //nolint:gosec // our own
	shell.Dir = dir
	shell.Env = append(os.Environ(), "SVIX_URL="+server.URL, "SVIX_TOKEN="+token,
		"SWH_CONFIG_FILENAME=")
	shell.WaitDelay = 10 * time.Second // for what runs in the background
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), "Error") {
		t.Errorf("output: %s", out)
	}
}

// sendKnownEvent sends the event that examples speak of.
func sendKnownEvent(t *testing.T, mock *svixmock.Server, client *webhooks.Client) {
	t.Helper()
	payload := webhooks.OriginCreate{OriginURL: "https://github.com/torvalds/linux"}
	known := webhooks.Event{Type: webhooks.TypeOriginCreate, ID: "linux-1", Payload: payload}
	if _, err := client.SendEvent(t.Context(), known); err != nil {
		t.Fatal(err)
	}
	if err := mock.WaitForDeliveries(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
}

// prepareServer registers event types, each with an endpoint, and returns the client that did.
func prepareServer(t *testing.T, url, receiver string) *webhooks.Client {
	t.Helper()
	client, err := webhooks.NewClient(webhooks.WithConfig(webhooks.Config{}),
		webhooks.WithServerURL(url), webhooks.WithAuthToken(token))
	if err != nil {
		t.Fatal(err)
	}
	types := append(webhooks.DefaultEventTypes(), webhooks.EventType{
		Name:   "a.b",
		Schema: json.RawMessage(`{"type": "object", "properties": {"bad": false}}`),
	})
	for _, et := range types {
		if err := client.CreateEventType(t.Context(), et); err != nil {
			t.Fatal(err)
		}
		if err := client.CreateEndpoint(t.Context(), webhooks.Endpoint{
			EventType: et.Name,
			URL:       receiver,
		}, ""); err != nil {
			t.Fatal(err)
		}
	}
	return client
}

func writeExampleFiles(t *testing.T, dir, url string) {
	t.Helper()
	config := "webhooks:\n  svix:\n    server_url: " + url + "\n    auth_token: " + token + "\n"
	files := map[string]string{ //nolint:gosec // the credentials are of the mock server
		"webhooks.yml":  config,
		"other.yml":     config,
		"payload.json":  `{"origin_url": "https://github.com/torvalds/linux"}`,
		"schema.json":   `{"type": "object", "description": "An origin has a new URL"}`,
		"secret.txt":    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
		"events.ndjson": `{"type": "origin.create", "payload": {"origin_url": "https://a.org"}}` + "\n",
		"events.failed.ndjson": `{"type": "origin.create", "payload": {"origin_url": "https://b.org"}, ` +
			`"id": "b", "line": 1, "error": "e"}` + "\n",
		"origins.ndjson": `{"origin_url": "https://c.org"}` + "\n",
		"dead.ndjson": `{"topic": "swh.journal.objects.origin", "partition": 0, "offset": 7, ` +
			`"timestamp": "2026-11-25T12:00:00Z", "class": "refused", "error": "e", ` +
			`"value": "gaN1cmy6aHR0cHM6Ly9naXRodWIuY29tL2dpdC9naXQ="}` + "\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
