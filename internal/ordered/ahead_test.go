package ordered_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/softwareheritage/webhooks/internal/ordered"
)

var errItem = errors.New("cannot be had")

// upTo gives 0 to n-1, and an error after them if it is not nil.
func upTo(n int, last error) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
		if last != nil {
			yield(0, last)
		}
	}
}

// TestAheadGivesResultsInOrder, though the later ones are ready earlier, and works on as many at
// once as it may.
func TestAheadGivesResultsInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n, atOnce = 12, 4
		start := time.Now()
		var got []int
		slow := func(_ context.Context, i int) (int, error) {
			time.Sleep(time.Duration(n-i) * time.Second)
			return 10 * i, nil
		}
		for number, err := range ordered.Ahead(t.Context(), upTo(n, nil), func() int { return atOnce }, slow) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, number)
		}
		if len(got) != n || !slices.IsSorted(got) {
			t.Errorf("got %v", got)
		}
		if took := time.Since(start); took > (n+n)*time.Second {
			t.Errorf("took %v, as if one came after the other", took)
		}
	})
}

func TestAheadEndsWithTheFirstError(t *testing.T) {
	t.Parallel()
	fails := func(at int) func(context.Context, int) (int, error) {
		return func(_ context.Context, i int) (int, error) {
			if i == at {
				return 0, errItem
			}
			return i, nil
		}
	}
	for name, seq := range map[string]iter.Seq2[int, error]{
		"of an item": ordered.Ahead(t.Context(), upTo(3, errItem), func() int { return 2 }, fails(-1)),
		"of f":       ordered.Ahead(t.Context(), upTo(9, nil), func() int { return 2 }, fails(3)),
	} {
		var got []int
		var last error
		for number, err := range seq {
			if last = err; err == nil {
				got = append(got, number)
			}
		}
		if !slices.Equal(got, []int{0, 1, 2}) || !errors.Is(last, errItem) {
			t.Errorf("%s: got %v and the last error %v", name, got, last)
		}
	}
}

// TestAheadTakesNoMoreThanItMay at once, and stops when the loop is left.
func TestAheadTakesNoMoreThanItMay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var begun atomic.Int64
		hangs := func(ctx context.Context, i int) (int, error) {
			if begun.Add(1); i > 0 {
				<-ctx.Done()
			}
			return i, ctx.Err()
		}
		for number, err := range ordered.Ahead(t.Context(), upTo(100, nil), func() int { return 3 }, hangs) {
			if number != 0 || err != nil {
				t.Errorf("got %d, %v first", number, err)
			}
			synctest.Wait()
			break
		}
		if n := begun.Load(); n != 3 {
			t.Errorf("began with %d items, want 3", n)
		}
	})
}
