package svixmock

import (
	"encoding/json"
	"net/http"
	"time"
)

// eventType is guarded by Server.mu.
type eventType struct {
	name     string
	settings eventTypeSettings
	created  time.Time
	updated  time.Time
}

// eventTypeSettings are what a request can change.
type eventTypeSettings struct {
	description string
	archived    bool
	deprecated  bool
	schemas     map[string]json.RawMessage
	flag        *string
}

// eventTypeIn is an event type in a request.
type eventTypeIn struct {
	name        opt[string]
	description opt[string]
	archived    opt[bool]
	deprecated  opt[bool]
	schemas     opt[map[string]json.RawMessage]
	flag        opt[string]
}

func (in *eventTypeIn) members(method string) []member {
	description := required("description", &in.description, parseString)
	description.required = method != http.MethodPatch
	members := []member{
		description,
		optional("archived", &in.archived, parseBool),
		optional("deprecated", &in.deprecated, parseBool),
		nullable("schemas", &in.schemas, parseSchemas),
		nullable("featureFlag", &in.flag, parseFlag),
	}
	if method == http.MethodPost {
		members = append([]member{required("name", &in.name, parseString)}, members...)
	}
	return members
}

// parseFlag reads a feature flag, whose rule is part of parsing.
func parseFlag(d *decoder) (string, error) {
	flag, err := parseString(d)
	if err != nil {
		return "", err
	}
	if msgs := limited(flag); msgs != nil {
		return "", d.fail("%s: %s", all, msgs[0])
	}
	return flag, nil
}

// settings are those of a new or replaced event type.
func (in *eventTypeIn) settings() eventTypeSettings {
	return eventTypeSettings{
		description: in.description.value,
		archived:    in.archived.value,
		deprecated:  in.deprecated.value,
		schemas:     in.schemas.value,
		flag:        in.flag.ptr(),
	}
}

// patched are old settings with the given members changed.
func (in *eventTypeIn) patched(old eventTypeSettings) eventTypeSettings {
	old.description = in.description.or(old.description)
	old.archived = in.archived.or(old.archived)
	old.deprecated = in.deprecated.or(old.deprecated)
	if in.schemas.set {
		old.schemas = in.schemas.value
	}
	if in.flag.set {
		old.flag = in.flag.ptr()
	}
	return old
}

func decodeEventType(c *call) (*eventTypeIn, error) {
	in := new(eventTypeIn)
	if err := decodeBody(c, in.members(c.Method)...); err != nil {
		return nil, err
	}
	p := problems{root: "body"}
	if in.name.set {
		p.addAll(limited(in.name.value), "name")
	}
	p.text(in.description, "description")
	return in, p.err()
}

// eventTypeOut is an event type in an answer.
type eventTypeOut struct {
	Name        string                     `json:"name"`
	Description string                     `json:"description"`
	Archived    bool                       `json:"archived"`
	Deprecated  bool                       `json:"deprecated"`
	Schemas     map[string]json.RawMessage `json:"schemas"`
	CreatedAt   string                     `json:"createdAt"`
	UpdatedAt   string                     `json:"updatedAt"`
	FeatureFlag *string                    `json:"featureFlag"`
}

func (t *eventType) out() eventTypeOut {
	return eventTypeOut{
		Name:        t.name,
		Description: t.settings.description,
		Archived:    t.settings.archived,
		Deprecated:  t.settings.deprecated,
		Schemas:     t.settings.schemas,
		CreatedAt:   timeText(t.created),
		UpdatedAt:   timeText(t.updated),
		FeatureFlag: t.settings.flag,
	}
}

func (t *eventType) change(settings eventTypeSettings, now time.Time) {
	t.settings = settings
	t.updated = now
}

func (o *org) addEventType(name string, settings eventTypeSettings, now time.Time) *eventType {
	t := &eventType{name: name, settings: settings, created: now, updated: now}
	o.eventTypes = insertKey(o.eventTypes, t, eventTypeKey)
	return t
}

func (s *Server) createEventType(c *call) (answer, error) {
	o, err := s.organization(c)
	if err != nil {
		return answer{}, err
	}
	in, err := decodeEventType(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := o.eventType(in.name.value)
	switch {
	case t == nil:
		t = o.addEventType(in.name.value, in.settings(), c.now)
	case t.settings.archived:
		t.change(in.settings(), c.now)
	default:
		return answer{}, failWith(http.StatusConflict, "event_type_exists", "An event_type with this name already exists")
	}
	return jsonAnswer(http.StatusCreated, t.out()), nil
}

func (s *Server) getEventType(c *call) (answer, error) {
	who, err := s.identify(c.Request)
	if err != nil {
		return answer{}, err
	}
	o := s.org(who.org)
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := o.eventType(c.params[0])
	if t == nil || !who.sees(t.settings.flag) {
		return answer{}, notFound()
	}
	return jsonAnswer(http.StatusOK, t.out()), nil
}

func (s *Server) listEventTypes(c *call) (answer, error) {
	p, _, err := parseOrderedPaging(c.query, limited, true) // the order is accepted and ignored
	if err != nil {
		return answer{}, err
	}
	archived, err := boolParam(c.query, "include_archived", false)
	if err != nil {
		return answer{}, err
	}
	content, err := boolParam(c.query, "with_content", false)
	if err != nil {
		return answer{}, err
	}
	who, err := s.identify(c.Request)
	if err != nil {
		return answer{}, err
	}
	o := s.org(who.org)
	s.mu.RLock()
	defer s.mu.RUnlock()
	shown := func(t *eventType) bool { return (archived || !t.settings.archived) && who.sees(t.settings.flag) }
	page, done := simplePage(o.eventTypes, eventTypeKey, shown, p, true)
	return listAnswer(page, done, func(t *eventType) (eventTypeOut, string) {
		out := t.out()
		if !content {
			out.Schemas = nil
		}
		return out, t.name
	}), nil
}

func (s *Server) putEventType(c *call) (answer, error) {
	o, err := s.organization(c)
	if err != nil {
		return answer{}, err
	}
	in, err := decodeEventType(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := c.params[0]
	if t := o.eventType(name); t != nil {
		t.change(in.settings(), c.now)
		return jsonAnswer(http.StatusOK, t.out()), nil
	}
	return jsonAnswer(http.StatusCreated, o.addEventType(name, in.settings(), c.now).out()), nil
}

func (s *Server) patchEventType(c *call) (answer, error) {
	o, err := s.organization(c)
	if err != nil {
		return answer{}, err
	}
	in, err := decodeEventType(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := o.eventType(c.params[0])
	if t == nil {
		return answer{}, notFound()
	}
	t.change(in.patched(t.settings), c.now)
	return jsonAnswer(http.StatusOK, t.out()), nil
}

func (s *Server) deleteEventType(c *call) (answer, error) {
	expunge, err := boolParam(c.query, "expunge", false)
	if err != nil {
		return answer{}, err
	}
	o, err := s.organization(c)
	if err != nil {
		return answer{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := o.eventType(c.params[0])
	switch {
	case t == nil:
		return answer{}, notFound()
	case expunge:
		o.eventTypes = removeKey(o.eventTypes, t, eventTypeKey)
	default:
		archived := t.settings
		archived.archived = true
		t.change(archived, c.now)
	}
	return noContent, nil
}
