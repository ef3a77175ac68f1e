// Package ordered does many things at once and gives what comes of them in order.
package ordered

import (
	"context"
	"iter"
)

// Map returns the results of f for the items, in the order of the items. f is called for up to n
// items at once, n being at least 1, in goroutines of their own.
//
// An item is taken only if fewer than n are with f or wait for their result to be taken. When ctx
// is done no more items are taken, and each that was taken still gives its result. When the loop
// over the results is left, the context of the calls of f ends. The items are read in a goroutine
// of its own; the loop ends when that has returned. A panic of items goes on in the goroutine of
// the loop, after the results of what was taken before.
func Map[T, R any](ctx context.Context, items iter.Seq[T], n int, f func(ctx context.Context, item T) R) iter.Seq[R] {
	return func(yield func(R) bool) {
		ctx, cancel := context.WithCancel(ctx)
		r := &run[T, R]{
			ctx: ctx, f: f, slots: make(chan struct{}, n),
			results: make(chan chan R, n), done: make(chan struct{}),
		}
		go r.takeAll(items)
		defer func() {
			<-r.done
			if r.panicked {
				panic(r.panic)
			}
		}()
		defer cancel()
		for result := range r.results {
			if !yield(<-result) {
				cancel()
				for result := range r.results {
					<-result
				}
				return
			}
			<-r.slots
		}
	}
}

// A run is one loop over the results.
type run[T, R any] struct {
	ctx     context.Context
	f       func(ctx context.Context, item T) R
	slots   chan struct{}
	results chan chan R // in the order of the items

	done     chan struct{} // closed when what follows is set
	panicked bool
	panic    any
}

// takeAll takes a slot for each item before it takes the item.
func (r *run[T, R]) takeAll(items iter.Seq[T]) {
	defer close(r.done)
	defer close(r.results)
	r.panicked = true // until it is known that it has not
	defer func() {
		if r.panicked {
			r.panic = recover()
			r.panicked = r.panic != nil // else it has ended its goroutine
		}
	}()
	if r.takeSlot() {
		for item := range items {
			result := make(chan R, 1)
			r.results <- result
			go func() { result <- r.f(r.ctx, item) }()
			if !r.takeSlot() {
				break
			}
		}
	}
	r.panicked = false
}

func (r *run[T, R]) takeSlot() bool {
	select {
	case r.slots <- struct{}{}:
		return r.ctx.Err() == nil
	case <-r.ctx.Done():
		return false
	}
}
