package svixmock

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// maxExchanges is how many deliveries are under way at once.
const maxExchanges = 500

// idleLimit is how long WaitForDeliveries waits while nothing is under way that could become a
// delivery. A client that retries may pause for 30 seconds.
const idleLimit = 40 * time.Second

// worker runs the deliveries and keeps count of them.
type worker struct {
	schedule    []time.Duration
	jitter      bool
	svixHeaders bool
	slots       chan struct{}
	wire        *wire

	running sync.WaitGroup
	log     ring[Delivery]

	mu       sync.Mutex
	handlers map[string]http.Handler // receivers in memory, by origin
	closed   bool
	tasks    int           // goroutines that deliver, wait for a retry, or are about to
	retries  int           // of those, the ones that wait
	count    int           // of attempts made
	progress chan struct{} // closed at the next change; nil: nobody waits for it
}

func (s *Server) initWorker(cfg Config) {
	w := &s.worker
	w.schedule = cfg.RetrySchedule
	if w.schedule == nil {
		w.schedule, w.jitter = defaultSchedule, true
	}
	w.svixHeaders = cfg.SvixHeaders
	w.slots = make(chan struct{}, maxExchanges)
	w.wire = newWire()
	w.log.size = cfg.KeepDeliveries
	w.handlers = map[string]http.Handler{}
}

// start runs f in a goroutine unless the server is closed.
func (w *worker) start(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.tasks++
	w.running.Go(func() {
		defer w.changed(func() { w.tasks-- })
		f()
	})
}

// stop lets no more task start and waits for those that run.
func (w *worker) stop() {
	w.changed(func() { w.closed = true })
	w.running.Wait()
	w.wire.close()
}

// changed changes the worker's state and wakes up those who wait for it.
func (w *worker) changed(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
	if w.progress != nil {
		close(w.progress)
		w.progress = nil
	}
}

// acquire takes a slot for an exchange and reports false if ctx ended first.
func (w *worker) acquire(ctx context.Context) bool {
	select {
	case w.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *worker) release() { <-w.slots }

// made counts an attempt and logs it.
func (w *worker) made(retry bool, entry func() Delivery) {
	w.log.add(entry)
	w.changed(func() {
		w.count++
		if retry {
			w.retries++
		}
	})
}

// state is what WaitForDeliveries looks at, with the signal of its next change.
func (w *worker) state() (count, tasks, retries int, closed bool, progress <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.progress == nil {
		w.progress = make(chan struct{})
	}
	return w.count, w.tasks, w.retries, w.closed, w.progress
}

// WaitForDeliveries waits until n deliveries in all were made and are listed as attempts. It fails
// when ctx ends, when the server is closed, and when for 40 seconds nothing was under way that
// could become a delivery. The error says how many there were and why the rest may be missing.
func (s *Server) WaitForDeliveries(ctx context.Context, n int) error {
	idle := time.NewTimer(idleLimit)
	defer idle.Stop()
	for {
		count, tasks, _, closed, progress := s.worker.state()
		if count >= n {
			return nil
		}
		if closed {
			return s.missing(n, "the server is closed")
		}
		var expired <-chan time.Time
		if tasks == 0 {
			idle.Reset(idleLimit)
			expired = idle.C
		}
		select {
		case <-progress:
		case <-expired:
			return s.missing(n, "nothing is under way any more")
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", s.missing(n, "gave up"), context.Cause(ctx))
		}
	}
}

// missing describes why there are fewer than n deliveries.
func (s *Server) missing(n int, reason string) error {
	count, tasks, retries, _, _ := s.worker.state()
	messages, endpoints, disabled := s.census()
	text := fmt.Sprintf("%d of %d deliveries made: %s (%d messages, %d endpoints of which %d disabled",
		count, n, reason, messages, endpoints, disabled)
	switch {
	case messages == 0:
		text += "; no message was sent"
	case endpoints == disabled:
		text += "; there is no endpoint to deliver to"
	case tasks == 0:
		text += "; the other messages matched no endpoint's event types and channels, or their retries are used up"
	}
	if retries > 0 {
		text += fmt.Sprintf("; %d retries wait for their time", retries)
	}
	return fmt.Errorf("svixmock: %s)", text)
}

// census counts what is stored.
func (s *Server) census() (messages, endpoints, disabled int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, o := range s.orgs {
		for _, a := range o.apps {
			messages += len(a.messages.all)
			endpoints += len(a.endpoints)
			for _, ep := range a.endpoints {
				if ep.settings.disabled {
					disabled++
				}
			}
		}
	}
	return messages, endpoints, disabled
}
