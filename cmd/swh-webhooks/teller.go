package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/foreign"
)

// patience is how long the server may take for an answer before a user is told that this is what
// the command waits for.
const patience = 5 * time.Second

// A teller tells on standard error what a client does: everything, or only that it waits for long.
type teller struct {
	server string
	all    bool

	mu      sync.Mutex
	w       io.Writer
	started time.Time
	patient sync.Once
}

func (s *settings) newTeller(w io.Writer, r resolved) *teller {
	return &teller{w: w, server: host(r.Svix.ServerURL), all: s.verbose, started: time.Now()}
}

func (t *teller) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = fmt.Fprintf(t.w, format+"\n", args...)
}

// Start is called when a client begins something.
func (t *teller) Start(
	ctx context.Context, span webhooks.Span,
) (context.Context, func(webhooks.End)) {
	began := time.Now()
	if span.Kind != webhooks.SpanTry {
		return ctx, func(end webhooks.End) { t.tell(span, end, began) }
	}
	timer := time.AfterFunc(patience, func() {
		t.patient.Do(func() { t.say("Waiting for the answer of %s", foreign.Printable(t.server)) })
	})
	return ctx, func(end webhooks.End) {
		timer.Stop()
		t.tell(span, end, began)
	}
}

// tell says what has ended.
func (t *teller) tell(span webhooks.Span, end webhooks.End, began time.Time) {
	if !t.all {
		return
	}
	text := strings.TrimSpace(span.Kind.String() + " " + foreign.Printable(span.Op+span.EventType))
	if span.Try > 0 {
		text += fmt.Sprintf(" %d", span.Try)
	}
	switch {
	case end.Err != nil:
		text += ": " + inOneLine(end.Err)
	case end.Status != 0:
		text += fmt.Sprintf(": %d", end.Status)
	}
	t.say("%7.3fs  %s, %s", time.Since(t.started).Seconds(), text, took(time.Since(began)))
}
