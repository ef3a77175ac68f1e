package ordered_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/softwareheritage/webhooks/internal/ordered"
)

func numbers(n int, after func()) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
		after()
	}
}

func nothing() {}

// slowest takes the longer the earlier its item is.
func slowest(ctx context.Context, i int) int {
	select {
	case <-time.After(time.Hour - time.Duration(i)*time.Minute):
		return i
	case <-ctx.Done():
		return -1
	}
}

func TestResultsAreInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		got := slices.Collect(ordered.Map(t.Context(), numbers(10, nothing), 10, slowest))
		if diff := cmp.Diff(slices.Collect(numbers(10, nothing)), got); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
		if took := time.Since(start); took != time.Hour {
			t.Errorf("took %v, want the 1h of the slowest", took)
		}
	})
}

func TestNoMoreIsTakenThanThereIsRoomFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		taken, given := 0, 0
		items := func(yield func(int) bool) {
			for yield(taken) {
				taken++
			}
		}
		for range ordered.Map(t.Context(), items, 3, slowest) {
			synctest.Wait()
			if taken > given+3 {
				t.Fatalf("%d items taken, %d results given", taken, given)
			}
			if given++; given == 20 {
				break
			}
		}
	})
}

func TestEachItemTakenGivesItsResultAfterACancellation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		got := slices.Collect(ordered.Map(ctx, numbers(10, nothing), 4, slowest))
		if diff := cmp.Diff([]int{-1, -1, -1, -1}, got); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
	})
}

var errInput = errors.New("cannot read on")

func TestPanicOfTheItemsGoesOnInTheLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got []int
		defer func() {
			if p := recover(); p != any(errInput) {
				t.Errorf("recovered %v, want %v", p, errInput)
			}
			if diff := cmp.Diff([]int{0, 1, 2, 3, 4}, got); diff != "" {
				t.Errorf("results before (-want +got):\n%s", diff)
			}
		}()
		for i := range ordered.Map(t.Context(), numbers(5, func() { panic(errInput) }), 3, slowest) {
			got = append(got, i)
		}
	})
}

func TestItemsThatEndTheirGoroutineEndTheLoop(t *testing.T) {
	t.Parallel()
	got := slices.Collect(ordered.Map(t.Context(), numbers(2, runtime.Goexit), 3, func(_ context.Context, i int) int {
		return i
	}))
	if diff := cmp.Diff([]int{0, 1}, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}
