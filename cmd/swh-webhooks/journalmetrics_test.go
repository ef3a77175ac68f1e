package main_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	main "github.com/softwareheritage/webhooks/cmd/swh-webhooks"
	"github.com/softwareheritage/webhooks/journal"
)

func TestMetricsSayWhatTheFeedDoes(t *testing.T) {
	t.Parallel()
	stats := journal.Stats{
		Topics: map[string]journal.Outcomes{
			"swh.journal.objects.origin": {Sent: 5, Unheard: 1, Skipped: 2, Dead: 3},
		},
		Partitions: []journal.PartitionStats{
			{
				Topic:      "swh.journal.objects.origin",
				Partition:  4,
				Committed:  17,
				Lag:        9,
				OldestOpen: 1500 * time.Millisecond,
			},
			{Topic: "swh.journal.objects.origin", Partition: 5, Committed: -1},
		},
		Retries:       map[string]int{"server": 7},
		GateClosed:    true,
		InFlight:      12,
		Stuck:         1,
		Commits:       8,
		CommitsFailed: 2,
		Rebalances:    3,
		DataLoss:      1,
		SendSeconds:   journal.Histogram{Bounds: []float64{0.01, 1}, Counts: []uint64{4, 5}, Count: 5, Sum: 0.5},
		LastSuccess:   time.Unix(1795620000, 0),
	}
	at, stop, err := main.ServeMetrics(t.Context(), "127.0.0.1:0", false, func() journal.Stats { return stats })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	defer http.DefaultClient.CloseIdleConnections()
	var ours strings.Builder
	for line := range strings.SplitSeq(get(t, "http://"+at.String()+"/metrics"), "\n") {
		if strings.Contains(line, "swh_webhooks_journal") {
			ours.WriteString(line + "\n")
		}
	}
	want, err := os.ReadFile("testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), ours.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := get(t, "http://"+at.String()+"/healthz"); got != "ok\n" {
		t.Errorf("healthz: %q", got)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", url, response.StatusCode, err)
	}
	return string(body)
}
