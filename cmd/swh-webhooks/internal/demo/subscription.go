package demo

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/canonical"
)

// A subscription is an endpoint of the receiver and what has to arrive there.
type subscription struct {
	path     string
	endpoint webhooks.Endpoint
	due      map[string]webhooks.Event // by the id of the message
}

// wants tells whether an event has to be delivered to the endpoint.
func (s *subscription) wants(ev webhooks.Event) bool {
	return ev.Type == s.endpoint.EventType && (s.endpoint.Channel == "" ||
		ev.Channel == s.endpoint.Channel)
}

func (s *subscription) expect(messageID string, ev webhooks.Event) {
	if s.due == nil {
		s.due = map[string]webhooks.Event{}
	}
	s.due[messageID] = ev
}

// check compares verified deliveries with those that are due.
func (s *subscription) check(arrived []webhooks.Delivery) tally {
	t := tally{due: len(s.due)}
	seen := map[string]bool{}
	for _, d := range arrived {
		ev, wanted := s.due[d.MessageID]
		switch {
		case !wanted || seen[d.MessageID]:
			t.surplus++
		case d.EventType != ev.Type || !bytes.Equal(d.Payload, body(ev)):
			t.altered++
		default:
			t.verified++
		}
		seen[d.MessageID] = true
	}
	return t
}

// body is what endpoints receive of an event; nil if it cannot be sent.
func body(ev webhooks.Event) []byte {
	tree, err := canonical.FromGo(ev.Payload)
	if err != nil {
		return nil
	}
	return canonical.Append(nil, tree)
}

// A tally compares what arrived at an endpoint with what had to.
type tally struct {
	due      int
	verified int // arrived, once and as sent
	altered  int // arrived with another payload or event type
	surplus  int // arrived again, or without being due
}

func (t tally) complete() bool {
	return t == tally{due: t.due, verified: t.due}
}

func (t tally) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d of %d deliveries verified", t.verified, t.due)
	for _, wrong := range []struct {
		count int
		what  string
	}{
		{t.due - t.verified - t.altered, "missing"},
		{t.altered, "altered"},
		{t.surplus, "too many"},
	} {
		if wrong.count > 0 {
			fmt.Fprintf(&text, ", %d %s", wrong.count, wrong.what)
		}
	}
	return text.String()
}
