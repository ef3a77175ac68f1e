package svixmock

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/mail"
	"strconv"
	"strings"
	"time"
)

const (
	jitter          = 0.2 // of a delay, up and down
	minAfterTimeout = time.Minute
	disableAfter    = 120 * time.Hour // of failures until an endpoint is disabled
)

// defaultSchedule are the server's delays between attempts.
var defaultSchedule = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour,
}

// task is a delivery to be made.
type task struct {
	app      *app
	message  *message
	endpoint *endpoint // nil: all that accept the message
	manual   bool
	retries  int // made so far
	round    *round
}

// round is what one task of the server's queue is: the attempts at all endpoints of a message, or
// one retry. It is guarded by Server.mu.
type round struct {
	stored []*attempt
	dead   bool // the task died: none of its attempts is stored
}

// dispatch plans the deliveries of a new message if anybody wants it at this moment; to only,
// unless that is nil. Server.mu must be held.
func (c *call) dispatch(a *app, m *message, only *endpoint) {
	everybody := task{app: a, message: m}
	if len(everybody.recipientsOf(m.at)) == 0 {
		return
	}
	everybody.endpoint = only
	c.tasks = append(c.tasks, everybody)
}

// deliver starts a task. Who receives it is decided anew when it runs.
func (s *Server) deliver(t task) {
	s.worker.start(func() {
		s.mu.Lock()
		recipients := t.recipientsOf(s.now())
		s.mu.Unlock()
		t.round = new(round)
		for _, r := range recipients {
			single := t
			single.endpoint = r.endpoint
			s.worker.start(func() { s.run(single) })
		}
	})
}

// run makes the attempts of a task to one endpoint until one succeeds or there are no more.
func (s *Server) run(t task) {
	for {
		r, ok := s.claim(t)
		if !ok {
			return
		}
		result, ok := s.attempt(t, r)
		if !ok {
			return // the server was closed
		}
		delay, again := s.record(t, r, result)
		if !again {
			return
		}
		waited := pause(s.ctx, delay)
		s.worker.changed(func() { s.worker.retries-- })
		if !waited {
			return
		}
		t.retries++
		t.round = new(round)
	}
}

// claim checks that an attempt is still wanted: by the endpoint's current settings, and because
// nothing ended the retries since the last attempt.
func (s *Server) claim(t task) (recipient, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.retries > 0 {
		if newest := t.message.newestAttempt(t.endpoint); newest == nil || newest.next.IsZero() {
			return recipient{}, false
		}
	}
	recipients := t.recipientsOf(s.now())
	if len(recipients) == 0 {
		return recipient{}, false
	}
	return recipients[0], true
}

// attempt makes one attempt and reports false if the server was closed meanwhile.
func (s *Server) attempt(t task, r recipient) (exchange, bool) {
	if !s.worker.acquire(s.ctx) {
		return exchange{}, false
	}
	defer s.worker.release()
	s.mu.RLock()
	body := t.message.content
	s.mu.RUnlock()
	x := exchange{at: s.now(), url: r.settings.url, body: body}
	x.header = s.deliveryHeader(t.message, r.settings, x)
	s.send(&x)
	return x, s.ctx.Err() == nil
}

// deliveryHeader are the headers of an attempt, in the casing of the wire.
func (s *Server) deliveryHeader(m *message, set *endpointSettings, x exchange) wireHeader {
	family := "webhook-"
	if s.worker.svixHeaders {
		family = "svix-"
	}
	msgID := m.id.text(messagePrefix)
	seconds := strconv.FormatInt(x.at.Unix(), 10)
	content := append([]byte(msgID+"."+seconds+"."), x.body...)
	h := wireHeader{}
	h.set("Accept", "*/*")
	h.set("content-type", "application/json")
	h.set("user-agent", userAgent)
	h.set(family+"id", msgID)
	h.set(family+"timestamp", seconds)
	h.set(family+"signature", set.signature(content, x.at))
	h.addCustom(set.headers)
	return h
}

// record stores the attempt and decides whether and when there is another one.
func (s *Server) record(t task, r recipient, x exchange) (delay time.Duration, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.storable(t, r, &x) {
		return 0, false
	}
	now := s.now()
	done := &attempt{
		id:       newID(x.at),
		message:  t.message,
		endpoint: r.endpoint,
		url:      x.url,
		response: x.response,
		at:       x.at,
		took:     x.took,
		code:     x.code,
		failed:   x.code < 200 || x.code > 299,
		manual:   t.manual,
	}
	switch {
	case !done.failed:
		r.failingSince = time.Time{}
	case t.manual:
	case t.retries < len(s.worker.schedule):
		delay, again = s.worker.delay(t.retries, x, now), true
		done.next = now.Add(delay)
	default:
		r.exhausted(now)
	}
	done.store()
	t.round.stored = append(t.round.stored, done)
	s.worker.made(again, func() Delivery { return newDelivery(done, x) })
	s.log.LogAttrs(context.Background(), slog.LevelInfo, "delivery",
		slog.String("endpoint", r.id), slog.String("message", done.message.id.text(messagePrefix)),
		slog.Int("status", x.code), slog.Bool("retry", again))
	return delay, again
}

// storable reports whether the server can store an attempt.
func (s *Server) storable(t task, r recipient, x *exchange) bool {
	switch {
	case t.round.dead:
		return false
	case x.kills():
		s.log.Error(
			"a Svix server's task dies of this Retry-After: no attempt at the message is stored, and none is "+
				"made again",
			slog.String("endpoint", r.id),
			slog.String("retry-after", x.answerHeader.Get("Retry-After")),
		)
		t.round.dead = true
		for _, stored := range t.round.stored {
			stored.forget()
		}
		return false
	case strings.ContainsRune(x.response, 0):
		s.log.Error(
			"a Svix server cannot store a response with a NUL byte: it would send the message again without end",
			slog.String("endpoint", r.id),
		)
		return false
	}
	return true
}

// exhausted notes that a message's last attempt failed, and disables an endpoint that has failed
// for long.
func (ep *endpoint) exhausted(now time.Time) {
	failing := now.Sub(ep.failingSince)
	switch {
	case ep.failingSince.IsZero() || failing >= 2*disableAfter:
		ep.failingSince = now
	case failing > disableAfter:
		settings := *ep.settings
		settings.disabled = true
		ep.store(settings, now)
	}
}

// delay is how long to wait after a failed attempt.
func (w *worker) delay(retries int, x exchange, now time.Time) time.Duration {
	delay := w.schedule[retries]
	if x.timedOut {
		delay = max(delay, minAfterTimeout)
	}
	if asked, ok := retryAfter(x.answerHeader, now); ok {
		delay = min(max(delay, asked), 2*delay)
	}
	if w.jitter {
		spread := 1 - jitter + 2*jitter*rand.Float64() //nolint:gosec // only spreads load
		delay = time.Duration(float64(delay) * spread)
	}
	return delay
}

// retryAfter reads the receiver's wish: a date, or seconds with fractions rounded up.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	text := h.Get("Retry-After")
	if date, err := mail.ParseDate(text); err == nil {
		return date.Sub(now), true
	}
	seconds, ok := parseDecimal(text)
	if !ok || math.IsNaN(seconds) {
		return 0, false
	}
	return time.Duration(math.Ceil(min(max(seconds, 0), maxRetryAfter))) * time.Second, true
}

// maxRetryAfter is in seconds, and beyond twice any delay.
const maxRetryAfter = 1e9

// parseDecimal reads a number as Rust does: no hexadecimal digits, no underscores.
func parseDecimal(text string) (float64, bool) {
	f, err := strconv.ParseFloat(text, 64)
	return f, (err == nil || errors.Is(err, strconv.ErrRange)) && !strings.ContainsAny(text, "xX_")
}

// kills reports whether the server's task dies of the receiver's wish for a delay, which no
// duration can hold.
func (x *exchange) kills() bool {
	seconds, ok := parseDecimal(x.answerHeader.Get("Retry-After"))
	failed := x.code != 0 && (x.code < 200 || x.code > 299)
	return ok && failed && seconds >= math.MaxUint64
}
