// Package cache keeps answers of a server for a while.
package cache

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// A Cache holds at most a given number of values for at most a given time. It
// is safe for concurrent use.
type Cache[V any] struct {
	ttl time.Duration
	max int

	flights singleflight.Group

	mu         sync.Mutex
	entries    map[string]entry[V]
	generation int // counts the calls of Forget
}

type entry[V any] struct {
	value   V
	expires time.Time
}

// New returns an empty cache of at most limit values. With a ttl of zero it
// keeps nothing and each Load loads.
func New[V any](ttl time.Duration, limit int) *Cache[V] {
	return &Cache[V]{ttl: ttl, max: limit, entries: make(map[string]entry[V])}
}

func (c *Cache[V]) get(key string) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok || !time.Now().Before(e.expires) {
		var none V
		return none, false
	}
	return e.value, true
}

// Load returns the value under a key if it is good, or else loads it. Callers
// that want the same key at once share one load. A value that is not good and an
// error are shared only with callers that came before that load began: an answer
// that is older than the question could be out of date. An error is not kept.
func (c *Cache[V]) Load(ctx context.Context, key string, good func(V) bool, load func(ctx context.Context) (V, error)) (V, error) {
	if c.ttl <= 0 {
		return load(ctx)
	}
	for round := 1; ; round++ {
		if value, ok := c.get(key); ok && good(value) {
			return value, nil
		}
		var own atomic.Bool
		generation := c.currentGeneration()
		flight := c.flights.DoChan(strconv.Itoa(generation)+" "+key, func() (any, error) {
			own.Store(true)
			value, err := load(ctx)
			if err == nil {
				c.put(key, value, generation)
			}
			return value, err
		})
		var result singleflight.Result
		select {
		case result = <-flight:
		case <-ctx.Done():
			if !own.Load() {
				var none V
				return none, fmt.Errorf("webhooks: %w", ctx.Err())
			}
			result = <-flight // it ends with ctx as well, and its error tells more
		}
		value, _ := result.Val.(V)
		// The second load that a caller joins began after its first one ended,
		// so after the call. One that ended with the context of the caller that
		// started it says nothing to the others.
		fresh := own.Load() || round > 1 && !isContextError(result.Err)
		if fresh || result.Err == nil && good(value) {
			return value, result.Err
		}
	}
}

func (c *Cache[V]) currentGeneration() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.generation
}

func (c *Cache[V]) put(key string, value V, generation int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != c.generation {
		return // something was forgotten while the value was on its way: it may be that
	}
	if _, ok := c.entries[key]; !ok && len(c.entries) >= c.max {
		for some := range c.entries {
			delete(c.entries, some)
			break
		}
	}
	c.entries[key] = entry[V]{value: value, expires: time.Now().Add(c.ttl)}
}

// Forget drops what is kept under a key. What loads that have already begun
// bring is neither kept nor given to later calls.
func (c *Cache[V]) Forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	delete(c.entries, key)
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
