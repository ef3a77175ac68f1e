package transport

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// maxLeft bounds the tries that go on without a caller, each of which holds a
// connection and a body.
const maxLeft = 256

// left are the tries that their callers have left. The zero value has none.
type left struct {
	mu      sync.Mutex
	running map[chan struct{}]struct{} // each is closed at the end of its try
}

// take takes a try over, whose answer nobody wants to know. It refuses when
// there are too many.
func (l *left) take(answer <-chan Answer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.running) >= maxLeft {
		return false
	}
	if l.running == nil {
		l.running = make(map[chan struct{}]struct{})
	}
	done := make(chan struct{})
	l.running[done] = struct{}{}
	go func() {
		<-answer
		l.mu.Lock()
		delete(l.running, done)
		l.mu.Unlock()
		close(done)
	}()
	return true
}

// Drain waits until the tries that are finished in the background when it is
// called have ended, or until ctx ends, whose error it then returns. At most 256
// tries are finished so at a time; what is more is cut off. Each ends after
// AttemptTimeout at the latest.
func (t *Transport) Drain(ctx context.Context) error {
	t.left.mu.Lock()
	running := slices.Collect(maps.Keys(t.left.running))
	t.left.mu.Unlock()
	for _, done := range running {
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
