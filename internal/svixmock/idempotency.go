package svixmock

import (
	"context"
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	idempotencyTTL   = 12 * time.Hour         // of an answer
	idempotencyLock  = 5 * time.Second        // of the lock that a request holds while it runs
	idempotencyPoll  = 200 * time.Millisecond // between two looks at somebody else's lock
	idempotencySweep = 5 * time.Minute        // after which expired entries are forgotten
)

// idempotencyKey identifies a request: its token, its key and where it goes. The body plays no
// part.
type idempotencyKey [sha256.Size]byte

// idempotencyCache is the server's memory cache. An expired entry can no longer be read, but until
// the next sweep it still keeps its key from being locked anew.
type idempotencyCache struct {
	now func() time.Time

	mu      sync.Mutex
	entries map[idempotencyKey]idempotencyEntry
	swept   time.Time // zero: not yet
}

// idempotencyEntry is an answer, or a lock where that is nil.
type idempotencyEntry struct {
	answer  *answer
	expires time.Time
}

func newIdempotencyCache(now func() time.Time) *idempotencyCache {
	return &idempotencyCache{now: now, entries: map[idempotencyKey]idempotencyEntry{}}
}

// idempotent answers a POST that has a key with what the first request with that key was answered.
// Where act panics, which stands for a handler that is dropped, the key stays locked.
func (s *Server) idempotent(c *call, act func() answer) answer {
	key, ok := idempotencyKeyOf(c)
	if s.idempotency == nil || !ok {
		return act()
	}
	if !s.idempotency.lock(key) {
		if stored := s.idempotency.await(c.Context(), key); stored != nil {
			return *stored
		}
		if !s.idempotency.lock(key) {
			return answer{status: http.StatusInternalServerError}
		}
	}
	a := act()
	if 200 <= a.status && a.status <= 299 {
		s.idempotency.store(key, a)
	} else {
		s.idempotency.release(key)
	}
	return a
}

func idempotencyKeyOf(c *call) (idempotencyKey, bool) {
	key, auth := c.Header["Idempotency-Key"], c.Header["Authorization"]
	if c.Method != http.MethodPost || len(key) == 0 || len(auth) == 0 || !isVisible(key[0]) ||
		!isVisible(auth[0]) {
		return idempotencyKey{}, false
	}
	uri := c.path + "?" + c.rawQuery
	return sha256.Sum256([]byte(strings.Join([]string{auth[0], key[0], uri}, ":"))), true
}

// lock takes a key that nobody has and reports whether it did.
func (ic *idempotencyCache) lock(key idempotencyKey) bool {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	ic.sweep()
	if _, taken := ic.entries[key]; taken {
		return false
	}
	ic.entries[key] = idempotencyEntry{expires: ic.now().Add(idempotencyLock)}
	return true
}

// sweep forgets what had expired at the last of the regular sweeps. They begin anew where the clock
// was set back.
func (ic *idempotencyCache) sweep() {
	now := ic.now()
	if ic.swept.IsZero() || now.Before(ic.swept) {
		ic.swept = now
	}
	since := now.Sub(ic.swept)
	if since < idempotencySweep {
		return
	}
	ic.swept = ic.swept.Add(since.Truncate(idempotencySweep))
	for key, entry := range ic.entries {
		if !entry.expires.After(ic.swept) {
			delete(ic.entries, key)
		}
	}
}

// await waits for the answer to the request that holds a key; nil where there will be none.
func (ic *idempotencyCache) await(ctx context.Context, key idempotencyKey) *answer {
	if a, _ := ic.get(key); a != nil {
		return a
	}
	for waited := idempotencyPoll; ; waited += idempotencyPoll {
		if !pause(ctx, idempotencyPoll) {
			return nil
		}
		a, locked := ic.get(key)
		if a != nil || !locked || waited > idempotencyLock {
			return a
		}
	}
}

// get reads an unexpired entry.
func (ic *idempotencyCache) get(key idempotencyKey) (a *answer, locked bool) {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	entry, found := ic.entries[key]
	if !found || !entry.expires.After(ic.now()) {
		return nil, false
	}
	return entry.answer, entry.answer == nil
}

func (ic *idempotencyCache) store(key idempotencyKey, a answer) {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	ic.entries[key] = idempotencyEntry{answer: &a, expires: ic.now().Add(idempotencyTTL)}
}

func (ic *idempotencyCache) release(key idempotencyKey) {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	delete(ic.entries, key)
}
