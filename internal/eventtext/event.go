// Package eventtext reads events from text: one from a JSON object, many from lines of them.
package eventtext

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/softwareheritage/webhooks/internal/canonical"
)

// An Event is what the members of a JSON object say. Only ID and Channel may be missing, and are
// empty then.
type Event struct {
	Type    string
	Payload []byte // any JSON text, as it was written
	Channel string
	ID      string
}

// Parse reads an event. It refuses what package canonical does, members that it does not know, in
// capitals or misspelt, and those that are missing: a channel that is not found must not make an
// event one for everybody.
func Parse(text []byte) (Event, error) {
	members, err := canonical.Members(text)
	if err != nil {
		return Event{}, err
	}
	return FromMembers(members)
}

// FromMembers is [Parse] for the members of an object.
func FromMembers(members map[string][]byte) (Event, error) {
	for _, name := range slices.Sorted(maps.Keys(members)) {
		switch name {
		case "type", "payload", "channel", "id":
		default:
			return Event{}, fmt.Errorf("the member %.40q is none of type, payload, channel, id", name)
		}
	}
	var ev Event
	for _, member := range []struct {
		name string
		text *string
	}{{"type", &ev.Type}, {"channel", &ev.Channel}, {"id", &ev.ID}} {
		var err error
		if *member.text, err = String(members, member.name); err != nil {
			return Event{}, err
		}
	}
	if members["type"] == nil {
		return Event{}, errors.New("the event's type is missing")
	}
	if ev.Payload = members["payload"]; ev.Payload == nil {
		return Event{}, errors.New("the event's payload is missing")
	}
	return ev, nil
}

// String returns the string that is the member of an object. One that is missing or null is empty.
func String(members map[string][]byte, name string) (string, error) {
	text, ok := members[name]
	if !ok {
		return "", nil
	}
	value, err := canonical.Parse(text)
	if err != nil {
		return "", err
	}
	s, ok := value.(string)
	if !ok && value != nil {
		return "", fmt.Errorf("the member %q is not a string", name)
	}
	return s, nil
}
