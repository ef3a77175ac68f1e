// Package merge makes one sorted sequence of many that are read in pages.
package merge

import (
	"container/heap"
	"context"
	"iter"

	"golang.org/x/sync/errgroup"
)

// A Source is a sorted list that is read page by page.
type Source[T any] interface {
	// Next returns the next items, none at the end.
	Next(ctx context.Context) ([]T, error)
}

// Sorted returns the items of all sources in the order of less, in which each source has its own.
// The first pages are read when the sequence is ranged over, up to atOnce of them at once; a later
// page of a source when all before it is given. The first error is the last pair. Sources are read
// once, so the sequence can be ranged over once.
func Sorted[T any](
	ctx context.Context, sources []Source[T], atOnce int, less func(a, b T) bool,
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		heads, err := firstPages(ctx, sources, atOnce)
		if err != nil {
			yield(zero, err)
			return
		}
		queue := &queue[T]{heads: heads, less: less}
		heap.Init(queue)
		for queue.Len() > 0 {
			head := queue.heads[0]
			if !yield(head.items[0], nil) {
				return
			}
			if err := head.pass(ctx); err != nil {
				yield(zero, err)
				return
			}
			if len(head.items) == 0 {
				heap.Pop(queue)
			} else {
				heap.Fix(queue, 0)
			}
		}
	}
}

// firstPages reads the first page of each source and leaves out those that have none.
func firstPages[T any](ctx context.Context, sources []Source[T], atOnce int) ([]*head[T], error) {
	all := make([]*head[T], len(sources))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, source := range sources {
		group.Go(func() error {
			items, err := source.Next(ctx)
			all[i] = &head[T]{source: source, items: items}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	heads := all[:0]
	for _, head := range all {
		if len(head.items) > 0 {
			heads = append(heads, head)
		}
	}
	return heads, nil
}

// A head is a source with what was read of it and not given yet.
type head[T any] struct {
	source Source[T]
	items  []T
}

// pass goes on behind the first item.
func (h *head[T]) pass(ctx context.Context) (err error) {
	if h.items = h.items[1:]; len(h.items) == 0 {
		h.items, err = h.source.Next(ctx)
	}
	return err
}

// A queue has the head with the first item in front.
type queue[T any] struct {
	heads []*head[T]
	less  func(a, b T) bool
}

func (q *queue[T]) Len() int           { return len(q.heads) }
func (q *queue[T]) Less(i, j int) bool { return q.less(q.heads[i].items[0], q.heads[j].items[0]) }
func (q *queue[T]) Swap(i, j int)      { q.heads[i], q.heads[j] = q.heads[j], q.heads[i] }
func (q *queue[T]) Push(x any)         { q.heads = append(q.heads, x.(*head[T])) }

func (q *queue[T]) Pop() any {
	last := q.heads[len(q.heads)-1]
	q.heads = q.heads[:len(q.heads)-1]
	return last
}
