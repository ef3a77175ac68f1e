package endpoint

import (
	"maps"
	"slices"
)

// A Stored endpoint is one as the server gives it ("EndpointOut"). Its lists are sets, which come
// in any order.
type Stored struct {
	ID          string            `json:"id"`
	URL         string            `json:"url"`
	Description string            `json:"description"`
	Disabled    bool              `json:"disabled"`
	FilterTypes []string          `json:"filterTypes"`
	Channels    []string          `json:"channels"` // as Svix knows them
	Metadata    map[string]string `json:"metadata"`
}

// ReceivesType reports whether it receives messages of an event type; together with Receives, this
// is the rule by which the server picks the recipients of a message.
func (s Stored) ReceivesType(eventType string) bool {
	return len(s.FilterTypes) == 0 || slices.Contains(s.FilterTypes, eventType)
}

// ReceivesOnly reports whether it receives messages of an event type and of no other.
func (s Stored) ReceivesOnly(eventType string) bool {
	return len(s.FilterTypes) == 1 && s.FilterTypes[0] == eventType
}

// Receives reports whether it receives messages that are sent on a channel, given as Svix knows it;
// empty for a message on none.
func (s Stored) Receives(channel string) bool {
	return len(s.Channels) == 0 || slices.Contains(s.Channels, channel)
}

// Channel returns the channel as Svix knows it, empty if it has none; of several the smallest one.
func (s Stored) Channel() string {
	if len(s.Channels) == 0 {
		return ""
	}
	return slices.Min(s.Channels)
}

// ChannelName returns the channel under its own name, which is kept in the metadata, or else as
// Svix knows it.
func (s Stored) ChannelName() string {
	channel := s.Channel()
	if name := s.Metadata[channel]; channel != "" && name != "" {
		return name
	}
	return channel
}

// OwnMetadata returns the metadata without the name of the channel, nil if nothing is left.
func (s Stored) OwnMetadata() map[string]string {
	own := maps.Clone(s.Metadata)
	if channel := s.Channel(); channel != "" && own[channel] != "" {
		delete(own, channel)
	}
	if len(own) == 0 {
		return nil
	}
	return own
}
