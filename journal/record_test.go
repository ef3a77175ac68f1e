package journal_test

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/tinylib/msgp/msgp"
	"pgregory.net/rapid"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/journal"
	"github.com/softwareheritage/webhooks/webhookstest"
)

// sampleNamespace is the namespace in the ids of the samples.
const sampleNamespace = "swh.journal.objects"

// A sample is a record that the archive's own writer made, or one in an old or broken form, and
// what becomes of it.
type sample struct {
	Topic string `json:"topic"`
	Key   []byte `json:"key"`
	Value []byte `json:"value"`
	Note  string `json:"note"`
	Event *struct {
		Type    string          `json:"type"`
		Payload json.RawMessage `json:"payload"`
		Channel string          `json:"channel"`
	} `json:"-"`
	RawEvent json.RawMessage `json:"event"`
	Want     string          `json:"want"`
	EventID  string          `json:"event_id"`
}

func (s sample) record() journal.Record {
	return journal.Record{Topic: s.Topic, Key: s.Key, Value: s.Value}
}

func samples(tb testing.TB) []sample {
	tb.Helper()
	file, err := os.Open("testdata/samples.ndjson")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var all []sample
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s sample
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			tb.Fatal(err)
		}
		if s.Want == "send" {
			if err := json.Unmarshal(s.RawEvent, &s.Event); err != nil {
				tb.Fatal(err)
			}
		}
		all = append(all, s)
	}
	if len(all) != 158 {
		tb.Fatalf("%d samples, want 158", len(all))
	}
	return all
}

func TestSamplesBecomeTheEventsOfTheReference(t *testing.T) {
	t.Parallel()
	for i, s := range samples(t) {
		ev, err := journal.Decode(s.record(), journal.DecodeOptions{Namespace: sampleNamespace})
		switch s.Want {
		case "send":
			if err != nil {
				t.Errorf("%d, %s: %v", i, s.Note, err)
				continue
			}
			payload, err := json.Marshal(ev.Payload)
			if err != nil {
				t.Fatal(err)
			}
			var got, want any
			if err := errors.Join(json.Unmarshal(payload, &got), json.Unmarshal(s.Event.Payload, &want)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%d, %s: payload (-want +got):\n%s", i, s.Note, diff)
			}
			if ev.Type != s.Event.Type || ev.Channel != s.Event.Channel || ev.ID != s.EventID {
				t.Errorf("%d, %s: got %s on %s, id %s; want %s on %s, id %s", i, s.Note,
					ev.Type, ev.Channel, ev.ID, s.Event.Type, s.Event.Channel, s.EventID)
			}
		case "skip", "unrelated":
			if !errors.Is(err, journal.ErrSkip) {
				t.Errorf("%d, %s: got %v, want ErrSkip", i, s.Note, err)
			}
		case "dead":
			if err == nil {
				err = refusal(t, ev)
			}
			if err == nil || errors.Is(err, journal.ErrSkip) {
				t.Errorf("%d, %s: got %v, want an error", i, s.Note, err)
			}
		default:
			t.Fatalf("%d: unknown verdict %q", i, s.Want)
		}
	}
}

func TestPositionID(t *testing.T) {
	t.Parallel()
	r := journal.Record{Topic: "swh.journal.objects.origin", Partition: 3, Offset: 1234567, Value: samples(t)[0].Value}
	id, err := hex.DecodeString("8fa9955ae3f7733bf9c9a618c5f77dd7")
	if err != nil {
		t.Fatal(err)
	}
	r.TopicID = [16]byte(id)
	ev, err := journal.Decode(r, journal.DecodeOptions{ByPosition: true})
	if err != nil {
		t.Fatal(err)
	}
	if want := "journal-d75aeacfdcc5377e6bab6129e0949616f31b66ca6fac33207b2d1086c514fcbc"; ev.ID != want {
		t.Errorf("got %s, want %s", ev.ID, want)
	}
	for name, change := range map[string]func(*journal.Record){
		"partition": func(r *journal.Record) { r.Partition++ },
		"offset":    func(r *journal.Record) { r.Offset++ },
		"topic id":  func(r *journal.Record) { r.TopicID[0]++ },
	} {
		other := r
		change(&other)
		if got, err := journal.Decode(other, journal.DecodeOptions{ByPosition: true}); err != nil || got.ID == ev.ID {
			t.Errorf("another %s: got id %s, error %v, want another id", name, got.ID, err)
		}
	}
}

func TestNamespaceTellsArchivesApart(t *testing.T) {
	t.Parallel()
	r := samples(t)[0].record()
	id := func(r journal.Record, o journal.DecodeOptions) string {
		ev, err := journal.Decode(r, o)
		if err != nil {
			t.Fatal(err)
		}
		return ev.ID
	}
	if id(r, journal.DecodeOptions{}) != id(r, journal.DecodeOptions{Namespace: sampleNamespace}) {
		t.Error("the namespace is not the topic's prefix by default")
	}
	staging := r
	staging.Topic = "swh-staging.objects.origin"
	if id(staging, journal.DecodeOptions{}) == id(r, journal.DecodeOptions{}) {
		t.Error("two prefixes, one id")
	}
}

// refusal is the error with which a client refuses to send an event, nil if it sends it.
func refusal(t *testing.T, ev webhooks.Event) error {
	t.Helper()
	_, err := client(t).SendEvent(t.Context(), ev)
	return err
}

// client returns a client of a mock server on which the archive's event types are registered.
func client(t *testing.T) *webhooks.Client {
	t.Helper()
	c := webhookstest.NewServer(t, webhookstest.InMemory()).Client(webhooks.WithoutListenerCheck())
	for _, et := range webhooks.DefaultEventTypes() {
		if err := c.CreateEventType(t.Context(), et); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestReasonsNameTheMember(t *testing.T) {
	t.Parallel()
	var got []string
	for _, s := range samples(t) {
		_, err := journal.Decode(s.record(), journal.DecodeOptions{})
		if broken, ok := errors.AsType[*journal.RecordError](err); ok {
			got = append(got, fmt.Sprintf("%s: %s: %v", s.Note, broken.Class, err))
		}
	}
	golden(t, "reasons.txt", strings.Join(got, "\n")+"\n")
}

// golden compares a text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path) //nolint:gosec // one of testdata
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// An object is what a record of the journal says, as far as an event tells it.
type object struct {
	Type, Origin             string
	Visit                    uint64
	HasVisit                 bool
	Seconds                  int64
	Microseconds             uint32
	VisitType, Status        string
	Snapshot                 [20]byte
	HasSnapshot, HasMetadata bool
}

func drawObject(t *rapid.T) object {
	text := rapid.SampledFrom([]string{"", "a", "b", "ab", "1:a,", "https://github.com/git/git"})
	o := object{
		Type:   rapid.SampledFrom([]string{"origin", "origin_visit_status"}).Draw(t, "type"),
		Origin: text.Draw(t, "origin"),
	}
	if o.Type == "origin" {
		return o
	}
	if o.HasVisit = rapid.Bool().Draw(t, "has visit"); o.HasVisit {
		o.Visit = rapid.Uint64Range(0, 3).Draw(t, "visit")
	}
	o.Seconds = rapid.Int64Range(-2, 2).Draw(t, "seconds")
	o.Microseconds = rapid.Uint32Range(0, 1).Draw(t, "microseconds")
	o.VisitType, o.Status = text.Draw(t, "visit type"), text.Draw(t, "status")
	if o.HasSnapshot = rapid.Bool().Draw(t, "has snapshot"); o.HasSnapshot {
		o.Snapshot[19] = rapid.Byte().Draw(t, "snapshot") % 2
	}
	o.HasMetadata = rapid.Bool().Draw(t, "has metadata")
	return o
}

// record encodes an object, with what has no part in the event drawn anew.
func (o object) record(t *rapid.T) journal.Record {
	var b []byte
	if o.Type == "origin" {
		b = msgp.AppendMapHeader(b, 1)
		b = msgp.AppendString(msgp.AppendString(b, "url"), o.Origin)
	} else {
		size := uint32(5)
		if o.HasVisit {
			size++
		}
		if o.HasMetadata {
			size++
		}
		b = msgp.AppendMapHeader(b, size)
		if o.HasMetadata {
			b = msgp.AppendFloat64(msgp.AppendString(b, "metadata"), 0.5)
		}
		b = msgp.AppendString(msgp.AppendString(b, "origin"), o.Origin)
		if o.HasVisit {
			b = msgp.AppendUint64(msgp.AppendString(b, "visit"), o.Visit)
		}
		b = msgp.AppendString(msgp.AppendString(b, "type"), o.VisitType)
		b = msgp.AppendString(msgp.AppendString(b, "status"), o.Status)
		b = msgp.AppendString(b, "snapshot")
		if o.HasSnapshot {
			b = msgp.AppendBytes(b, o.Snapshot[:])
		} else {
			b = msgp.AppendNil(b)
		}
		b = msgp.AppendString(b, "date")
		b = append(b, 0xc7, 12, 0xff)
		b = binary.BigEndian.AppendUint32(b, o.Microseconds*1000+rapid.Uint32Range(0, 999).Draw(t, "nanoseconds"))
		b = binary.BigEndian.AppendUint64(b, uint64(o.Seconds)) //nolint:gosec // it is a signed number there
	}
	return journal.Record{
		Topic: sampleNamespace + "." + o.Type, Value: b,
		Partition: rapid.Int32Range(0, 3).Draw(t, "partition"), Offset: rapid.Int64Range(0, 3).Draw(t, "offset"),
	}
}

func TestIDsAreEqualIfAndOnlyIfTheObjectsAre(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := drawObject(t)
		b := a
		if rapid.Bool().Draw(t, "another") {
			b = drawObject(t)
		}
		b.HasMetadata = a.HasMetadata // the archive does not tell it
		first, err := journal.Decode(a.record(t), journal.DecodeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		second, err := journal.Decode(b.record(t), journal.DecodeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if (a == b) != (first.ID == second.ID) {
			t.Fatalf("%+v: %s\n%+v: %s", a, first.ID, b, second.ID)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.Topic, s.Value)
	}
	f.Fuzz(func(t *testing.T, topic string, value []byte) {
		const mostInput, mostAllocated = 64 << 10, 1 << 20
		if len(topic) > mostInput || len(value) > mostInput {
			t.Skip()
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		ev, err := journal.Decode(journal.Record{Topic: topic, Value: value}, journal.DecodeOptions{})
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > mostAllocated {
			t.Errorf("allocates %d bytes for %d", got, len(value))
		}
		_, broken := errors.AsType[*journal.RecordError](err)
		switch {
		case err == nil && (ev.ID == "" || ev.Type == "" || !utf8.ValidString(ev.Channel)):
			t.Errorf("an incomplete event: %+v", ev)
		case err != nil && !broken && !errors.Is(err, journal.ErrSkip):
			t.Errorf("another error: %v", err)
		}
	})
}
