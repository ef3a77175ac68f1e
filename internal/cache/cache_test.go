package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/softwareheritage/webhooks/internal/cache"
)

func anyInt(int, time.Duration) bool { return true }

func newCache(ttl time.Duration, limit int) *cache.Cache[int] {
	return cache.New(cache.Config[int]{TTL: ttl, Limit: limit})
}

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
		c := newCache(time.Minute, 10)
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
	c := newCache(0, 10)
	next, _ := counter()
	load(t, c, "a", next)
	if got := load(t, c, "a", next); got != 2 {
		t.Errorf("got %d, want a second load", got)
	}
}

func TestBounded(t *testing.T) {
	t.Parallel()
	const limit = 8
	c := newCache(time.Hour, limit)
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
	c := newCache(time.Hour, 10)
	next, _ := counter()
	load(t, c, "a", next)
	got, err := c.Load(t.Context(), "a", func(v int, _ time.Duration) bool { return v > 1 }, next)
	if err != nil || got != 2 {
		t.Errorf("got %d, %v, want 2", got, err)
	}
}

func TestErrorIsNotKept(t *testing.T) {
	t.Parallel()
	c := newCache(time.Hour, 10)
	boom := errors.New("boom")
	if _, err := c.Load(t.Context(), "a", anyInt,
		func(context.Context) (int, error) { return 0, boom }); !errors.Is(err, boom) {
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
		c := newCache(time.Hour, 10)
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
		c := newCache(time.Hour, 10)
		var there atomic.Int64
		look := func(ctx context.Context) (int, error) {
			found := there.Load()
			time.Sleep(time.Second)
			return int(found), ctx.Err()
		}
		isThere := func(v int, _ time.Duration) bool { return v == 1 }
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
		c := newCache(time.Hour, 10)
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

// A look-up belongs to all who wait for it: it outlives the caller that began it.
func TestWaitingEndsWithTheCallersContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache(time.Hour, 10)
		var loads atomic.Int64
		slow := func(ctx context.Context) (int, error) {
			loads.Add(1)
			select {
			case <-time.After(time.Minute):
				return 1, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		start := time.Now()
		var waiting sync.WaitGroup
		for _, limit := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second} {
			waiting.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				_, err := c.Load(ctx, "a", anyInt, slow)
				if waited := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || waited != limit {
					t.Errorf("got %v after %v, want the deadline of %v", err, waited, limit)
				}
			})
			synctest.Wait()
		}
		if got := load(t, c, "a", slow); got != 1 || time.Since(start) != time.Minute {
			t.Errorf("got %d after %v, want what was asked for first", got, time.Since(start))
		}
		waiting.Wait()
		if got := loads.Load(); got != 1 {
			t.Errorf("got %d loads, want 1 for all", got)
		}
	})
}

// With the last of those who wait the look-up ends, and with it what it says of the server.
func TestLoadEndsWithTheLastOfThoseWhoWait(t *testing.T) {
	t.Parallel()
	unavailable, shutdown := errors.New("server answered 503"), errors.New("shutdown")
	synctest.Test(t, func(t *testing.T) {
		c := newCache(time.Hour, 10)
		began := time.Now()
		var ended time.Duration
		hang := func(ctx context.Context) (int, error) {
			<-ctx.Done()
			ended = time.Since(began)
			return 0, fmt.Errorf("%w; before that: %w", ctx.Err(), unavailable)
		}
		var waiting sync.WaitGroup
		waiting.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := c.Load(ctx, "a", anyInt, hang); !errors.Is(err, context.DeadlineExceeded) ||
				errors.Is(err, unavailable) {
				t.Errorf("the first got %v, want its deadline alone", err)
			}
		})
		waiting.Go(func() {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Minute, func() { cancel(shutdown) })
			_, err := c.Load(ctx, "a", anyInt, hang)
			for _, want := range []error{context.Canceled, shutdown, unavailable} {
				if !errors.Is(err, want) {
					t.Errorf("the last got %v, want it to be %v, too", err, want)
				}
			}
		})
		waiting.Wait()
		if ended != time.Minute {
			t.Errorf("the load ended after %v, want 1m", ended)
		}
		next, _ := counter()
		if got := load(t, c, "a", next); got != 1 {
			t.Errorf("got %d, want a new load", got)
		}
	})
}

func TestLoadHasTheValuesOfTheFirstContext(t *testing.T) {
	t.Parallel()
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, 7)
	got, err := newCache(time.Hour, 10).Load(ctx, "a", anyInt, func(ctx context.Context) (int, error) {
		derived, cancel := context.WithCancel(ctx)
		defer cancel()
		_, bounded := derived.Deadline()
		value, _ := derived.Value(key{}).(int)
		return value, map[bool]error{true: errors.New("it has a deadline")}[bounded]
	})
	if err != nil || got != 7 {
		t.Errorf("got %d, %v, want 7", got, err)
	}
}

// The life of an answer begins with the question: what changes while it is on its way is seen
// within the TTL.
func TestAgeCountsFromTheQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache(10*time.Second, 10)
		next, _ := counter()
		slow := func(ctx context.Context) (int, error) {
			time.Sleep(4 * time.Second)
			return next(ctx)
		}
		load(t, c, "a", slow)
		time.Sleep(6*time.Second - 1)
		var age time.Duration
		got, err := c.Load(t.Context(), "a", func(_ int, a time.Duration) bool { age = a; return true }, slow)
		if err != nil || got != 1 || age != 10*time.Second-1 {
			t.Errorf("got %d of age %v, %v, want 1 of age 9.999999999s", got, age, err)
		}
		time.Sleep(time.Nanosecond)
		if got := load(t, c, "a", slow); got != 2 {
			t.Errorf("got %d after the TTL, want 2", got)
		}
	})
}

// A load that takes longer than the TTL serves who came before it, and nobody who came when it was
// that old.
func TestLoadThatOutlivesTheTTL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache(time.Second, 10)
		next, _ := counter()
		slow := func(ctx context.Context) (int, error) {
			time.Sleep(3 * time.Second)
			return next(ctx)
		}
		var waiting sync.WaitGroup
		for wait, want := range map[time.Duration]int{0: 1, 999 * time.Millisecond: 1, 2 * time.Second: 2} {
			waiting.Go(func() {
				time.Sleep(wait)
				if got := load(t, c, "a", slow); got != want {
					t.Errorf("asked after %v: got %d, want %d", wait, got, want)
				}
			})
		}
		waiting.Wait()
	})
}

func TestWeightIsBounded(t *testing.T) {
	t.Parallel()
	itself := func(v int) int { return v }
	value := func(v int) func(context.Context) (int, error) {
		return func(context.Context) (int, error) { return v, nil }
	}
	t.Run("others go", func(t *testing.T) {
		t.Parallel()
		c := cache.New(cache.Config[int]{TTL: time.Hour, Limit: 10, Weight: itself})
		for _, step := range []struct {
			key            string
			weight, wanted int
		}{
			{"a", 6, 6}, {"b", 4, 4}, {"a", 5, 6}, // both fit
			{"c", 7, 7}, {"c", 1, 7}, {"a", 3, 3}, // a had to go
			{"d", 11, 11}, {"d", 1, 1}, // never fits
		} {
			if got := load(t, c, step.key, value(step.weight)); got != step.wanted {
				t.Fatalf("%s of weight %d: got %d, want %d", step.key, step.weight, got, step.wanted)
			}
		}
	})
	t.Run("what has no room is shrunk", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := cache.New(cache.Config[int]{
				TTL: time.Hour, Limit: 10, Weight: itself,
				Shrink: func(int) int { return 1 },
			})
			for _, step := range []struct {
				key            string
				weight, wanted int
			}{
				{"a", 8, 8}, {"b", 5, 5}, {"b", 5, 1}, {"a", 2, 8}, {"c", 1, 1},
			} {
				if got := load(t, c, step.key, value(step.weight)); got != step.wanted {
					t.Fatalf("%s of weight %d: got %d, want %d", step.key, step.weight, got, step.wanted)
				}
			}
			time.Sleep(time.Hour) // all of them expire, so that there is room
			load(t, c, "d", value(9))
			if got := load(t, c, "d", value(2)); got != 9 {
				t.Errorf("got %d, want the 9 that there is room for", got)
			}
		})
	})
}
