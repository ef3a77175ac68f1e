package journal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os/signal"
	"syscall"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/journaltest"
	"github.com/softwareheritage/webhooks/journal"
)

// A service that feeds webhooks until it is asked to end, configured by the file that the
// environment variable SWH_CONFIG_FILENAME names.
func Example() { //nolint:testableexamples // needs a Kafka cluster
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, err := journal.LoadConfig("webhooks.yml")
	if err != nil {
		log.Fatal(err)
	}
	client, err := webhooks.NewClient(webhooks.WithConfigFile("webhooks.yml"), webhooks.WithoutListenerCheck(),
		webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1})) // the feed tries again itself
	if err != nil {
		log.Fatal(err)
	}
	feed, err := journal.New(cfg, client)
	if err != nil {
		log.Fatal(err)
	}
	err = feed.Run(ctx)
	_ = client.Drain(context.WithoutCancel(ctx))
	if errors.Is(err, journal.ErrStopped) {
		log.Fatal(err) // an operator has to do something: the text says what
	}
}

func ExampleDecode() {
	record := journal.Record{
		Topic: "swh.journal.objects.origin_visit_status", Partition: 3, Offset: 14,
		Value: journaltest.Status("https://github.com/git/git", 1, 1700000000, "full"),
	}
	event, err := journal.Decode(record, journal.DecodeOptions{})
	if err != nil {
		log.Fatal(err)
	}
	payload, err := json.MarshalIndent(event.Payload, "", "  ")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(event.Type, "on", event.Channel)
	fmt.Println(event.ID)
	fmt.Println(string(payload))

	_, err = journal.Decode(
		journal.Record{Topic: "swh.journal.objects.origin", Value: []byte{0x80}},
		journal.DecodeOptions{},
	)
	fmt.Println(err)
	_, err = journal.Decode(journal.Record{Topic: "swh.journal.objects.origin"}, journal.DecodeOptions{}) // a tombstone
	fmt.Println(errors.Is(err, journal.ErrSkip))
	// Output:
	// origin.visit on https://github.com/git/git
	// journal-edbc06c6f6c330d7d1cab878a1c0e5c57c90bb2a2cbeb3b8eb709f6d0d785f32
	// {
	//   "origin_url": "https://github.com/git/git",
	//   "snapshot_swhid": "swh:1:snp:0000000000000000000000000000000000000000",
	//   "visit_date": "2023-11-14T22:13:20+00:00",
	//   "visit_status": "full",
	//   "visit_type": "git"
	// }
	// journal: invalid record: url: missing
	// true
}
