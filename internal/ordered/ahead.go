package ordered

import (
	"context"
	"iter"
	"sync"
)

// Ahead returns the results of f for the items, in the order of the items, up to the first error. f
// is called for up to as many items at once as atOnce says, which is asked each time an item could
// be taken. An item is taken only when the loop waits for a result; when the loop is left, the
// context of the calls of f ends.
func Ahead[T, R any](
	ctx context.Context, items iter.Seq2[T, error], atOnce func() int, f func(ctx context.Context, item T) (R, error),
) iter.Seq2[R, error] {
	type result struct {
		value R
		err   error
	}
	return func(yield func(R, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		next, stop := iter.Pull2(items)
		defer stop()
		var queue []chan result
		for more := true; more || len(queue) > 0; {
			for more && len(queue) < atOnce() {
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
