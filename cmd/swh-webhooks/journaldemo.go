package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/svixmock"
	"github.com/softwareheritage/webhooks/journal"
	"github.com/softwareheritage/webhooks/journal/testdata"
)

const (
	demoPartitions = 3
	demoDelay      = 15 * time.Millisecond // of the server, so that there is time to kill a feed
)

// A journalDemo shows the feed with a broker and a server of its own.
type journalDemo struct {
	out    io.Writer
	broker *kfake.Cluster
	mock   *svixmock.Server
	dir    string
	want   map[string]bool // ids of the events that the records stand for
	broken int
}

// runJournalDemo writes sample records, starts a feed, kills it half-way, starts another one, and
// returns an error unless each event is on the server once and each broken record in the dead
// letters.
func runJournalDemo(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "swh-webhooks-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMaxSessionTimeout(30*time.Minute),
		kfake.SeedTopics(demoPartitions, journal.DefaultPrefix+".origin", journal.DefaultPrefix+".origin_visit_status"))
	if err != nil {
		return err
	}
	defer broker.Close()
	d := &journalDemo{
		out: out, broker: broker, dir: dir, want: map[string]bool{},
		mock: svixmock.New(svixmock.Config{RetrySchedule: []time.Duration{}}),
	}
	defer d.mock.Close()
	d.mock.FailRate(1, 1, svixmock.Fault{Delay: demoDelay})
	url, stop, err := d.serve(ctx)
	if err != nil {
		return err
	}
	defer stop()
	return d.show(ctx, url)
}

// serve opens the server and registers the event types.
func (d *journalDemo) serve(ctx context.Context) (url string, stop func(), err error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: d.mock, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	stop = func() { _ = server.Close() }
	url = "http://" + listener.Addr().String()
	client, err := webhooks.NewClient(webhooks.WithConfig(webhooks.Config{}),
		webhooks.WithServerURL(url), webhooks.WithAuthToken(d.mock.Token()))
	for _, et := range webhooks.DefaultEventTypes() {
		if err == nil {
			err = client.CreateEventType(ctx, et)
		}
	}
	if err != nil {
		stop()
	}
	return url, stop, err
}

func (d *journalDemo) show(ctx context.Context, url string) error {
	records, err := d.produce(ctx)
	if err != nil {
		return err
	}
	d.say("%d sample records of the journal are in Kafka: %d events, some of them twice, and %d broken records.",
		records, len(d.want), d.broken)
	first, err := d.start(ctx, url)
	if err != nil {
		return err
	}
	for len(d.mock.Messages()) < len(d.want)/2 {
		select {
		case <-time.After(demoDelay):
		case err := <-first.ended:
			return fmt.Errorf("the feed ended too early: %w\n%s", err, first.log.String())
		}
	}
	if err := first.cmd.Process.Kill(); err != nil {
		return err
	}
	if err := <-first.ended; err == nil {
		return errors.New("the feed had ended before it was killed")
	}
	d.say("A feed was killed (SIGKILL) after %d of them were on the server.", len(d.mock.Messages()))
	second, err := d.start(ctx, url)
	if err != nil {
		return err
	}
	if err := <-second.ended; err != nil {
		return fmt.Errorf("the second feed failed: %w\n%s", err, second.log.String())
	}
	d.say("A second feed went on from what the first had committed, to the end.")
	return d.verdict()
}

// produce writes the samples of the two topics that are read.
func (d *journalDemo) produce(ctx context.Context) (records int, err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(d.broker.ListenAddrs()...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	for dec := json.NewDecoder(bytes.NewReader(testdata.Samples)); ; {
		var s struct {
			Topic string `json:"topic"`
			Key   []byte `json:"key"`
			Value []byte `json:"value"`
			Want  string `json:"want"`
		}
		if err := dec.Decode(&s); errors.Is(err, io.EOF) {
			return records, nil
		} else if err != nil {
			return 0, err
		}
		object := s.Topic[strings.LastIndexByte(s.Topic, '.')+1:]
		r := &kgo.Record{
			Topic: journal.DefaultPrefix + "." + object, Partition: int32(records % demoPartitions),
			Key: s.Key, Value: s.Value,
		}
		switch s.Want {
		case "unrelated":
			continue
		case "dead":
			d.broken++
		case "send":
			ev, err := journal.Decode(journal.Record{Topic: r.Topic, Value: r.Value}, journal.DecodeOptions{})
			if err != nil {
				return 0, err
			}
			d.want[ev.ID] = true
		}
		records++
		if err := client.ProduceSync(ctx, r).FirstErr(); err != nil {
			return 0, err
		}
	}
}

// A demoFeed is this program, run again.
type demoFeed struct {
	cmd   *exec.Cmd
	log   bytes.Buffer
	ended chan error
}

func (d *journalDemo) start(ctx context.Context, url string) (*demoFeed, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(d.dir, "webhooks.yml")
	config := fmt.Sprintf(`
journal: {brokers: [%q], group_id: demo, on_eof: stop, consumer_settings: {group.instance.id: demo}}
journal_feed: {concurrency: 4, commit_interval: 100ms, dead_letter: {file: %q}}
webhooks: {svix: {server_url: %q, auth_token: %q}}
`, d.broker.ListenAddrs()[0], d.deadLetters(), url, d.mock.Token())
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	f := &demoFeed{ended: make(chan error, 1)}
	f.cmd = exec.CommandContext(ctx, program) //nolint:gosec // this one
	f.cmd.Args = []string{"swh-webhooks", "--config-file", file, "journal-client"}
	f.cmd.Env = append(os.Environ(),
		webhooks.ConfigFileVariable+"=", urlVariable+"=", tokenVariable+"=", journal.InstanceVariable+"=")
	f.cmd.Stdout, f.cmd.Stderr = &f.log, &f.log
	if err := f.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { f.ended <- f.cmd.Wait() }()
	return f, nil
}

func (d *journalDemo) deadLetters() string { return filepath.Join(d.dir, "dead.ndjson") }

// verdict compares what is on the server with what has to be there.
func (d *journalDemo) verdict() error {
	stored := map[string]int{}
	for _, m := range d.mock.Messages() {
		stored[m.EventID]++
	}
	once := 0
	for id := range d.want {
		if stored[id] == 1 {
			once++
		}
	}
	dead := map[string]string{}
	for l, err := range journal.ReadDeadLetterFile(d.deadLetters()) {
		if err == nil { // else a line that the killed feed did not finish, and the second one wrote
			dead[l.Position()] = l.Reason
		}
	}
	d.say("On the server: %d of %d events once, %d messages in all.", once, len(d.want), len(d.mock.Messages()))
	d.say("In the dead letters: %d of %d broken records, each with its reason.", len(dead), d.broken)
	if once != len(d.want) || len(stored) != once || len(dead) != d.broken {
		return errors.New("not everything arrived exactly once")
	}
	d.say("Nothing was lost, nothing doubled.")
	return nil
}

func (d *journalDemo) say(format string, args ...any) {
	_, _ = fmt.Fprintf(d.out, format+"\n", args...)
}
