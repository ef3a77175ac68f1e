package journaltrack_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/softwareheritage/webhooks/internal/journaltrack"
)

const (
	minBackoff = 500 * time.Millisecond
	maxBackoff = time.Minute
)

// A bench is a schedule with a clock that stands still until it is moved.
type bench struct {
	*journaltrack.Schedule[int64]

	now time.Time
}

// newBench returns a schedule with n records, whose waits are not drawn but the longest possible.
func newBench(n int) *bench {
	b := &bench{
		Schedule: journaltrack.NewSchedule[int64](journaltrack.Backoff{
			Min: minBackoff, Max: maxBackoff, Jitter: func(most time.Duration) time.Duration { return most },
		}),
		now: time.Unix(0, 0),
	}
	for i := range n {
		b.Add(&entry{Offset: int64(i)})
	}
	return b
}

// next returns the next record, nil if there is none now.
func (b *bench) next() *entry {
	e, _ := b.Next(b.now)
	return e
}

// await moves the clock to the next record.
func (b *bench) await(t *testing.T) *entry {
	t.Helper()
	e, at := b.Next(b.now)
	if e != nil {
		return e
	}
	if !at.After(b.now) {
		t.Fatalf("no record is to come: %v", at)
	}
	b.now = at
	if e, at = b.Next(b.now); e == nil {
		t.Fatalf("announced for %v, not there; now announced for %v", b.now, at)
	}
	return e
}

func TestOutageCostsOneTryForEachWait(t *testing.T) {
	t.Parallel()
	b := newBench(1000)
	var flying []*entry
	for range 64 {
		flying = append(flying, b.next())
	}
	for _, e := range flying {
		b.Failed(e, b.now, 0)
	}
	probe := b.next()
	if probe == nil {
		t.Fatal("the first probe has to wait")
	}
	b.Failed(probe, b.now, 0)
	began, tries := b.now, 0
	for b.now.Sub(began) < 10*time.Minute {
		e := b.await(t)
		if other := b.next(); other != nil {
			t.Fatal("two probes at once")
		}
		tries++
		b.Failed(e, b.now, 0)
	}
	if tries > 16 { // 0.5, 1, 2 … 32, 60 s, 60 s …
		t.Errorf("%d tries in 10 minutes", tries)
	}
	b.Succeeded(b.await(t))
	for range 64 {
		if b.next() == nil {
			t.Fatal("the gate is closed after a success")
		}
	}
}

func TestOneThatAlwaysFailsStopsNoOther(t *testing.T) {
	t.Parallel()
	b := newBench(0)
	poison := &entry{Offset: -1}
	b.Add(poison)
	sent := 0
	for range 2000 {
		b.Add(&entry{})
		e := b.await(t)
		if e == poison {
			b.Failed(e, b.now, 0)
			continue
		}
		b.Succeeded(e)
		sent++
		b.now = b.now.Add(time.Second)
	}
	if poison.Lonely() < 20 {
		t.Errorf("failed %d times, %d of them alone", poison.Tries(), poison.Lonely())
	}
	if b.Closed() {
		t.Error("the gate is closed")
	}
	if tries := poison.Tries(); tries > 50 || sent < 1950 {
		t.Errorf("%d tries of the one, %d others sent", tries, sent)
	}
}

func TestWaitThatTheServerAskedFor(t *testing.T) {
	t.Parallel()
	const wait = 90 * time.Second
	b := newBench(1)
	b.Failed(b.next(), b.now, wait)
	began := b.now
	if e := b.await(t); b.now.Sub(began) != wait {
		t.Errorf("record %d is tried after %v", e.Offset, b.now.Sub(began))
	}

	b = newBench(20)
	for !b.Closed() {
		b.Failed(b.next(), b.now, wait)
	}
	began = b.now
	if e := b.await(t); b.now.Sub(began) != wait {
		t.Errorf("record %d is tried after %v, while all fail", e.Offset, b.now.Sub(began))
	}
}

func TestServerThatFailsNowAndThenIsNotDown(t *testing.T) {
	t.Parallel()
	b := newBench(10_000)
	closed := 0
	for i := range 10_000 {
		e := b.await(t)
		if i%10 < 3 { // three of ten, also in a row
			b.Failed(e, b.now, 0)
		} else {
			b.Succeeded(e)
		}
		if b.Closed() {
			closed++
		}
	}
	if closed > 0 {
		t.Errorf("closed %d times", closed)
	}
}

func TestProbesAreNotAlwaysTheSameRecord(t *testing.T) {
	t.Parallel()
	b := newBench(3)
	tried := map[int64]int{}
	for range 30 {
		e := b.await(t)
		tried[e.Offset]++
		b.Failed(e, b.now, 0)
	}
	for offset := range int64(3) {
		if tried[offset] < 5 {
			t.Errorf("record %d was tried %d of 30 times", offset, tried[offset])
		}
	}
}

func TestForgottenRecordsAreNotTried(t *testing.T) {
	t.Parallel()
	b := newBench(0)
	tracker := journaltrack.NewTracker[int64](journaltrack.NewWindow(10, 1000))
	for i := range int64(4) {
		e := &entry{Offset: i}
		tracker.Add(e, 1)
		b.Add(e)
	}
	b.Failed(b.next(), b.now, 0)
	flying := b.next()
	tracker.Forget(func(*entry) {})
	b.Sweep()
	if b.Len() != 0 {
		t.Errorf("%d records wait", b.Len())
	}
	b.Failed(flying, b.now, 0)
	if b.Len() != 0 {
		t.Error("a forgotten record is scheduled again")
	}
}

// Whatever happens, every record that is not dealt with comes again, and none is in flight twice.
func TestScheduleLosesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := newBench(0)
		open, flying := map[*entry]bool{}, map[*entry]bool{}
		offset := int64(0)
		draw := func(t *rapid.T) *entry {
			if len(flying) == 0 {
				t.Skip("none in flight")
			}
			var all []*entry
			for e := range flying {
				all = append(all, e)
			}
			e := all[0]
			for _, other := range all {
				if other.Offset < e.Offset {
					e = other
				}
			}
			delete(flying, e)
			return e
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(*rapid.T) {
				offset++
				e := &entry{Offset: offset}
				open[e] = true
				b.Add(e)
			},
			"next": func(t *rapid.T) {
				e, at := b.Next(b.now)
				switch {
				case e != nil && (!open[e] || flying[e]):
					t.Fatalf("record %d is not to be sent", e.Offset)
				case e != nil:
					flying[e] = true
				case !at.IsZero():
					b.now = at
				case len(flying) == 0 && len(open) > 0:
					t.Fatalf("%d records are open and nothing is to happen", len(open))
				}
			},
			"succeeded": func(t *rapid.T) { e := draw(t); delete(open, e); b.Succeeded(e) },
			"done":      func(t *rapid.T) { e := draw(t); delete(open, e); b.Done(e) },
			"failed":    func(t *rapid.T) { b.Failed(draw(t), b.now, 0) },
			"postponed": func(t *rapid.T) { b.Postponed(draw(t), b.now) },
			"": func(t *rapid.T) {
				if b.Len()+len(flying) != len(open) {
					t.Fatalf("%d wait, %d in flight, %d open", b.Len(), len(flying), len(open))
				}
			},
		})
	})
}
