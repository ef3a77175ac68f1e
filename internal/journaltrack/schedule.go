package journaltrack

import (
	"container/heap"
	"slices"
	"time"
)

// A Backoff is how long to wait after failures: Min after the first, doubling up to Max, and of
// that a share that Jitter draws.
type Backoff struct {
	Min, Max time.Duration
	Jitter   func(most time.Duration) time.Duration
}

// After returns how long to wait after so many failures in a row.
func (b Backoff) After(failures int) time.Duration {
	wait := b.Min
	for i := 1; i < failures && wait < b.Max; i++ {
		wait *= 2
	}
	return b.Jitter(min(wait, b.Max))
}

// A Schedule says which record is to be sent next, and when. Records come in order first and, if
// they fail, again after a wait of their own.
//
// It has a gate for all. If several records in a row fail it closes: then only one at a time is
// tried, at first at once and then after growing waits, until one succeeds. So a server that is
// down is asked once in a while, not by each record. A record that fails while others succeed has
// no part in that.
type Schedule[R any] struct {
	backoff Backoff

	fresh     []*Entry[R]
	again     retries[R]
	successes uint64

	last     *Entry[R] // that failed
	inARow   int       // failures of different records since one succeeded
	closed   bool
	probing  *Entry[R] // the one that is tried while the gate is closed
	probeAt  time.Time
	failures int // of probes, in a row
}

// failuresInARow is how many close the gate. Fewer would let a server that fails now and then, and
// takes most, be treated as one that is down.
const failuresInARow = 8

// NewSchedule returns an empty schedule whose gate is open.
func NewSchedule[R any](b Backoff) *Schedule[R] { return &Schedule[R]{backoff: b} }

// Add schedules a record, after all that were added before.
func (s *Schedule[R]) Add(e *Entry[R]) { s.fresh = append(s.fresh, e) }

// Closed reports whether the gate is closed.
func (s *Schedule[R]) Closed() bool { return s.closed }

// Next returns the record that is to be sent now. If there is none it returns when there may be
// one; the zero time means that something else has to happen first.
func (s *Schedule[R]) Next(now time.Time) (*Entry[R], time.Time) {
	if s.closed {
		return s.nextProbe(now)
	}
	if len(s.again) > 0 && !s.again[0].due.After(now) {
		return s.start(heap.Pop(&s.again).(*Entry[R])), time.Time{} //nolint:forcetypeassert // nothing else is in it
	}
	if len(s.fresh) > 0 {
		return s.start(s.takeFresh()), time.Time{}
	}
	if len(s.again) > 0 {
		return nil, s.again[0].due
	}
	return nil, time.Time{}
}

// nextProbe prefers records that have not failed: the others may be what fails.
func (s *Schedule[R]) nextProbe(now time.Time) (*Entry[R], time.Time) {
	switch {
	case s.probing != nil, len(s.fresh)+len(s.again) == 0:
		return nil, time.Time{}
	case s.probeAt.After(now):
		return nil, s.probeAt
	case len(s.fresh) > 0:
		s.probing = s.takeFresh()
	default:
		s.probing = heap.Pop(&s.again).(*Entry[R]) //nolint:forcetypeassert // nothing else is in it
	}
	return s.start(s.probing), time.Time{}
}

func (s *Schedule[R]) takeFresh() *Entry[R] {
	e := s.fresh[0]
	s.fresh[0] = nil
	s.fresh = s.fresh[1:]
	return e
}

func (s *Schedule[R]) start(e *Entry[R]) *Entry[R] {
	e.inFlight = true
	return e
}

// end notes that a record is no longer in flight.
func (s *Schedule[R]) end(e *Entry[R]) {
	e.inFlight = false
	if s.probing == e {
		s.probing = nil
	}
}

// Succeeded notes that the server took a record, which opens the gate.
func (s *Schedule[R]) Succeeded(e *Entry[R]) {
	s.end(e)
	s.successes++
	s.closed, s.last, s.inARow = false, nil, 0
	s.failures = 0
}

// Done notes that a record is dealt with, without a word of the server.
func (s *Schedule[R]) Done(e *Entry[R]) { s.end(e) }

// Failed notes that the server or the way to it failed, and schedules the record again, not before
// the wait that the server asked for.
func (s *Schedule[R]) Failed(e *Entry[R], now time.Time, wait time.Duration) {
	probe := s.probing == e
	s.end(e)
	if e.tries > 0 && s.successes > e.seen {
		e.lonely++
	}
	e.seen = s.successes
	if e.lonely == 0 && e != s.last {
		s.last = e
		s.inARow++
	}
	switch {
	case probe:
		s.failures++
		s.probeAt = now.Add(max(s.backoff.After(s.failures), wait))
	case !s.closed && s.inARow >= failuresInARow:
		s.closed = true
		s.failures = 0
		s.probeAt = now.Add(wait)
	}
	s.later(e, now, wait)
}

// Postponed schedules a record again after a failure that has nothing to do with the server.
func (s *Schedule[R]) Postponed(e *Entry[R], now time.Time) {
	s.end(e)
	s.later(e, now, 0)
}

func (s *Schedule[R]) later(e *Entry[R], now time.Time, wait time.Duration) {
	e.tries++
	if e.forgotten {
		return
	}
	e.due = now.Add(max(s.backoff.After(e.tries), wait))
	heap.Push(&s.again, e)
}

// Sweep removes the records that are forgotten.
func (s *Schedule[R]) Sweep() {
	s.fresh = slices.DeleteFunc(s.fresh, (*Entry[R]).Forgotten)
	s.again = slices.DeleteFunc(s.again, (*Entry[R]).Forgotten)
	heap.Init(&s.again)
}

// Len returns how many records wait to be sent.
func (s *Schedule[R]) Len() int { return len(s.fresh) + len(s.again) }

// retries are records that failed, the one that is due first at the top.
type retries[R any] []*Entry[R]

func (r retries[R]) Len() int           { return len(r) }
func (r retries[R]) Less(i, j int) bool { return r[i].due.Before(r[j].due) }
func (r retries[R]) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }

func (r *retries[R]) Push(e any) { *r = append(*r, e.(*Entry[R])) } //nolint:forcetypeassert // nothing else is in it

func (r *retries[R]) Pop() any {
	last := len(*r) - 1
	e := (*r)[last]
	(*r)[last] = nil
	*r = (*r)[:last]
	return e
}
