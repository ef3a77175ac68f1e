package webhooks

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/softwareheritage/webhooks/internal/transport"
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

// errorSeq returns the sequence that holds only an error.
func errorSeq[T any](err error) iter.Seq2[T, error] {
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

// pageSize is the most that the server gives at once (svix-openapi.json,
// parameter limit).
const pageSize = 250

// A pageBody is a page of a listing (Svix, "ListResponse...").
type pageBody[T any] struct {
	Data     *[]T    `json:"data"`
	Iterator *string `json:"iterator"`
	Done     bool    `json:"done"`
}

func (p pageBody[T]) complete() bool { return p.Data != nil }

// listPage asks for a page of at most limit items; where such a page is larger
// than an answer may be, for fewer.
func listPage[T any](ctx context.Context, c *Client, op string, limit uint64, request func(ctx context.Context, limit *uint64) error) (Page[T], error) {
	for {
		body, err := traced(ctx, c.tracer, Span{Kind: SpanList, Op: op}, func(ctx context.Context) (pageBody[T], error) {
			return query[pageBody[T]](ctx, c, op, func(ctx context.Context) error { return request(ctx, &limit) })
		})
		if errors.Is(err, transport.ErrAnswerTooLarge) && limit > 1 {
			limit = max(limit/8, 1)
			continue
		}
		if err != nil {
			return Page[T]{}, err
		}
		return Page[T]{Data: *body.Data, Iterator: body.Iterator, Done: body.Done}, nil
	}
}
