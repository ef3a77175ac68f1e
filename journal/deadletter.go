package journal

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/foreign"
)

// A DeadLetter is a record that could not be sent, and why.
type DeadLetter struct {
	Record

	// EventID is the id that the event has; empty if the record is broken.
	EventID string
	// Class is one of [ClassMalformed], [ClassMember], [ClassRefused], [ClassRejected],
	// [ClassForced].
	Class string
	// Reason is the error in words, shortened.
	Reason string
}

// DeadLetters is a store of dead letters. Store returns nil when the letter is durable: the offset
// of its record is committed then. After an error it is called again with the same letter. It is
// called from several goroutines. A process that is killed may store a letter twice, once before
// and once after; its position tells.
type DeadLetters interface {
	Store(ctx context.Context, l DeadLetter) error
}

func newDeadLetter(r Record, eventID, class string, err error) *DeadLetter {
	return &DeadLetter{Record: r, EventID: eventID, Class: class, Reason: foreign.Filter{}.Error(err).Error()}
}

// open returns the store that the configuration names, nil if it names none.
func (d DeadLetterConfig) open(client *kgo.Client, group string) (DeadLetters, error) {
	switch {
	case d.Topic != "":
		return topicDeadLetters{client: client, topic: d.Topic, group: group}, nil
	case d.File != "":
		return openDeadLetterFile(d.File)
	}
	return nil, nil //nolint:nilnil // there need not be one
}

// Send sends the event of a dead letter, under the id that it would have had.
//
// It returns
//   - a [*RecordError] if the record is broken,
//   - whatever SendEvent returns otherwise.
func (l DeadLetter) Send(ctx context.Context, to Sender, o DecodeOptions) (webhooks.Message, error) {
	ev, err := Decode(l.Record, o)
	if err != nil {
		return webhooks.Message{}, err
	}
	return to.SendEvent(ctx, ev)
}

func parseTopicID(text string) (id [16]byte, err error) {
	if text == "" {
		return id, nil
	}
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("%s is not the id of a topic", foreign.Quote(text))
	}
	return [16]byte(b), nil
}
