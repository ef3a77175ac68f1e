package cache_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/softwareheritage/webhooks/internal/cache"
)

func anyInt(int) bool { return true }

// counter is a load that returns 1, 2, 3...
func counter() (func(context.Context) (int, error), *atomic.Int64) {
	var loads atomic.Int64
	return func(context.Context) (int, error) { return int(loads.Add(1)), nil }, &loads
}

func load(t *testing.T, c *cache.Cache[int], key string, f func(context.Context) (int, error)) int {
	t.Helper()
	v, err := c.Load(t.Context(), key, anyInt, f)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestLoadKeepsForTTL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cache.New[int](time.Minute, 10)
		next, _ := counter()
		first := load(t, c, "a", next)
		time.Sleep(time.Minute - 1)
		if got := load(t, c, "a", next); got != first {
			t.Errorf("before the TTL: got %d, want %d", got, first)
		}
		time.Sleep(time.Nanosecond)
		if got := load(t, c, "a", next); got != first+1 {
			t.Errorf("after the TTL: got %d, want %d", got, first+1)
		}
	})
}

func TestZeroTTLKeepsNothing(t *testing.T) {
	t.Parallel()
	c := cache.New[int](0, 10)
	next, _ := counter()
	load(t, c, "a", next)
	if got := load(t, c, "a", next); got != 2 {
		t.Errorf("got %d, want a second load", got)
	}
}

func TestBounded(t *testing.T) {
	t.Parallel()
	const limit = 8
	c := cache.New[int](time.Hour, limit)
	next, loads := counter()
	for i := range 3 * limit {
		load(t, c, strconv.Itoa(i), next)
	}
	before := loads.Load()
	for i := range 3 * limit {
		load(t, c, strconv.Itoa(i), next)
	}
	if again := loads.Load() - before; again < 2*limit {
		t.Errorf("%d of %d keys loaded again, so more than %d were kept", again, 3*limit, limit)
	}
}

func TestValueThatIsNotGoodIsLoadedAgain(t *testing.T) {
	t.Parallel()
	c := cache.New[int](time.Hour, 10)
	next, _ := counter()
	load(t, c, "a", next)
	got, err := c.Load(t.Context(), "a", func(v int) bool { return v > 1 }, next)
	if err != nil || got != 2 {
		t.Errorf("got %d, %v, want 2", got, err)
	}
}

func TestErrorIsNotKept(t *testing.T) {
	t.Parallel()
	c := cache.New[int](time.Hour, 10)
	boom := errors.New("boom")
	if _, err := c.Load(t.Context(), "a", anyInt, func(context.Context) (int, error) { return 0, boom }); !errors.Is(err, boom) {
		t.Fatalf("got %v, want %v", err, boom)
	}
	next, _ := counter()
	if got := load(t, c, "a", next); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
}

func TestOneLoadForAllThatWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cache.New[int](time.Hour, 10)
		next, loads := counter()
		var waiting sync.WaitGroup
		for range 100 {
			waiting.Go(func() {
				load(t, c, "a", func(ctx context.Context) (int, error) {
					time.Sleep(time.Second)
					return next(ctx)
				})
			})
		}
		waiting.Wait()
		if got := loads.Load(); got != 1 {
			t.Errorf("got %d loads, want 1", got)
		}
	})
}

// A no that was under way when the question was asked may be out of date.
func TestStaleNoIsNotShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cache.New[int](time.Hour, 10)
		var there atomic.Int64
		look := func(ctx context.Context) (int, error) {
			found := there.Load()
			time.Sleep(time.Second)
			return int(found), ctx.Err()
		}
		isThere := func(v int) bool { return v == 1 }
		go func() { _, _ = c.Load(t.Context(), "a", isThere, look) }()
		synctest.Wait() // it has looked already
		there.Store(1)
		got, err := c.Load(t.Context(), "a", isThere, look)
		if err != nil || got != 1 {
			t.Errorf("got %d, %v, want the 1 that was there before the call", got, err)
		}
	})
}

func TestForgetDropsAlsoWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cache.New[int](time.Hour, 10)
		go func() {
			_, _ = c.Load(t.Context(), "a", anyInt, func(context.Context) (int, error) {
				time.Sleep(time.Second)
				return 1, nil
			})
		}()
		synctest.Wait()
		c.Forget("a")
		two := func(context.Context) (int, error) { return 2, nil }
		if got := load(t, c, "a", two); got != 2 {
			t.Errorf("a call after Forget got the old %d", got)
		}
		time.Sleep(2 * time.Second)
		if got := load(t, c, "a", two); got != 2 {
			t.Errorf("the old %d was kept", got)
		}
	})
}

func TestWaitingEndsWithTheCallersContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cache.New[int](time.Hour, 10)
		slow := func(ctx context.Context) (int, error) {
			time.Sleep(time.Minute)
			return 1, ctx.Err()
		}
		leader, cancelLeader := context.WithCancel(t.Context())
		go func() { _, _ = c.Load(leader, "a", anyInt, slow) }()
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := c.Load(ctx, "a", anyInt, slow); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("waited %v, want 1s", waited)
		}

		// The end of the one that loads is not that of those that wait.
		cancelLeader()
		if got := load(t, c, "a", slow); got != 1 {
			t.Errorf("got %d, want 1", got)
		}
	})
}
