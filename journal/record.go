package journal

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/softwareheritage/webhooks"
)

// The object types whose records stand for events: the last part of a topic's name.
const (
	objectOrigin = "origin"
	objectStatus = "origin_visit_status"
)

// A Record is one record of the journal, as it lies in Kafka.
type Record struct {
	Topic     string
	TopicID   [16]byte // of Kafka; zero if the broker gives topics none
	Partition int32
	Offset    int64
	Timestamp time.Time
	Key       []byte
	Value     []byte // nil: a tombstone
}

// Position returns "topic/partition/offset".
func (r Record) Position() string {
	return fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)
}

// DecodeOptions say how the ids of events are made.
type DecodeOptions struct {
	// Namespace tells archives apart that feed one Svix organization; it goes into every id. Empty:
	// the prefix of the record's topic, that is its name up to the last dot.
	Namespace string
	// ByPosition makes the id of the record's position in Kafka, so that each record is an event of
	// its own. By default it is made of what the record says: records that say the same are one
	// event, however often and wherever the journal holds them.
	ByPosition bool
}

// ErrSkip is returned by [Decode] for a record that stands for no event: a tombstone, a value that
// is nil, an object of another type than origin and origin_visit_status.
var ErrSkip = errors.New("the record stands for no event")

// The classes of dead letters: whose fault it is that the record was not sent.
const (
	ClassMalformed = "malformed" // the value is not what msgpack allows, or not a map
	ClassMember    = "member"    // a member is missing, or of the wrong type or form
	ClassRefused   = "refused"   // the event was refused before it was sent, by its JSON Schema, say
	ClassRejected  = "rejected"  // the server answered 400, 413 or 422
	ClassForced    = "forced"    // the configuration names the record's position, see [DeadLetterConfig]
)

// A RecordError says why a record cannot become an event.
type RecordError struct {
	Class  string // [ClassMalformed] or [ClassMember]
	Member string // the member of the object that is wrong; empty: the whole value
	Reason string
}

// Error names the member and the reason.
func (e *RecordError) Error() string {
	if e.Member == "" {
		return "journal: invalid record: " + e.Reason
	}
	return "journal: invalid record: " + e.Member + ": " + e.Reason
}

// Decode returns the event that a record of the journal stands for, with its id:
//
//	topic                  event type     payload                               channel
//	….origin               origin.create  origin_url                            the origin's URL
//	….origin_visit_status  origin.visit   origin_url, visit_type, visit_date,   the origin's URL
//	                                      visit_status, snapshot_swhid (or null)
//
// Dates are written as Python's isoformat does: timestamps in UTC, those of old records in the zone
// that they came with, cut to microseconds.
//
// It returns
//   - [ErrSkip] if the record stands for no event,
//   - a [*RecordError] if the record is broken.
//
// Whether the payload fits the schema of its event type is for [webhooks.Client.SendEvent] to say.
func Decode(r Record, o DecodeOptions) (webhooks.Event, error) {
	prefix, object := splitTopic(r.Topic)
	if standsForNothing(r.Value) || object != objectOrigin && object != objectStatus {
		return webhooks.Event{}, ErrSkip
	}
	if o.Namespace == "" {
		o.Namespace = prefix
	}
	if object == objectOrigin {
		return decodeOrigin(r, o)
	}
	return decodeStatus(r, o)
}

// standsForNothing tells a tombstone, and the value nil.
func standsForNothing(value []byte) bool {
	const msgpackNil = 0xc0
	return value == nil || len(value) == 1 && value[0] == msgpackNil
}

func splitTopic(topic string) (prefix, object string) {
	dot := strings.LastIndexByte(topic, '.')
	return topic[:max(dot, 0)], topic[dot+1:]
}

func decodeOrigin(r Record, o DecodeOptions) (webhooks.Event, error) {
	m, err := readMembers(r.Value, "url")
	if err != nil {
		return webhooks.Event{}, err
	}
	url, err := m.text("url")
	if err != nil {
		return webhooks.Event{}, err
	}
	id := o.objectID(webhooks.TypeOriginCreate, url)
	if o.ByPosition {
		id = o.positionID(r)
	}
	return webhooks.Event{
		Type:    webhooks.TypeOriginCreate,
		Payload: map[string]any{"origin_url": url},
		Channel: url,
		ID:      id,
	}, nil
}

func decodeStatus(r Record, o DecodeOptions) (webhooks.Event, error) {
	m, err := readMembers(r.Value, "origin", "visit", "date", "type", "status", "snapshot")
	if err != nil {
		return webhooks.Event{}, err
	}
	s, err := m.status()
	if err != nil {
		return webhooks.Event{}, err
	}
	id := o.objectID(webhooks.TypeOriginVisit,
		s.origin, s.visit, s.date.microseconds(), s.visitType, s.status, s.snapshot)
	if o.ByPosition {
		id = o.positionID(r)
	}
	payload := map[string]any{
		"origin_url":     s.origin,
		"visit_type":     s.visitType,
		"visit_date":     s.date.String(),
		"visit_status":   s.status,
		"snapshot_swhid": nil,
	}
	if s.snapshot != "" {
		payload["snapshot_swhid"] = "swh:1:snp:" + s.snapshot
	}
	return webhooks.Event{Type: webhooks.TypeOriginVisit, Payload: payload, Channel: s.origin, ID: id}, nil
}

// A visitStatus is a decoded record of the topic origin_visit_status.
type visitStatus struct {
	origin    string
	visit     string // in decimal; empty if the record has none
	date      date
	visitType string
	status    string
	snapshot  string // in hexadecimal; empty if there is none
}

func (m members) status() (visitStatus, error) {
	var s visitStatus
	var errs [6]error
	s.origin, errs[0] = m.text("origin")
	s.visit, errs[1] = m.integer("visit")
	s.date, errs[2] = m.date("date")
	s.visitType, errs[3] = m.text("type")
	s.status, errs[4] = m.text("status")
	s.snapshot, errs[5] = m.hash("snapshot")
	for _, err := range errs {
		if err != nil {
			return visitStatus{}, err
		}
	}
	return s, nil
}
