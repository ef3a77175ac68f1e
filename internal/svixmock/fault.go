package svixmock

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Fault is something that goes wrong with a request of the API. Fields that are zero do not go
// wrong.
type Fault struct {
	// Status, Header and Body are answered instead of the server's own answer; Status 0: they are
	// not. Without a Content-Type in Header the body is sent as application/json.
	Status int
	Header http.Header
	Body   string
	// Reset breaks the connection without an answer. In memory the request's error is then a
	// connection reset.
	Reset bool
	// Hang gives no answer until the request's context ends or the server is closed.
	Hang bool
	// Delay is how long the answer is held back, at most until the request's context ends.
	Delay time.Duration
	// AfterActing lets the server act on the request before Status, Reset, Hang or Delay. Without
	// it a request that meets Status, Reset or Hang has no effect.
	AfterActing bool
	// GoAway drops the request's handler as if the client had gone away, and says how far it came.
	// There is no answer, except the one that Status or Reset gives. Hang and Delay come after it.
	GoAway GoAway
	// Truncate sends half of the answer's body under the Content-Length of all of it.
	Truncate bool
	// SlowBody is a pause between the halves of the answer's body.
	SlowBody time.Duration
	// Only selects the requests that can meet the fault; nil: all.
	Only func(*http.Request) bool
}

// GoAway is how far the server comes with a request whose client goes away before the answer: it
// drops the request's handler where it stands. Whatever it is, the request's idempotency key stays
// locked for minutes.
type GoAway int

const (
	// Stay is the zero value: the client waits for the answer. If it really goes away before that,
	// a message is stored and not queued.
	Stay GoAway = iota
	// NothingStored drops the handler before it has an effect.
	NothingStored
	// StoredNotQueued drops the handler once everything is stored: what it was to deliver never is.
	// A message is listed, but has no attempts; the same eventId is a conflict; only a resend
	// delivers it.
	StoredNotQueued
	// StoredAndQueued drops the handler when all is done but the answer.
	StoredAndQueued
)

// matches reports whether a request can meet the fault.
func (f Fault) matches(r *http.Request) bool {
	return f.Only == nil || f.Only(r)
}

// holds reports whether the fault holds the request up.
func (f Fault) holds() bool { return f.Hang || f.Delay > 0 }

// acts reports whether the server acts, perhaps not on everything, before the rest of the fault.
func (f Fault) acts() bool { return f.AfterActing || f.GoAway != Stay }

// replaces reports whether the server's own answer is never given.
func (f Fault) replaces() bool { return f.Status != 0 || f.Reset || f.Hang }

// answer is what is answered instead of the server's own answer.
func (f Fault) answer() answer {
	a := answer{status: f.Status, header: f.Header}
	if f.Body != "" {
		a.body = []byte(f.Body)
	}
	return a
}

// faults are those that requests are to meet.
type faults struct {
	mu     sync.Mutex
	queue  []queuedFault
	rate   float64
	random *rand.Rand
	kinds  []Fault
}

type queuedFault struct {
	left  int
	fault Fault
}

// FailNext makes the next n requests that f.Only selects meet f, after earlier calls' faults are
// used up. Requests for the server's health never meet a fault.
func (s *Server) FailNext(n int, f Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if n > 0 {
		s.faults.queue = append(s.faults.queue, queuedFault{n, f})
	}
}

// FailRate makes each request meet one of the faults with a probability of rate. A rate of 0 ends
// that. Requests made one after the other meet the same faults for the same seed.
func (s *Server) FailRate(rate float64, seed uint64, kinds ...Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.rate = rate
	s.faults.kinds = kinds
	s.faults.random = rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // it has to be reproducible
}

// pick takes the fault that a request meets.
func (f *faults) pick(r *http.Request) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) == 0 && f.rate == 0 || strings.HasPrefix(r.URL.Path, "/api/v1/health") {
		return Fault{}
	}
	for i := range f.queue {
		q := &f.queue[i]
		if !q.fault.matches(r) {
			continue
		}
		fault := q.fault
		if q.left--; q.left == 0 {
			f.queue = append(f.queue[:i], f.queue[i+1:]...)
		}
		return fault
	}
	return f.draw(r)
}

// draw decides by chance.
func (f *faults) draw(r *http.Request) Fault {
	var kinds []Fault
	for _, kind := range f.kinds {
		if kind.matches(r) {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) == 0 || f.random.Float64() >= f.rate {
		return Fault{}
	}
	return kinds[f.random.IntN(len(kinds))]
}

// meet lets a request meet its fault; act is what the server does with the request.
func (s *Server) meet(f Fault, r *http.Request, act func() outcome) outcome {
	out := outcome{dropped: true}
	switch {
	case f.acts():
		out = act()
		if out.dropped && (r.Context().Err() != nil || s.ctx.Err() != nil) {
			return out
		}
	case !s.hold(r.Context(), f) && (f.replaces() || s.ctx.Err() != nil || s.patient):
		return out
	case !f.replaces():
		out = act()
	}
	switch {
	case f.Reset:
		return outcome{reset: true}
	case f.Status != 0:
		out = outcome{answer: f.answer()}
	}
	out.truncate = f.Truncate
	out.slow = f.SlowBody
	return out
}

// finish is the end of a handler that has stored what it had to: it queues the deliveries. It
// reports whether the client is still there.
func (s *Server) finish(c *call) bool {
	f := c.fault
	if f.GoAway == StoredAndQueued {
		s.queue(c)
	}
	if s.patient && f.GoAway == Stay {
		s.queue(c)
		if f.AfterActing {
			s.hold(c.Context(), f)
		}
		return true
	}
	held := !f.acts() || s.hold(c.Context(), f)
	if f.GoAway != Stay || !held || c.Context().Err() != nil {
		return false
	}
	s.queue(c)
	return true
}

func (s *Server) queue(c *call) {
	for _, t := range c.tasks {
		s.deliver(t)
	}
}

// hold holds a request up and reports whether it got through.
func (s *Server) hold(ctx context.Context, f Fault) bool {
	if !f.holds() {
		return true
	}
	var over <-chan time.Time // never where it hangs
	if !f.Hang {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
		return true
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
	return false
}
