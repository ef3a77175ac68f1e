package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/foreign"
	"github.com/softwareheritage/webhooks/journal"
)

// A journalClient is the command that feeds webhooks from the archive's journal. What is given on
// the command line wins over the configuration file.
type journalClient struct {
	settings *settings

	brokers         []string
	prefix, groupID string
	stopAfter       int
	batchSize       int
	deadLetterTopic string
	deadLetterFile  string
	metrics         string
	allowRemote     bool
	dryRun          bool
	onlyHeard       time.Duration
	demo            bool
}

func newJournalClientCommand(s *settings) *cobra.Command {
	j := journalClient{settings: s}
	cmd := &cobra.Command{
		Use:   "journal-client",
		Short: "Send the events of the archive's Kafka journal",
		Long: `Send an event for each origin and visit in the archive's Kafka journal.

It reads the topics PREFIX.origin and PREFIX.origin_visit_status as a member of
a consumer group, and sends origin.create and origin.visit events on the
channel of the origin, until Ctrl-C or SIGTERM. Events on their way then arrive
first; a second signal ends it at once, which loses nothing either. Any number
of processes can share the work: start them with the same --group-id.

No event is lost, and none is stored twice: Kafka is told that a record is done
when its event is on the server, and the event's id is made of what the record
says, so that a second copy of a record or a repetition after a crash is the
same event. A record that cannot be sent, because it is broken or the server
refuses it for what it is, goes to the dead letters (--dead-letter-topic or
--dead-letter-file); without them the command ends at the first one. If the
server is down or refuses the token, the command waits and tries again. If it
does so at the start, it says why and ends.

The configuration file is the one of the Python command: brokers, group_id,
prefix, object_types and the settings of librdkafka are read from its key
"journal". What this command alone knows stands below the key "journal_feed":

  journal_feed:
    # or file: /var/lib/webhooks/dead.ndjson
    dead_letter: {topic: swh.webhooks.dead}
    # tells archives apart that share a Svix server (default: the prefix)
    namespace: swh.journal.objects
    # or position: each record is an event of its own
    event_id: object
    concurrency: 64         # events on their way at once
    max_in_flight: 1024     # records held, and max_in_flight_bytes: 67108864
    commit_interval: 1s
    # for events on their way when a partition goes to another process
    drain_timeout: 5s
    shutdown_timeout: 20s   # ... and when the command ends
    # refused by the registered schemas although the archive's own allow them
    max_dead_in_a_row: 100

To move over from Python: stop its processes, then start these with the same
file and group id. They go on where Python committed. Python's last uncommitted
batch is sent twice, since its messages carry no id. Of one group only
processes of one kind can run at a time.

--metrics serves /metrics, for Prometheus, and /healthz. The alarm to have is
on swh_webhooks_journal_oldest_open_seconds: how long the first record that is
not done has been waiting.

KAFKA_GROUP_INSTANCE_ID makes the process a static member of its group, as it
does with Python.`,
		Example: `  # see it work: sample records, a broker and a server in this process, and a
  # feed that is killed
  swh-webhooks journal-client --demo`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return j.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&j.brokers, "broker", nil, "`ADDRESS` of a Kafka broker; can be repeated")
	flags.StringVar(&j.prefix, "prefix", "", "`PREFIX` of the topics (default: swh.journal.objects)")
	flags.StringVar(&j.groupID, "group-id", "", "`NAME` of the consumer group")
	flags.VarP(count{&j.stopAfter}, "stop-after-objects", "m", "end after `N` records (default: never)")
	flags.VarP(count{&j.batchSize}, "batch-size", "b", "take at most `N` records at once (default: 200)")
	flags.StringVar(&j.deadLetterTopic, "dead-letter-topic", "", "`TOPIC` for records that cannot be sent")
	flags.StringVar(&j.deadLetterFile, "dead-letter-file", "", "`FILE` for records that cannot be sent, appended to")
	flags.StringVar(&j.metrics, "metrics", "", "serve metrics at this `ADDRESS`, such as 127.0.0.1:9464")
	flags.BoolVar(&j.allowRemote, "allow-remote", false, "allow an address for metrics that other machines reach")
	flags.BoolVar(&j.dryRun, "dry-run", false,
		"count what would become of the records that are there; join no group and send nothing")
	flags.DurationVar(&j.onlyHeard, "only-heard", 0,
		"store nothing for events that nobody listens to, and believe that nobody does for this `TIME`")
	flags.Lookup("only-heard").NoOptDefVal = "1s"
	flags.BoolVar(&j.demo, "demo", false, "show it with sample records, without Kafka and Svix")
	cmd.AddCommand(newReplayCommand(s))
	return cmd
}

func (j *journalClient) run(cmd *cobra.Command) error {
	if j.demo {
		return runJournalDemo(cmd.Context(), cmd.OutOrStdout())
	}
	cfg, err := j.config()
	if err != nil {
		return err
	}
	for _, notice := range cfg.Notices {
		cmd.PrintErrln("Notice:", foreign.Printable(notice))
	}
	if j.dryRun {
		outcomes, err := journal.DryRun(cmd.Context(), cfg)
		return errors.Join(err, printOutcomes(cmd.OutOrStdout(), outcomes, "would be sent"))
	}
	client, err := feedClient(cmd, j.settings, j.onlyHeard)
	if err != nil {
		return err
	}
	feed, err := journal.New(cfg, client, journal.WithLogger(slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))))
	if err != nil {
		return err
	}
	at, stopMetrics, err := serveMetrics(cmd.Context(), j.metrics, j.allowRemote, feed.Stats)
	if err != nil {
		return err
	}
	defer stopMetrics()
	if at != nil {
		cmd.PrintErrf("Metrics: http://%s/metrics\n", at)
	}
	if err := feed.Run(cmd.Context()); err != nil {
		return explainFeed(err)
	}
	if err := printOutcomes(cmd.OutOrStdout(), feed.Stats().Topics, "sent"); err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), "Done.")
	return err
}

// config is that of the file with what the command line says.
func (j *journalClient) config() (journal.Config, error) {
	cfg, err := journal.LoadConfig(j.settings.configFile)
	if err != nil {
		return cfg, err
	}
	if len(j.brokers) > 0 {
		cfg.Brokers = j.brokers
	}
	if j.prefix != "" {
		cfg.Prefix = j.prefix
	}
	if j.groupID != "" {
		cfg.GroupID = j.groupID
	}
	if j.stopAfter != 0 {
		cfg.StopAfterObjects = j.stopAfter
	}
	if j.batchSize != 0 {
		cfg.BatchSize = j.batchSize
	}
	if j.deadLetterTopic != "" || j.deadLetterFile != "" {
		cfg.DeadLetter.Topic, cfg.DeadLetter.File = j.deadLetterTopic, j.deadLetterFile
	}
	return cfg, nil
}

// feedClient is a client as a feed needs it: the feed itself tries again what fails.
func feedClient(cmd *cobra.Command, s *settings, onlyHeard time.Duration) (*webhooks.Client, error) {
	heard := webhooks.WithoutListenerCheck()
	if onlyHeard > 0 {
		heard = webhooks.WithNobodyListensTTL(onlyHeard)
	}
	return s.client(cmd, heard, webhooks.WithRetry(webhooks.RetryPolicy{MaxAttempts: 1}))
}

// explainFeed keeps what the feed says to do, which the error within does not.
func explainFeed(err error) error {
	if errors.Is(err, journal.ErrStopped) {
		text := strings.TrimPrefix(err.Error(), journal.ErrStopped.Error()+": ")
		return namedError{withoutPackage(text), err}
	}
	return err
}

// printOutcomes prints what became of the records of each topic.
func printOutcomes(w io.Writer, topics map[string]journal.Outcomes, sent string) error {
	for _, topic := range slices.Sorted(maps.Keys(topics)) {
		o := topics[topic]
		line := fmt.Sprintf("%s: %d %s", foreign.Printable(topic), o.Sent, sent)
		if o.Unheard > 0 {
			line += fmt.Sprintf(", %d with no listener", o.Unheard)
		}
		if _, err := fmt.Fprintf(w, "%s, %d without event, %d dead letters\n", line, o.Skipped, o.Dead); err != nil {
			return err
		}
	}
	return nil
}
