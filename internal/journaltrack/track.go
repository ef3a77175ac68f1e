// Package journaltrack keeps account of the records of a partitioned log that are on their way: how
// far each partition is done, how many records are held at most, and which one is to be sent next.
// It knows no clock, no lock and no Kafka: times are given to it, and its users take turns.
package journaltrack

import "time"

// A Window bounds the records that are held, in number and bytes. They may pass the bytes by what
// is added at once.
type Window struct {
	places, maxPlaces int
	bytes, maxBytes   int
}

// NewWindow returns an empty window.
func NewWindow(places, bytes int) *Window {
	return &Window{maxPlaces: places, maxBytes: bytes}
}

// Free returns how many records may be added now.
func (w *Window) Free() int {
	if w.bytes >= w.maxBytes {
		return 0
	}
	return max(w.maxPlaces-w.places, 0)
}

// Used returns how many records are held.
func (w *Window) Used() int { return w.places }

func (w *Window) add(size int) {
	w.places++
	w.bytes += size
}

func (w *Window) free(size int) {
	w.places--
	w.bytes -= size
}

// An Offset is a position in a partition: that of the next record, and the epoch of the one before
// it.
type Offset struct {
	Next  int64
	Epoch int32
}

// An Entry is a record that is held. Its fields are for its owner, and never change.
type Entry[R any] struct {
	Record R
	Since  time.Time // when it was added
	Offset int64
	Epoch  int32

	size      int
	state     state
	inFlight  bool
	forgotten bool

	tries  int       // that failed
	lonely int       // of these, those since whose predecessor others succeeded
	seen   uint64    // successes of others at the last failure
	due    time.Time // of the next try
}

type state bool

const (
	open    state = false
	settled state = true
)

// Tries returns how often sending it failed.
func (e *Entry[R]) Tries() int { return e.tries }

// Lonely returns how often sending it failed while sending others succeeded.
func (e *Entry[R]) Lonely() int { return e.lonely }

// Forgotten reports that nobody waits for the entry any more.
func (e *Entry[R]) Forgotten() bool { return e.forgotten }

// A Tracker holds the records of one partition, in the order of their offsets. The place of a
// record in the window is freed when all before it are settled, too, so that finished ones cannot
// pile up behind one that is not.
type Tracker[R any] struct {
	window  *Window
	entries []*Entry[R]
	head    Offset
	moved   bool
}

// NewTracker returns a tracker that takes its places from w.
func NewTracker[R any](w *Window) *Tracker[R] { return &Tracker[R]{window: w} }

// Add appends a record. Offsets have to rise; gaps do not matter.
func (t *Tracker[R]) Add(e *Entry[R], size int) {
	e.size = size
	t.entries = append(t.entries, e)
	t.window.add(size)
}

// Settle notes that a record is dealt with. It reports whether the head moved.
func (t *Tracker[R]) Settle(e *Entry[R]) bool {
	if e.forgotten || e.state == settled {
		return false
	}
	e.state = settled
	n := 0
	for ; n < len(t.entries) && t.entries[n].state == settled; n++ {
		t.head = Offset{Next: t.entries[n].Offset + 1, Epoch: t.entries[n].Epoch}
		t.window.free(t.entries[n].size)
		t.entries[n] = nil
	}
	if n == 0 {
		return false
	}
	t.entries = t.entries[n:]
	t.moved = true
	return true
}

// Head returns the offset up to which everything is settled, which is what may be committed; false
// if nothing was settled yet.
func (t *Tracker[R]) Head() (Offset, bool) { return t.head, t.moved }

// First returns the first record that is not settled, nil if there is none.
func (t *Tracker[R]) First() *Entry[R] {
	if len(t.entries) == 0 {
		return nil
	}
	return t.entries[0]
}

// Len returns how many records are held.
func (t *Tracker[R]) Len() int { return len(t.entries) }

// ForgetBehind forgets every record but the first, calling forget for each.
func (t *Tracker[R]) ForgetBehind(forget func(*Entry[R])) { t.cut(min(1, len(t.entries)), forget) }

// ForgetUnbegun forgets the records behind the last one that is settled or in flight: to leave them
// costs nothing.
func (t *Tracker[R]) ForgetUnbegun(forget func(*Entry[R])) {
	n := len(t.entries)
	for n > 0 && t.entries[n-1].state == open && !t.entries[n-1].inFlight {
		n--
	}
	t.cut(n, forget)
}

// Forget forgets every record.
func (t *Tracker[R]) Forget(forget func(*Entry[R])) { t.cut(0, forget) }

func (t *Tracker[R]) cut(n int, forget func(*Entry[R])) {
	for _, e := range t.entries[n:] {
		e.forgotten = true
		t.window.free(e.size)
		forget(e)
	}
	clear(t.entries[n:])
	t.entries = t.entries[:n]
}
