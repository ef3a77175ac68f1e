package svixmock

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
)

// Message is a stored message.
type Message struct {
	ID        string
	AppID     string
	AppUID    string // empty: none
	EventID   string // empty: none
	EventType string
	Channels  []string  // sorted
	Payload   []byte    // the exact bytes that are delivered; nil once they are gone
	Timestamp time.Time // of its creation
}

// Messages are the stored messages of all applications, oldest first.
func (s *Server) Messages() []Message {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := s.now()
	var all []Message
	for _, o := range s.orgs {
		for _, a := range o.apps {
			all = slices.Grow(all, len(a.messages.all))
			for _, m := range a.messages.all {
				all = append(all, a.show(m, now))
			}
		}
	}
	slices.SortFunc(all, func(a, b Message) int {
		if order := a.Timestamp.Compare(b.Timestamp); order != 0 {
			return order
		}
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return all
}

func (a *app) show(m *message, now time.Time) Message {
	shown := Message{
		ID:        m.id.text(messagePrefix),
		AppID:     a.id,
		EventID:   m.eventID,
		EventType: m.eventType,
		Channels:  slices.Clone(m.channels),
		Payload:   m.body(now),
		Timestamp: m.at,
	}
	if uid := a.settings.uid; uid != nil {
		shown.AppUID = *uid
	}
	return shown
}

// Seed describes attempts that SeedAttempts stores.
type Seed struct {
	App       string // id or uid
	Endpoint  string // id or uid
	EventType string
	Channels  []string
	Payload   func(i int) []byte    // of the i-th message
	At        func(i int) time.Time // of the i-th message and its attempt; ascending
}

// SeedAttempts stores n messages, each with one attempt that succeeded, without delivering them. It
// is made for large numbers: a million take a few seconds and, payloads aside, about 350 bytes
// each.
func (s *Server) SeedAttempts(n int, seed Seed) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.orgs[s.tokenOrg].seeded(seed.App)
	if a == nil {
		return fmt.Errorf("svixmock: seeding attempts: no application %s", seed.App)
	}
	ep := a.endpoint(seed.Endpoint)
	if ep == nil {
		return fmt.Errorf("svixmock: seeding attempts: no endpoint %s", seed.Endpoint)
	}
	if n < 0 {
		return errors.New("svixmock: seeding attempts: negative number")
	}
	a.seed(ep, n, seed)
	return nil
}

// seeded is the application to seed, nil where there is none.
func (o *org) seeded(ref string) *app {
	if o == nil {
		return nil
	}
	return o.app(ref)
}

func (a *app) seed(ep *endpoint, n int, seed Seed) {
	messages := make([]message, n)
	attempts := make([]attempt, n)
	a.messages.all = slices.Grow(a.messages.all, n)
	ep.attempts = slices.Grow(ep.attempts, n)
	channels := serde.SortedSet(slices.Clone(seed.Channels))
	for i := range n {
		at := seed.At(i).UTC().Truncate(time.Microsecond)
		m, t := &messages[i], &attempts[i]
		*m = message{
			id:        newID(at),
			at:        at,
			expires:   at.Add(maxRetention * 24 * time.Hour),
			eventType: seed.EventType,
			channels:  channels,
			content:   seed.Payload(i),
		}
		*t = attempt{id: newID(at), message: m, endpoint: ep, url: ep.settings.url, at: at, code: http.StatusOK}
		a.messages.add(m)
		t.store()
	}
}
