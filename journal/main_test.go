package journal_test

import (
	"flag"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/softwareheritage/webhooks/internal/harness"
	"github.com/softwareheritage/webhooks/internal/journaltest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	if job := os.Getenv(feedProcess); job != "" {
		os.Exit(runFeedProcess(job))
	}
	if journaltest.ServeIfAsked() {
		return
	}
	harness.Main(m)
}

// logger logs to a test, with -v.
func logger(t *testing.T) *slog.Logger {
	t.Helper()
	if !testing.Verbose() {
		return nil
	}
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// objectOf returns the object type of a topic.
func objectOf(topic string) string { return topic[strings.LastIndexByte(topic, '.')+1:] }

// onReal tells whether the tests run on a real broker.
func onReal() bool { return os.Getenv(journaltest.BrokersVariable) != "" }
