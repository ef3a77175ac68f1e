package journal_test

import (
	"flag"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// logger logs to a test, with -v.
func logger(t *testing.T) *slog.Logger {
	t.Helper()
	if !testing.Verbose() {
		return nil
	}
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// cutLast cuts a topic at its last dot.
func cutLast(topic string) (prefix, object string, found bool) {
	i := strings.LastIndexByte(topic, '.')
	if i < 0 {
		return "", topic, false
	}
	return topic[:i], topic[i+1:], true
}
