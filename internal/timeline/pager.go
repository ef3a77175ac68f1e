package timeline

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// An Item is what is listed by time. Its key is its id, which begins with the time of creation in
// slots of 4 ms; the list is in the order of the keys.
type Item interface {
	Key() string
	At() time.Time // zero if the server's time could not be read
}

// A Page is one part of a list.
type Page[T any] struct {
	Data     []T // in the order of the list, newest first
	Iterator *string
	Done     bool
}

// A Request is what a page is asked for.
type Request struct {
	Bounds

	Iterator *string // nil: the first page
	Limit    uint64
}

// A Pager reads what there is of a range within bounds, page by page.
type Pager[T Item] struct {
	Bounds Bounds
	Range  Range
	// Upwards reads the oldest first; otherwise it is the newest.
	Upwards bool
	// First and Most are how many items to ask for: with the first page and with any other.
	First, Most uint64
	List        func(ctx context.Context, r Request) (Page[T], error)

	iterator *string
	idle     Idle
	done     bool
}

// Next returns the next items, none at the end.
func (p *Pager[T]) Next(ctx context.Context) ([]T, error) {
	for !p.done {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("webhooks: %w", err)
		}
		items, err := p.read(ctx)
		if err != nil {
			return nil, err
		}
		items, passed := cut(p.Range, items)
		p.done = p.done || passed && !p.Upwards
		if len(items) > 0 {
			return items, nil
		}
	}
	return nil, nil
}

// read reads a page and makes ready for the next one.
func (p *Pager[T]) read(ctx context.Context) ([]T, error) {
	r := Request{Bounds: p.Bounds, Iterator: p.iterator, Limit: p.First}
	if p.iterator != nil {
		r.Limit = p.Most
	}
	if p.iterator != nil && r.After == nil {
		r.Before = nil // with it, the server would look no further back than 90 days from there
	}
	page, err := p.List(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := p.check(page); err != nil {
		return nil, err
	}
	if p.Upwards {
		slices.Reverse(page.Data)
	}
	p.iterator, p.done = page.Iterator, page.Done
	if n := len(page.Data); n > 0 {
		p.iterator = p.behind(page.Data[n-1])
	}
	return page.Data, nil
}

// GoOnBehind makes an item that was read the last one for now.
func (p *Pager[T]) GoOnBehind(item T) { p.iterator, p.done = p.behind(item), false }

func (p *Pager[T]) behind(item T) *string {
	iterator := item.Key()
	if p.Upwards {
		iterator = Backwards + iterator
	}
	return &iterator
}

// check refuses a page from outside the bounds, or one that does not say where to go on: with more
// of those no list would end.
func (p *Pager[T]) check(page Page[T]) error {
	outside := func(item T) bool {
		at := item.At()
		return !at.IsZero() && (p.Bounds.Before != nil && at.After(p.Bounds.Before.Add(time.Second)) ||
			p.Bounds.After != nil && at.Before(p.Bounds.After.Add(-time.Second)))
	}
	switch {
	case slices.ContainsFunc(page.Data, outside):
		return errors.New("webhooks: the server gave a page from outside the time that was asked for")
	case !page.Done && page.Iterator == nil:
		return ErrNoIterator
	}
	return p.idle.Check(len(page.Data), page.Done)
}

// All returns what there is of a range, newest first.
func All[T Item](ctx context.Context, r Range, pagerOf func(Bounds) *Pager[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for bounds := range r.Windows() {
			for item, err := range pagerOf(bounds).Items(ctx) {
				if !yield(item, err) || err != nil {
					return
				}
			}
		}
	}
}

// Items returns what the pager reads.
func (p *Pager[T]) Items(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		for page, err := range Pages(ctx, p) {
			if err != nil {
				yield(zero, err)
				return
			}
			for _, item := range page {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

// Pages returns what a source reads, page by page.
func Pages[T any](ctx context.Context, source interface {
	Next(ctx context.Context) ([]T, error)
},
) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		for {
			items, err := source.Next(ctx)
			if err == nil && len(items) == 0 || !yield(items, err) || err != nil {
				return
			}
		}
	}
}

// Backwards marks an iterator from which the server goes the other way.
const Backwards = "-"

// Behind tells whether an item comes after an iterator in a list that is sorted by key.
func Behind(iterator, key string, ascending bool) bool {
	if marked, ok := strings.CutPrefix(iterator, Backwards); ok {
		iterator, ascending = marked, !ascending
	}
	if ascending {
		return key > iterator
	}
	return key < iterator
}

// maxEmptyPages is how many pages in a row may be empty.
const maxEmptyPages = 9

var (
	// ErrNoIterator says that a list does not go on though it is not at its end.
	ErrNoIterator = errors.New("webhooks: the server gave a page that is not the last one " +
		"and does not say where to go on")

	errIdle = fmt.Errorf("webhooks: the server gave more than %d pages in a row with nothing in them "+
		"and says that there is more", maxEmptyPages)
)

// An Idle counts the empty pages in a row.
type Idle struct{ pages int }

// Check takes note of a page with n items, and says when it is enough.
func (i *Idle) Check(n int, done bool) error {
	switch {
	case n > 0:
		i.pages = 0
	case !done:
		i.pages++
	}
	if i.pages > maxEmptyPages {
		return errIdle
	}
	return nil
}
