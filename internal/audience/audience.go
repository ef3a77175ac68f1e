// Package audience knows who listens to the events of an event type.
package audience

import (
	"slices"

	"github.com/softwareheritage/webhooks/internal/endpoint"
)

// An Audience are the channels, as Svix knows them, on which an enabled endpoint receives the
// events of a type. The zero value has nobody.
type Audience struct {
	all      bool // one receives the events on every channel and on none
	others   bool // there are more endpoints, at which nobody has looked
	channels map[string]struct{}
}

// Add adds an endpoint of the event type.
func (a *Audience) Add(s endpoint.Stored, eventType string) {
	if s.Disabled || !s.ReceivesType(eventType) {
		return
	}
	if a.channels == nil {
		a.channels = map[string]struct{}{}
	}
	a.all = a.all || len(s.Channels) == 0
	for _, channel := range s.Channels {
		a.channels[channel] = struct{}{}
	}
}

// HearsAll reports whether somebody listens to every event, so that there is nothing more to know.
func (a *Audience) HearsAll() bool { return a.all }

// Weight is the number of channels, at least 1.
func (a *Audience) Weight() int { return max(1, len(a.channels)) }

// AndOthers returns the audience that there is if these are not all endpoints, and nobody remembers
// their channels.
func (a *Audience) AndOthers() Audience { return Audience{all: a.all, others: true} }

// MayHear reports whether an event sent on these channels has a listener, as far as is known.
func (a *Audience) MayHear(channels []string) bool {
	return a.all || a.others || slices.ContainsFunc(channels, func(channel string) bool {
		_, ok := a.channels[channel]
		return ok
	})
}
