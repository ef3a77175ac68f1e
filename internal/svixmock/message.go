package svixmock

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
)

// message is guarded by Server.mu; only content and attempts ever change.
type message struct {
	id        id
	at        time.Time
	expires   time.Time
	eventType string
	eventID   string   // empty: none
	channels  []string // sorted; nil: none
	content   []byte   // the exact delivered bytes; nil: expunged
	attempts  []*attempt
}

// body is the content, nil once it is gone.
func (m *message) body(now time.Time) []byte {
	if now.Before(m.expires) {
		return m.content
	}
	return nil
}

// expired is what the API shows for a payload that is gone or that it cannot parse.
const expired = `{"expired":true}`

// messageIn is a message in a request.
type messageIn struct {
	eventID   serde.Opt[string]
	eventType serde.Opt[string]
	payload   serde.Opt[[]byte]
	channels  serde.Opt[[]string]
	retention serde.Opt[int64]
	params    serde.Opt[*messageParams]
	app       serde.Opt[*appIn]
}

const (
	minRetention = 5 // days
	maxRetention = 90
)

func (in *messageIn) describe() serde.Struct {
	return serde.Struct{Name: "MessageIn", Members: []serde.Member{
		serde.Nullable("eventId", &in.eventID, serde.String),
		serde.Required("eventType", &in.eventType, serde.String),
		serde.Required("payload", &in.payload, serde.Raw).Or("data"),
		serde.Nullable("channels", &in.channels, serde.Set(nil)),
		serde.Optional("payloadRetentionPeriod", &in.retention, serde.Int("i64", -1<<63, 1<<63-1)),
		serde.Nullable("transformationsParams", &in.params, serde.Nested(describeParams)),
		serde.Nullable("application", &in.app, serde.Nested(describeApp)),
	}}
}

// messageParams is the part of a message's transformation parameters that the server reads.
type messageParams struct{ raw serde.Opt[string] }

func describeParams(in *messageParams) serde.Struct {
	return serde.Struct{Name: "MessageInExtraParams", Members: []serde.Member{
		serde.Nullable("rawPayload", &in.raw, serde.String),
	}}
}

// raw is the text that is delivered instead of the payload, if there is one.
func (in *messageIn) raw() serde.Opt[string] {
	if !in.params.Has() {
		return serde.Opt[string]{}
	}
	return in.params.Value.raw
}

func (in *messageIn) validate(p *problems) {
	p.uid(in.eventID, messagePrefix)
	p.addAll(limited(in.eventType.Value), "event_type")
	if in.payload.Value[0] != '{' {
		p.add("Payload must be an object.", "payload")
	}
	count := len(in.channels.Value)
	p.set(in.channels, 1 <= count && count <= 5, "channels",
		"Channels must have at least 1 and at most 5 items, or be set to null.")
	if days := in.retention.Or(maxRetention); days < minRetention || days > maxRetention {
		p.add("Validation error", "payload_retention_period")
	}
	validateNestedApp(in.app, p)
}

func decodeMessage(c *call) (*messageIn, error) {
	in := new(messageIn)
	if err := c.decode(in.describe()); err != nil {
		return nil, err
	}
	p := problems{root: "body"}
	in.validate(&p)
	if err := p.err(); err != nil {
		return nil, err
	}
	p = problems{root: "path"}
	p.addAll(limited(c.params[0]), "app_id_or_uid")
	return in, p.err()
}

// message is the message to be stored. Its content does not keep the request alive.
func (in *messageIn) message(now time.Time) *message {
	raw := in.raw()
	content := []byte(raw.Value)
	if !raw.Has() {
		content = append([]byte(nil), in.payload.Value...)
	}
	return &message{
		id:        newID(now),
		at:        now,
		expires:   now.Add(time.Duration(in.retention.Or(maxRetention)) * 24 * time.Hour),
		eventType: in.eventType.Value,
		eventID:   in.eventID.Or(""),
		channels:  in.channels.Value,
		content:   content,
	}
}

// messageOut is a message in an answer.
type messageOut struct {
	EventID   *string         `json:"eventId"`
	EventType string          `json:"eventType"`
	Payload   json.RawMessage `json:"payload"`
	Channels  []string        `json:"channels"`
	ID        string          `json:"id"`
	Timestamp string          `json:"timestamp"`
}

func (m *message) out(withContent bool, now time.Time) messageOut {
	out := messageOut{
		EventType: m.eventType,
		Payload:   m.shown(withContent, now),
		Channels:  shuffled(m.channels),
		ID:        m.id.text(messagePrefix),
		Timestamp: timeText(m.at),
	}
	if m.eventID != "" {
		out.EventID = &m.eventID
	}
	return out
}

// shown is the payload as the API shows it.
func (m *message) shown(withContent bool, now time.Time) json.RawMessage {
	if !withContent {
		return json.RawMessage("{}")
	}
	text, err := serde.Canonical(m.body(now))
	if err != nil {
		return json.RawMessage(expired)
	}
	return text
}

// addMessage stores a message.
func (a *app) addMessage(m *message) error {
	a.mustBeReadable()
	if m.eventID != "" {
		if a.eventIDs[m.eventID] != nil {
			return fail(http.StatusConflict)
		}
		a.eventIDs[m.eventID] = m
	}
	a.messages.add(m)
	return nil
}

func createMessage(c *call, o *org, withContent bool, in *messageIn) (answer, error) {
	a, err := o.appOrCreate(c.params[0], in.app, c.now)
	if err != nil {
		return answer{}, err
	}
	m := in.message(c.now)
	if err := a.addMessage(m); err != nil {
		return answer{}, err
	}
	c.dispatch(a, m, nil)
	return jsonAnswer(http.StatusAccepted, m.out(withContent, c.now)), nil
}

// appOrCreate finds an application, or creates it where the request describes one.
func (o *org) appOrCreate(ref string, create serde.Opt[*appIn], now time.Time) (*app, error) {
	if a := o.app(ref); a != nil {
		return a, nil
	}
	if !create.Has() {
		return nil, failWith(http.StatusNotFound, "", "Application not found")
	}
	uid := create.Value.uid
	loc := []string{"body", "application", "uid"}
	if !uid.Has() {
		return nil, unprocessable(problem{loc, "Application UID not set in body", "application_uid_missing"})
	}
	if uid.Value != ref {
		return nil, unprocessable(
			problem{loc, "Application UID in the path and body must match", "application_uid_mismatch"},
		)
	}
	return o.addApp(create.Value.settings(), now)
}

func getMessage(c *call, m *message, withContent bool) (answer, error) {
	return jsonAnswer(http.StatusOK, m.out(withContent, c.now)), nil
}

func messageFilter(q serde.Query) (*filter, error) {
	f, err := parseFilter(q, messagePrefix, filtersContent)
	if err != nil {
		return nil, err
	}
	return f, f.parseEventTypes()
}

func listMessages(c *call, a *app, f *filter) (answer, error) {
	f.resolve(messagePrefix)
	page, done := timePage(a.messages.candidates(f), messageKey, f.keepsMessage, &f.timePaging, c.now)
	return listAnswer(page, done, func(m *message) (messageOut, string) {
		out := m.out(f.withContent, c.now)
		return out, out.ID
	}), nil
}

// expungeMessage forgets a message's content.
func expungeMessage(_ *call, m *message) (answer, error) {
	m.content = nil
	return noContent, nil
}
