package webhooks

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"
)

// What is listed by time on the server: messages and attempts. Their ids begin
// with the time of creation, in slots of 4 ms.
type timed interface {
	id() string
	at() time.Time
}

const (
	// serverWindow is how far the server looks back from a point in time that it
	// is given or, without one, from now; from there on, it looks as far back
	// again from each page's last item.
	serverWindow = 90 * 24 * time.Hour

	// clockSkew is by how much the clocks of server and client may differ.
	clockSkew = 24 * time.Hour
)

// serverEpoch is when the time in the server's ids begins. It takes an earlier
// date for one in the next century.
var serverEpoch = time.Unix(1_400_000_000, 0)

// A timeRange is what lies between two points in time, both exclusive and zero
// where there is no bound.
type timeRange struct{ before, after time.Time }

// A timeline lists the items in a range, newest first.
//
// It gives the server no lower bound: that would make it begin with the oldest
// page. Upper bounds reach the server in whole seconds, rounded up, because the
// SDK cuts fractions off; the exact times are compared here.
type timeline[T timed] struct {
	timeRange

	limit int // of items; 0: none

	list func(ctx context.Context, iterator *string, before *time.Time) (Page[T], error)
	fill func(ctx context.Context, items []T) error // completes the items of a page; may be nil
}

// all returns the items. Where the server finds nothing further within its 90
// days it says that the list is done; with a lower bound it is asked again from
// there until that bound is reached.
func (l timeline[T]) all(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if !l.before.IsZero() && !l.before.After(serverEpoch) {
			return
		}
		for w := l.start(); ; {
			for item, err := range Paginate(ctx, w.page) {
				if !yield(item, err) || err != nil {
					return
				}
			}
			if !w.goOn() {
				return
			}
		}
	}
}

// A walk is a way through a timeline, from its newest item backwards.
type walk[T timed] struct {
	timeline[T]

	bound   *time.Time // from where the server is asked to look back; nil: from now
	from    time.Time  // from where it looks back for the next page
	reached time.Time  // how far back it has looked
	last    string     // id of the item that was listed last
	listed  int
	ended   bool // there is no item left in the range or within the limit
}

// start begins now where the upper bound is not in the past: the server looks
// back from its bound, and to look back from the future would lose what is older.
func (l timeline[T]) start() *walk[T] {
	if now := time.Now(); l.before.IsZero() || l.before.After(now) {
		return &walk[T]{timeline: l, from: now.Add(clockSkew)}
	}
	bound := ceilSecond(l.before)
	return &walk[T]{timeline: l, from: bound, bound: &bound}
}

func (w *walk[T]) page(ctx context.Context, iterator *string) (Page[T], error) {
	bound := w.bound
	if iterator != nil {
		bound = nil // with it, the server would look no further back than 90 days from the bound
	}
	page, err := w.list(ctx, iterator, bound)
	if err != nil {
		return page, err
	}
	w.reached = w.from.Add(-serverWindow)
	if n := len(page.Data); n > 0 && !page.Data[n-1].at().IsZero() {
		w.from = page.Data[n-1].at()
	}
	page.Data = w.keep(page.Data)
	page.Done = page.Done || w.ended
	if w.fill != nil {
		err = w.fill(ctx, page.Data)
	}
	return page, err
}

// keep returns the items of a page that belong to the list.
func (w *walk[T]) keep(items []T) []T {
	items, w.ended = cut(w.timeRange, items)
	items = slices.DeleteFunc(items, func(item T) bool {
		// Walks overlap where they go on, by the second that bounds are rounded to.
		return w.last != "" && item.id() >= w.last
	})
	if w.limit > 0 && w.listed+len(items) >= w.limit {
		items, w.ended = items[:w.limit-w.listed], true
	}
	w.listed += len(items)
	if n := len(items); n > 0 && items[n-1].id() != "" {
		w.last = items[n-1].id()
	}
	return items
}

// goOn begins again where the server has ended, and reports whether there is
// anything to look for.
func (w *walk[T]) goOn() bool {
	next := ceilSecond(w.reached)
	if w.ended || w.after.IsZero() || !next.After(w.after) || !next.After(serverEpoch) {
		return false
	}
	w.bound, w.from = &next, next
	return true
}

// cut returns the items in a range, and whether one is older than that.
func cut[T timed](r timeRange, items []T) (within []T, passed bool) {
	const slot = 4 * time.Millisecond // the items of one slot are in no order
	for _, item := range items {
		switch at := item.at(); {
		case at.IsZero():
			within = append(within, item) // the server's time could not be read
		case !r.before.IsZero() && !at.Before(r.before):
		case !r.after.IsZero() && !at.After(r.after):
			passed = passed || at.Before(r.after.Add(-slot))
		default:
			within = append(within, item)
		}
	}
	return within, passed
}

func ceilSecond(t time.Time) time.Time {
	if whole := t.Truncate(time.Second); whole.Before(t) {
		return whole.Add(time.Second)
	}
	return t
}

// boundedRange completes a range of time.
func boundedRange(since, until time.Time, longest time.Duration) (from, to time.Time, err error) {
	if until.IsZero() {
		until = time.Now()
	}
	if since.IsZero() {
		since = until.Add(-longest)
	}
	switch {
	case !since.Before(until):
		return from, to, fmt.Errorf("webhooks: %w: since %v is not before until %v", ErrInvalidQuery, since, until)
	case until.Sub(since) > longest:
		return from, to, fmt.Errorf("webhooks: %w: from %v to %v are more than %v", ErrInvalidQuery, since, until, longest)
	}
	return since.UTC(), until.UTC(), nil
}
