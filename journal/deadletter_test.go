package journal_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/journaltest"
	"github.com/softwareheritage/webhooks/internal/svixmock"
	"github.com/softwareheritage/webhooks/journal"
)

func TestDeadLettersOfATopicAreWhatTheyWere(t *testing.T) {
	t.Parallel()
	broker, server := journaltest.NewBroker(t, 1), newSvix(t)
	topic := broker.Topic("dead")
	broker.CreateTopics(t, 2, topic)
	at := time.Date(2026, 11, 25, 12, 0, 0, 123_000_000, time.UTC)
	broker.Produce(
		t,
		&kgo.Record{Topic: broker.Topic("origin"), Key: []byte("key"), Value: journaltest.Broken, Timestamp: at},
		&kgo.Record{
			Topic:     broker.Topic("origin_visit_status"),
			Value:     journaltest.Status("https://a.org", 1, 0, "exploded"),
			Timestamp: at,
		},
	)
	cfg := config(broker)
	cfg.DeadLetter.Topic = topic
	if _, err := run(t, cfg, server.client(t)); err != nil {
		t.Fatal(err)
	}
	var got []journal.DeadLetter
	for l, err := range journal.ReadDeadLetterTopic(t.Context(), cfg, topic) {
		if err != nil {
			t.Fatal(err)
		}
		if l.TopicID == [16]byte{} {
			t.Error("no topic id")
		}
		l.TopicID = [16]byte{}
		got = append(got, l)
	}
	if len(got) == 2 && got[0].Class != journal.ClassMalformed {
		got[0], got[1] = got[1], got[0]
	}
	status := journal.Record{
		Topic:     broker.Topic("origin_visit_status"),
		Timestamp: at,
		Value:     journaltest.Status("https://a.org", 1, 0, "exploded"),
	}
	ev, err := journal.Decode(status, journal.DecodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, refusal := server.client(t).SendEvent(t.Context(), ev)
	want := []journal.DeadLetter{
		{
			Record: journal.Record{
				Topic:     broker.Topic("origin"),
				Timestamp: at,
				Key:       []byte("key"),
				Value:     journaltest.Broken,
			},
			Class:  journal.ClassMalformed,
			Reason: "journal: invalid record: found int, not a map",
		},
		{Record: status, EventID: ev.ID, Class: journal.ClassRefused, Reason: refusal.Error()},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A brokenStore cannot store anything for a while.
type brokenStore struct {
	works  atomic.Bool
	stored sync.Map
	tries  atomic.Int64
}

func (s *brokenStore) Store(_ context.Context, l journal.DeadLetter) error {
	s.tries.Add(1)
	if !s.works.Load() {
		return syscall.ENOSPC
	}
	s.stored.Store(l.Position(), l.Class)
	return nil
}

func TestOffsetStandsUntilTheDeadLetterIsStored(t *testing.T) {
	t.Parallel()
	broker, server := journaltest.NewBroker(t, 2), newSvix(t)
	broker.Produce(t, &kgo.Record{Topic: broker.Topic("origin"), Value: journaltest.Broken})
	want := origins(t, broker, 0, 0, 20)
	want = append(want, origins(t, broker, 1, 20, 40)...)
	store := &brokenStore{}
	feed := runBeside(t, config(broker), server.client(t), journal.WithDeadLetters(store))
	eventually(t, "it is tried again", func() bool { return store.tries.Load() > 3 })
	eventually(t, "the others arrive", func() bool { return broker.Committed(t, broker.Group) == 20 })
	checkStored(t, server, want)
	if feed.Stats().GateClosed {
		t.Error("a store that fails keeps events from being sent")
	}
	store.works.Store(true)
	eventually(t, "all is committed", func() bool { return broker.Committed(t, broker.Group) == 41 })
	feed.stop(t)
	if _, ok := store.stored.Load(broker.Topic("origin") + "/0/0"); !ok {
		t.Error("the dead letter is not there")
	}
}

func TestFullDiskIsAnErrorOfTheDeadLetterFile(t *testing.T) {
	t.Parallel()
	const full = "/dev/full"
	if _, err := os.Stat(full); err != nil {
		t.Skip("this system has no device that is always full")
	}
	store, err := journal.OpenDeadLetterFile(full)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Store(t.Context(), journal.DeadLetter{}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want ENOSPC", err)
	}
}

func TestLineThatAProcessDidNotFinishCostsNoOther(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dead.ndjson")
	store, err := journal.OpenDeadLetterFile(path)
	if err != nil {
		t.Fatal(err)
	}
	letter := journal.DeadLetter{
		Record: journal.Record{Topic: "a", Timestamp: time.Unix(0, 0).UTC(), Value: []byte("v")},
		Class:  "c",
	}
	for range 2 {
		if err := store.Store(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-7); err != nil {
		t.Fatal(err)
	}
	if err := store.Store(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	good, bad := 0, 0
	for l, err := range journal.ReadDeadLetterFile(path) {
		switch {
		case err == nil && cmp.Equal(l, letter):
			good++
		case err != nil && strings.Contains(err.Error(), "line 2"):
			bad++
		default:
			t.Errorf("%+v, %v", l, err)
		}
	}
	if good != 2 || bad != 1 {
		t.Errorf("%d lines are good and %d are not, want 2 and 1", good, bad)
	}
}

func TestProcessesShareADeadLetterFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dead.ndjson")
	var writing sync.WaitGroup
	for process := range int32(4) {
		store, err := journal.OpenDeadLetterFile(path) // each with a file of its own
		if err != nil {
			t.Fatal(err)
		}
		writing.Go(func() {
			for i := range 25 {
				l := journal.DeadLetter{
					Record: journal.Record{
						Topic:     "a",
						Partition: process,
						Offset:    int64(i),
						Value:     make([]byte, 10_000),
					},
				}
				if err := store.Store(t.Context(), l); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	got := map[string]bool{}
	for l, err := range journal.ReadDeadLetterFile(path) {
		if err != nil {
			t.Fatal(err)
		}
		got[l.Position()] = true
	}
	if len(got) != 100 {
		t.Errorf("%d dead letters, want 100", len(got))
	}
}

func TestFeedEndsAtADeadLetterWithoutPlace(t *testing.T) {
	t.Parallel()
	broker, server := journaltest.NewBroker(t, 1), newSvix(t)
	want := origins(t, broker, 0, 0, 10)
	broker.Produce(t, &kgo.Record{Topic: broker.Topic("origin"), Value: journaltest.Broken})
	_, err := run(t, config(broker), server.client(t))
	if !errors.Is(err, journal.ErrStopped) || !strings.Contains(err.Error(), broker.Topic("origin")+"/0/10") {
		t.Errorf("got %v, want ErrStopped with the position", err)
	}
	checkStored(t, server, want)
	if got := broker.Committed(t, broker.Group); got != 10 {
		t.Errorf("committed %d, want 10", got)
	}
}

// TestWrongSchemasEndTheFeed registers a schema that refuses what the archive sends.
func TestWrongSchemasEndTheFeed(t *testing.T) {
	t.Parallel()
	broker, server := journaltest.NewBroker(t, 1), newSvix(t)
	client := server.client(t)
	wrong := webhooks.EventType{Name: webhooks.TypeOriginCreate, Schema: []byte(`{"type":"object","required":["url"]}`)}
	if err := client.CreateEventType(t.Context(), wrong); err != nil {
		t.Fatal(err)
	}
	broker.Produce(t, &kgo.Record{Topic: broker.Topic("origin"), Value: journaltest.Broken}) // does not count
	for i := range 20 {                                                                      // the others are taken
		origins(t, broker, 0, 10*i, 10*i+10)
		status := journaltest.Status(originURL(i), 1, 0, "full")
		broker.Produce(t, &kgo.Record{Topic: broker.Topic("origin_visit_status"), Value: status})
	}
	cfg := config(broker)
	cfg.Concurrency = 4
	cfg.DeadLetter.File = filepath.Join(t.TempDir(), "dead.ndjson")
	cfg.MaxDeadInARow = 10
	_, err := run(t, cfg, client)
	var refused *webhooks.PayloadError
	if !errors.Is(err, journal.ErrStopped) || !errors.As(err, &refused) ||
		!strings.Contains(err.Error(), "register-defaults") {
		t.Errorf("got %v, want ErrStopped with the refusal", err)
	}
	if got := broker.Committed(t, broker.Group); got > 80 {
		t.Errorf("%d records are passed over", got)
	}
}

func TestServerThatRefusesAtTheStartIsTold(t *testing.T) {
	t.Parallel()
	broker, server := journaltest.NewBroker(t, 1), newSvix(t)
	origins(t, broker, 0, 0, 10)
	for name, tt := range map[string]struct {
		fault svixmock.Fault
		want  string
	}{
		"token":         {svixmock.Fault{Status: http.StatusUnauthorized}, "refuses the token"},
		"wrong address": {svixmock.Fault{Status: http.StatusNotFound, Body: "<html>"}, "is its URL right?"},
		"moved":         {svixmock.Fault{Status: http.StatusMovedPermanently}, "is its URL right?"},
		"no event types": {
			svixmock.Fault{Status: http.StatusNotFound, Body: `{"code":"not_found"}`}, "register-defaults",
		},
	} {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // one fault at a time
			server.FailRate(1, 1, tt.fault)
			_, err := run(t, config(broker), server.client(t))
			if !errors.Is(err, journal.ErrStopped) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want ErrStopped with %q", err, tt.want)
			}
		})
	}
	if got := broker.Committed(t, broker.Group); got != 0 {
		t.Errorf("committed %d", got)
	}
	server.FailRate(0, 1)
	server.FailNext(3, svixmock.Fault{Status: http.StatusServiceUnavailable}) // which is waited for
	server.FailNext(3, svixmock.Fault{Truncate: true})
	if _, err := run(t, config(broker), server.client(t)); err != nil {
		t.Error(err)
	}
	if got := len(server.eventIDs()); got != 10 {
		t.Errorf("%d messages, want 10", got)
	}
}
