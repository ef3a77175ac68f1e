// Package cache keeps answers of a server for a while and shares the look-ups for them.
package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A Config says what a [Cache] keeps.
type Config[V any] struct {
	// TTL is for how long a value is kept, from when it was asked for. Zero: not at all.
	TTL time.Duration
	// Limit is the most that the values in the cache weigh together.
	Limit int
	// Weight is what a value weighs, at least 1. nil: each weighs 1.
	Weight func(V) int
	// Shrink returns what is kept in place of a value for which the others leave no room, and
	// weighs 1. nil: others go.
	Shrink func(V) V
}

// A Cache keeps values under keys. It is safe for concurrent use.
type Cache[V any] struct {
	cfg Config[V]
	// ticks puts calls and loads in order, which the time does not: it may stand still.
	ticks atomic.Int64

	mu      sync.Mutex
	entries map[string]entry[V]
	weight  int
	flights map[string]*flight[V]
}

type entry[V any] struct {
	answer[V]

	weight int
}

// An answer is a value and when it was asked for.
type answer[V any] struct {
	value V
	tick  int64
	asked time.Time
}

// A flight is a load under way. It belongs to all who wait for it.
type flight[V any] struct {
	answer[V]

	ctx     *shared
	waiting int           // guarded by the cache
	done    chan struct{} // closed when value and err are set
	err     error
}

// New returns an empty cache.
func New[V any](cfg Config[V]) *Cache[V] {
	if cfg.Weight == nil {
		cfg.Weight = func(V) int { return 1 }
	}
	return &Cache[V]{cfg: cfg, entries: map[string]entry[V]{}, flights: map[string]*flight[V]{}}
}

// Load returns the value under a key if it is good, or else loads it. What good is told of a value
// is how old it was when Load was called: how long before that call it was asked for. A value that
// was asked for later is good in any case, whatever the function says; so is an error, of which
// none is kept.
//
// Callers that want the same key at once share one load. It has the values of the first one's
// context, and ends when the contexts of all of them have ended; each waits no longer than its own
// context allows. With a TTL of zero each Load loads for itself.
func (c *Cache[V]) Load(ctx context.Context, key string, good func(value V, age time.Duration) bool,
	load func(ctx context.Context) (V, error),
) (V, error) {
	if c.cfg.TTL <= 0 {
		return load(ctx)
	}
	called, tick := time.Now(), c.ticks.Add(1)
	usable := func(a answer[V]) bool {
		age := called.Sub(a.asked)
		return a.tick > tick || age < c.cfg.TTL && good(a.value, age)
	}
	for {
		found, f := c.find(ctx, key, usable, load)
		if f == nil {
			return found, nil
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			if !c.leave(key, f, ctx.Err()) {
				var none V
				return none, fmt.Errorf("webhooks: %w", endOf(ctx))
			}
			<-f.done // it ends now, too, and its error tells more
			if cause := context.Cause(ctx); f.err != nil && !errors.Is(f.err, cause) {
				return f.value, fmt.Errorf("%w (%w)", f.err, cause)
			}
			return f.value, f.err
		}
		if f.tick > tick || f.err == nil && usable(f.answer) {
			return f.value, f.err
		}
	}
}

// endOf is the error of a context that has ended, with its cause if that is another.
func endOf(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(err, cause) {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// find returns the value under a key if it is usable, or else the load under way, which it starts
// if there is none.
func (c *Cache[V]) find(ctx context.Context, key string, usable func(answer[V]) bool,
	load func(context.Context) (V, error),
) (V, *flight[V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if ok && usable(e.answer) {
		return e.value, nil
	}
	f := c.flights[key]
	if f == nil {
		f = &flight[V]{
			answer: answer[V]{tick: c.ticks.Add(1), asked: time.Now()},
			ctx:    newShared(ctx), done: make(chan struct{}),
		}
		c.flights[key] = f
		go c.fly(key, f, load)
	}
	f.waiting++
	return e.value, f
}

func (c *Cache[V]) fly(key string, f *flight[V], load func(context.Context) (V, error)) {
	defer close(f.done)
	f.land(load)
	c.mu.Lock()
	defer c.mu.Unlock()
	f.ctx.end(context.Canceled)
	if c.flights[key] != f {
		return // it was forgotten: the value may be what was there before
	}
	delete(c.flights, key)
	if f.err == nil {
		c.keep(key, f.answer)
	}
}

// land loads. A panic, of code that is not ours, is an error: those who wait are not in this
// goroutine.
func (f *flight[V]) land(load func(context.Context) (V, error)) {
	defer func() {
		if p := recover(); p != nil {
			f.err = fmt.Errorf("webhooks: a look-up panicked: %v", p)
		}
	}()
	f.value, f.err = load(f.ctx)
}

// leave ends the wait for a load, and the load if nobody waits any more, which it reports.
func (c *Cache[V]) leave(key string, f *flight[V], err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.waiting--
	if f.waiting > 0 {
		return false
	}
	if c.flights[key] == f {
		delete(c.flights, key) // nobody else may join what ends
	}
	f.ctx.end(err)
	return true
}

// keep keeps a value and makes room for it.
func (c *Cache[V]) keep(key string, a answer[V]) {
	c.drop(key)
	if c.weight+c.cfg.Weight(a.value) > c.cfg.Limit {
		c.dropExpired()
		if c.cfg.Shrink != nil && c.weight+c.cfg.Weight(a.value) > c.cfg.Limit {
			a.value = c.cfg.Shrink(a.value)
		}
	}
	weight := c.cfg.Weight(a.value)
	if weight > c.cfg.Limit {
		return
	}
	for some := range c.entries {
		if c.weight+weight <= c.cfg.Limit {
			break
		}
		c.drop(some)
	}
	c.weight += weight
	c.entries[key] = entry[V]{a, weight}
}

func (c *Cache[V]) dropExpired() {
	now := time.Now()
	for key, e := range c.entries {
		if now.Sub(e.asked) >= c.cfg.TTL {
			c.drop(key)
		}
	}
}

func (c *Cache[V]) drop(key string) {
	c.weight -= c.entries[key].weight
	delete(c.entries, key)
}

// Forget drops what is kept under a key. What a load that has already begun brings is neither kept
// nor given to later calls.
func (c *Cache[V]) Forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(key)
	delete(c.flights, key)
}
