package journal_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/softwareheritage/webhooks/internal/journaltest"
)

// pythonVariable is the environment variable that names a Python in which the package swh.journal
// is installed.
const pythonVariable = "SWH_JOURNAL_PYTHON"

// TestPythonWritesAndAPythonGroupIsTakenOver has the archive's own packages write the journal and
// read a part of it; the feed goes on from there.
func TestPythonWritesAndAPythonGroupIsTakenOver(t *testing.T) {
	t.Parallel()
	if os.Getenv(pythonVariable) == "" {
		t.Skip(pythonVariable + " names no Python with swh.journal")
	}
	const records, before = 300, 200 // of each of the two types; read by Python
	broker, server := journaltest.NewBroker(t, 3), newSvix(t)
	python(t, "write", broker.Addresses[0], broker.Prefix, strconv.Itoa(records))
	if got := python(t, "read", broker.Addresses[0], broker.Prefix, broker.Group,
		strconv.Itoa(before)); got != strconv.Itoa(
		before,
	) {
		t.Fatalf("Python read %s records, want %d", got, before)
	}
	if got := broker.Committed(t, broker.Group); got != before {
		t.Fatalf("Python committed %d records, want %d", got, before)
	}
	if _, err := run(t, config(broker), server.client(t)); err != nil {
		t.Fatal(err)
	}
	if got := len(server.eventIDs()); got != 2*records-before {
		t.Errorf("%d messages, want the other %d", got, 2*records-before)
	}
	cfg := config(broker) // and all of it, for another group
	cfg.GroupID += "-2"
	if _, err := run(t, cfg, server.client(t)); err != nil {
		t.Fatal(err)
	}
	if got := len(server.eventIDs()); got != 2*records {
		t.Errorf("%d messages, want %d", got, 2*records)
	}
}

// python runs testdata/interop.py.
func python(t *testing.T, args ...string) string {
	t.Helper()
	args = append([]string{"testdata/interop.py"}, args...)
	cmd := exec.CommandContext(t.Context(), os.Getenv(pythonVariable), args...) //nolint:gosec // of the operator
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
