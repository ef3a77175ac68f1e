package confirm

import (
	"slices"
	"time"
)

// An Attempt is what the server says of one attempt to deliver a message.
type Attempt struct {
	Status  *int `json:"status"`
	Trigger *int `json:"triggerType"`
}

const (
	statusSuccess    = 0
	triggerScheduled = 0
)

// Proves reports whether the message was queued, which a scheduled attempt proves, or needs not be,
// since one succeeded. A failed one that somebody asked for proves nothing.
func (a Attempt) Proves() bool {
	return a.Status != nil && *a.Status == statusSuccess || a.Trigger != nil && *a.Trigger == triggerScheduled
}

// A Receiver is an enabled endpoint that receives messages of an event type.
type Receiver struct {
	ID       string
	Channels []string // as Svix knows them; none: all
	Created  time.Time
}

// ShouldHave reports whether the server queued a message for it, or should have.
func (r Receiver) ShouldHave(channels []string, stored time.Time) bool {
	onChannel := func(channel string) bool { return slices.Contains(channels, channel) }
	return !r.Created.After(stored) && (len(r.Channels) == 0 || slices.ContainsFunc(r.Channels, onChannel))
}
