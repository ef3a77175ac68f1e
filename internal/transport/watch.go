package transport

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A watch ends tries that take too long. One timer serves them all: to set one
// for each wakes the runtime's poller, which costs microseconds on every request.
type watch struct {
	limit   time.Duration
	tooSlow error // the cause that it gives the contexts of these tries

	mu      sync.Mutex
	running map[*watched]struct{}
	check   time.Time // when the timer that was set last fires
}

// watched is a try under way.
type watched struct {
	deadline time.Time
	cancel   context.CancelCauseFunc
}

func newWatch(limit time.Duration) *watch {
	return &watch{
		limit:   limit,
		tooSlow: &timeoutError{fmt.Sprintf("no answer within %v", limit)},
		running: make(map[*watched]struct{}),
	}
}

// start returns the context for a try, which ends after the limit, and what ends
// it earlier, by the method end. That must be called when the try is over.
func (w *watch) start(parent context.Context) (context.Context, *watched) {
	ctx, cancel := context.WithCancelCause(parent)
	now := time.Now()
	t := &watched{deadline: now.Add(w.limit), cancel: cancel}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[t] = struct{}{}
	w.checkBy(t.deadline, now)
	return ctx, t
}

func (w *watch) end(t *watched) {
	w.mu.Lock()
	delete(w.running, t)
	w.mu.Unlock()
	t.cancel(nil)
}

// checkBy sets a timer for the deadline unless there is one that fires before.
func (w *watch) checkBy(deadline, now time.Time) {
	if w.check.After(now) && !w.check.After(deadline) {
		return
	}
	w.check = deadline
	time.AfterFunc(deadline.Sub(now), w.endLate)
}

// endLate ends the tries whose time is up, and will be back for the next one.
func (w *watch) endLate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	var next time.Time
	for t := range w.running {
		switch {
		case !t.deadline.After(now):
			delete(w.running, t)
			t.cancel(w.tooSlow)
		case next.IsZero(), t.deadline.Before(next):
			next = t.deadline
		}
	}
	if !next.IsZero() {
		w.checkBy(next, now)
	}
}
