package svixmock

import (
	"encoding/json"
	"net/http"
	"time"
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

// messageIn is a message in a request.
type messageIn struct {
	eventID   opt[string]
	eventType opt[string]
	payload   opt[[]byte]
	channels  opt[[]string]
	retention opt[int64]
	raw       opt[string]
	app       opt[*appIn]
}

const (
	minRetention = 5 // days
	maxRetention = 90
)

func (in *messageIn) members() []member {
	payload := required("payload", &in.payload, parseRaw)
	payload.alias = "data"
	var params opt[struct{}]
	return []member{
		nullable("eventId", &in.eventID, parseString),
		required("eventType", &in.eventType, parseString),
		payload,
		nullable("channels", &in.channels, parseSet),
		optional("payloadRetentionPeriod", &in.retention, parseInt("i64", -1<<63, 1<<63-1)),
		nullable("transformationsParams", &params, func(d *decoder) (struct{}, error) {
			return struct{}{}, d.structure([]member{nullable("rawPayload", &in.raw, parseString)})
		}),
		nullable("application", &in.app, parseNestedApp),
	}
}

func (in *messageIn) validate(p *problems) {
	p.uid(in.eventID, messagePrefix)
	p.addAll(limited(in.eventType.value), "event_type")
	if in.payload.value[0] != '{' {
		p.add("Payload must be an object.", "payload")
	}
	count := len(in.channels.value)
	p.set(in.channels, 1 <= count && count <= 5, "channels",
		"Channels must have at least 1 and at most 5 items, or be set to null.")
	if days := in.retention.or(maxRetention); days < minRetention || days > maxRetention {
		p.add("Validation error", "payload_retention_period")
	}
	validateNestedApp(in.app, p)
}

func decodeMessage(c *call) (*messageIn, error) {
	in := new(messageIn)
	if err := decodeBody(c, in.members()...); err != nil {
		return nil, err
	}
	p := problems{root: "body"}
	in.validate(&p)
	return in, p.err()
}

// message is the message to be stored. Its content does not keep the request alive.
func (in *messageIn) message(now time.Time) *message {
	content := []byte(in.raw.value)
	if !in.raw.has() {
		content = append([]byte(nil), in.payload.value...)
	}
	return &message{
		id:        newID(now),
		at:        now,
		expires:   now.Add(time.Duration(in.retention.or(maxRetention)) * 24 * time.Hour),
		eventType: in.eventType.value,
		eventID:   in.eventID.or(""),
		channels:  in.channels.value,
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
		Channels:  m.channels,
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
	text, err := canonical(m.body(now))
	if err != nil {
		return json.RawMessage(expired)
	}
	return text
}

// addMessage stores a message.
func (a *app) addMessage(m *message) error {
	if m.eventID != "" {
		if a.eventIDs[m.eventID] != nil {
			return fail(http.StatusConflict)
		}
		a.eventIDs[m.eventID] = m
	}
	a.messages = insert(a.messages, m, messageKey)
	return nil
}

func (s *Server) createMessage(c *call) (answer, error) {
	withContent, err := boolParam(c.query, "with_content", true)
	if err != nil {
		return answer{}, err
	}
	o, err := s.organization(c)
	if err != nil {
		return answer{}, err
	}
	in, err := decodeMessage(c)
	if err != nil {
		return answer{}, err
	}
	p := problems{root: "path"}
	p.addAll(limited(c.params[0]), "app_id_or_uid")
	if err := p.err(); err != nil {
		return answer{}, err
	}
	m := in.message(c.now)
	out := m.out(withContent, c.now)
	if err := s.acceptMessage(c, o, in.app, m); err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusAccepted, out), nil
}

// acceptMessage stores a message and plans its deliveries.
func (s *Server) acceptMessage(c *call, o *org, create opt[*appIn], m *message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := o.appOrCreate(c.params[0], create, m.at)
	if err != nil {
		return err
	}
	if err := a.addMessage(m); err != nil {
		return err
	}
	c.dispatch(a, m, nil)
	return nil
}

// appOrCreate finds an application, or creates it where the request describes one.
func (o *org) appOrCreate(ref string, create opt[*appIn], now time.Time) (*app, error) {
	if a := o.app(ref); a != nil {
		return a, nil
	}
	if !create.has() {
		return nil, failWith(http.StatusNotFound, "", "Application not found")
	}
	uid := create.value.uid
	loc := []string{"body", "application", "uid"}
	if !uid.has() {
		return nil, unprocessable(problem{loc, "Application UID not set in body", "application_uid_missing"})
	}
	if uid.value != ref {
		return nil, unprocessable(problem{loc, "Application UID in the path and body must match", "application_uid_mismatch"})
	}
	return o.addApp(create.value.settings(), now)
}

// messageOf finds the message that the path names; the lock must be held.
func messageOf(a *app, c *call) (*message, error) {
	if m := a.message(c.params[1]); m != nil {
		return m, nil
	}
	return nil, notFound()
}

func (s *Server) getMessage(c *call) (answer, error) {
	withContent, err := boolParam(c.query, "with_content", true)
	if err != nil {
		return answer{}, err
	}
	a, err := s.application(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, err := messageOf(a, c)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, m.out(withContent, c.now)), nil
}

func (s *Server) listMessages(c *call) (answer, error) {
	f, err := parseFilter(c.query, messagePrefix, false)
	if err != nil {
		return answer{}, err
	}
	a, err := s.application(c)
	if err != nil {
		return answer{}, err
	}
	f.resolve(messagePrefix)
	s.mu.RLock()
	defer s.mu.RUnlock()
	page, done := timePage(a.messages, messageKey, f.keepsMessage, &f.timePaging, c.now)
	return listAnswer(page, done, func(m *message) (messageOut, string) {
		out := m.out(f.withContent, c.now)
		return out, out.ID
	}), nil
}

// expungeMessage forgets a message's content.
func (s *Server) expungeMessage(c *call) (answer, error) {
	a, err := s.organizationApplication(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := messageOf(a, c)
	if err != nil {
		return answer{}, err
	}
	m.content = nil
	return noContent, nil
}
