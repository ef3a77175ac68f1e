package webhooks

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"
)

// A Page is one part of a long list, as servers give it.
type Page[T any] struct {
	// Data are the items, in the order of the list.
	Data []T
	// Iterator says where the next page begins; it counts only where Done is false.
	Iterator *string
	// Done is true on the last page.
	Done bool
}

// Paginate returns the items of a paged list, page after page: list is called
// with a nil iterator first, then with the iterator of the page before, until a
// page says that it is the last one. An empty page alone does not end the list.
// A page is asked for only when its first item is wanted, so breaking out of
// the loop stops the requests.
//
// The sequence may be ranged more than once and starts at the first page each
// time. An error is its last pair, with the zero T: the one that list returned,
// ctx.Err() when ctx was done before a page was asked for, or an error of its
// own when a page that is not the last has no iterator or when the iterators
// come round again, which would never end.
func Paginate[T any](ctx context.Context, list func(ctx context.Context, iterator *string) (Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		var iterator *string
		var loop cycle
		for {
			if err := ctx.Err(); err != nil {
				yield(zero, fmt.Errorf("webhooks: %w", err))
				return
			}
			page, err := list(ctx, iterator)
			if err != nil {
				yield(zero, err)
				return
			}
			for _, item := range page.Data {
				if !yield(item, nil) {
					return
				}
			}
			if page.Done {
				return
			}
			if err := loop.next(page.Iterator); err != nil {
				yield(zero, err)
				return
			}
			iterator = page.Iterator
		}
	}
}

// Collect returns the items of a sequence as a slice, up to the first error,
// which it returns too. The slice is nil when there is no item.
func Collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var items []T
	for item, err := range seq {
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
	return items, nil
}

// A cycle notices when iterators come round again. It keeps one of them, moved
// on at each power of two (R. P. Brent's method), so that its size does not
// grow with the list.
type cycle struct {
	mark  string
	steps int
}

func (c *cycle) next(iterator *string) error {
	if iterator == nil || *iterator == "" {
		return errors.New("webhooks: the server gave a page that is not the last one and does not say where to go on")
	}
	if *iterator == c.mark {
		return fmt.Errorf("webhooks: the server repeats the page at %q for ever", *iterator)
	}
	c.steps++
	if c.steps&(c.steps-1) == 0 {
		c.mark = *iterator
	}
	return nil
}

// failed returns the sequence that holds only an error.
func failed[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		yield(zero, err)
	}
}

// limited returns the first items of a sequence; a limit of 0 means all of them.
func limited[T any](limit int, seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	if limit == 0 {
		return seq
	}
	return func(yield func(T, error) bool) {
		left := limit
		for item, err := range seq {
			if left--; !yield(item, err) || left == 0 {
				return
			}
		}
	}
}

// What is listed by time on the server: messages and attempts. Their ids begin
// with the time of creation, in slots of 4 ms (svix-contract 4.1).
type timed interface {
	id() string
	at() time.Time
}

const (
	// serverWindow is how far the server looks back from a point in time that it
	// is given or, without one, from now; from there on, it looks as far back
	// again from each page's last item (svix-contract 5.4).
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

// ahead applies f to the items of a sequence, to up to as many at once as n says,
// and returns the results in order. It ends with the first error.
func ahead[T, R any](ctx context.Context, seq iter.Seq2[T, error], n func() int, f func(ctx context.Context, item T) (R, error)) iter.Seq2[R, error] {
	type result struct {
		value R
		err   error
	}
	return func(yield func(R, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		next, stop := iter.Pull2(seq)
		defer stop()
		var queue []chan result
		for more := true; more || len(queue) > 0; {
			for more && len(queue) < n() {
				item, err, ok := next()
				if more = ok && err == nil; !ok {
					break
				}
				slot := make(chan result, 1)
				queue = append(queue, slot)
				if err != nil {
					slot <- result{err: err}
					break
				}
				running.Go(func() {
					value, err := f(ctx, item)
					slot <- result{value, err}
				})
			}
			if len(queue) == 0 {
				return
			}
			r := <-queue[0]
			queue = queue[1:]
			if !yield(r.value, r.err) || r.err != nil {
				return
			}
		}
	}
}
