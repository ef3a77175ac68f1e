// Package timeline reads what a Svix server lists by time, messages and attempts, without a gap.
//
// The server looks no further than 90 days at once, begins with the oldest page if it is given a
// lower bound alone, and takes dates before May 2014 for such of the next century (CONTRACT.md in
// package svixmock, "Pagination").
package timeline

import (
	"fmt"
	"iter"
	"time"
)

const (
	// Window is how far the server looks from a point in time that it is given or, without one,
	// back from now; from there on, it looks as far again from each page's last item.
	Window = 90 * 24 * time.Hour

	// clockSkew is by how much the clocks of server and client may differ.
	clockSkew = 24 * time.Hour

	// slot is the time within which the items of the server are in no order.
	slot = 4 * time.Millisecond
)

// epoch is when the time in the server's ids begins.
var epoch = time.Unix(1_400_000_000, 0)

// A Range is what lies between two points in time, both exclusive and zero if there is no bound.
type Range struct{ Before, After time.Time }

// NewRange takes times in any zone. The SDK writes the zone of a time in whole minutes, so that a
// range is in UTC.
func NewRange(before, after time.Time) Range { return Range{Before: before.UTC(), After: after.UTC()} }

// Check refuses a range in which there can be nothing.
func (r Range) Check() error {
	if !r.Before.IsZero() && !r.After.IsZero() && !r.After.Before(r.Before) {
		return fmt.Errorf("the bound After (%s) is not earlier than Before (%s)",
			r.After.Format(time.RFC3339Nano), r.Before.Format(time.RFC3339Nano))
	}
	return nil
}

// Bounds are those of a part of a timeline that the server lists without a gap, nil if there is
// none. They are in whole seconds, since the SDK cuts fractions off.
type Bounds struct{ Before, After *time.Time }

// Windows are the parts of a range, newest first. Without a lower bound there is one, in which the
// server looks back for 90 days from each page's last item. With a lower bound it is told both, and
// looks 90 days back from the upper one at most.
func (r Range) Windows() iter.Seq[Bounds] {
	now := time.Now()
	if r.After.IsZero() {
		return func(yield func(Bounds) bool) {
			switch {
			case r.Before.IsZero() || r.Before.After(now): // from the future it would not look back as far
				yield(Bounds{})
			case r.Before.After(epoch):
				before := ceilSecond(r.Before)
				yield(Bounds{Before: &before})
			}
		}
	}
	newest := ceilSecond(now.UTC().Add(clockSkew))
	if !r.Before.IsZero() && r.Before.Before(newest) {
		newest = ceilSecond(r.Before)
	}
	after := r.After.Truncate(time.Second)
	if after.Before(epoch) {
		after = epoch
	}
	return func(yield func(Bounds) bool) {
		for before := newest; before.After(after); before = before.Add(-Window) {
			if !yield(Bounds{Before: &before, After: &after}) {
				return
			}
		}
	}
}

// WindowsUpwards are the parts of a range from its lower bound until now, oldest first.
func (r Range) WindowsUpwards() iter.Seq[Bounds] {
	return func(yield func(Bounds) bool) {
		after := r.After.Truncate(time.Second)
		if after.Before(epoch) {
			after = epoch
		}
		for end := time.Now().Add(clockSkew); after.Before(end); after = after.Add(Window) {
			if !yield(Bounds{After: &after}) {
				return
			}
		}
	}
}

// cut returns the items in a range, and whether one is older than that.
func cut[T Item](r Range, items []T) (within []T, passed bool) {
	for _, item := range items {
		switch at := item.At(); {
		case at.IsZero():
			within = append(within, item) // the server's time could not be read
		case !r.Before.IsZero() && !at.Before(r.Before):
		case !r.After.IsZero() && !at.After(r.After):
			passed = passed || at.Before(r.After.Add(-slot))
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
