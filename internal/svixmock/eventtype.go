package svixmock

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/softwareheritage/webhooks/internal/svixmock/serde"
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
	name        serde.Opt[string]
	description serde.Opt[string]
	archived    serde.Opt[bool]
	deprecated  serde.Opt[bool]
	schemas     serde.Opt[map[string]json.RawMessage]
	flag        serde.Opt[string]
}

func (in *eventTypeIn) describe(method string) serde.Struct {
	s := serde.Struct{Name: "EventTypeUpdate", Members: []serde.Member{
		serde.RequiredIf(method != http.MethodPatch, "description", &in.description, serde.String),
		serde.Optional("archived", &in.archived, serde.Bool),
		serde.Optional("deprecated", &in.deprecated, serde.Bool),
		serde.Nullable("schemas", &in.schemas, parseSchemas),
		serde.Nullable("featureFlag", &in.flag, serde.Ruled(limited)),
	}}
	switch method {
	case http.MethodPost:
		s.Name = "EventTypeIn"
		s.Members = append([]serde.Member{serde.Required("name", &in.name, serde.String)}, s.Members...)
	case http.MethodPatch:
		s.Name = "EventTypePatch"
		s.Lenient = true
	}
	return s
}

// settings are those of a new or replaced event type.
func (in *eventTypeIn) settings() eventTypeSettings {
	return eventTypeSettings{
		description: in.description.Value,
		archived:    in.archived.Value,
		deprecated:  in.deprecated.Value,
		schemas:     in.schemas.Value,
		flag:        in.flag.Ptr(),
	}
}

// patched are old settings with the given members changed.
func (in *eventTypeIn) patched(old eventTypeSettings) eventTypeSettings {
	old.description = in.description.Or(old.description)
	old.archived = in.archived.Or(old.archived)
	old.deprecated = in.deprecated.Or(old.deprecated)
	if in.schemas.Set {
		old.schemas = in.schemas.Value
	}
	if in.flag.Set {
		old.flag = in.flag.Ptr()
	}
	return old
}

func decodeEventType(c *call) (*eventTypeIn, error) {
	in := new(eventTypeIn)
	if err := c.decode(in.describe(c.Method)); err != nil {
		return nil, err
	}
	p := problems{root: "body"}
	if in.name.Set {
		p.addAll(limited(in.name.Value), "name")
	}
	p.text(in.description, "description")
	if err := p.err(); err != nil {
		return nil, err
	}
	for version, schema := range in.schemas.Value {
		if strings.ContainsRune(version, 0) || serde.HasNUL(schema) {
			return nil, errDatabase
		}
	}
	return in, nil
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

func createEventType(c *call, o *org, in *eventTypeIn) (answer, error) {
	t := o.eventType(in.name.Value)
	switch {
	case t == nil:
		t = o.addEventType(in.name.Value, in.settings(), c.now)
	case t.settings.archived:
		t.change(in.settings(), c.now)
	default:
		return answer{}, failWith(
			http.StatusConflict,
			"event_type_exists",
			"An event_type with this name already exists",
		)
	}
	return jsonAnswer(http.StatusCreated, t.out()), nil
}

func getEventType(c *call, _ *org) (answer, error) {
	t, err := findEventType(c)
	switch {
	case err != nil:
		return answer{}, err
	case !c.who.sees(t.settings.flag):
		return answer{}, notFound()
	}
	return jsonAnswer(http.StatusOK, t.out()), nil
}

// eventTypeList are the parameters of the list of event types.
type eventTypeList struct {
	paging
	archived, content bool
}

func parseEventTypeList(q serde.Query) (list eventTypeList, err error) {
	if list.paging, err = parseOrderedPaging(q, limited, true); err != nil {
		return list, err
	}
	list.up = true // the order is accepted and ignored
	if list.archived, err = serde.BoolParam(q, "include_archived", false); err != nil {
		return list, err
	}
	list.content, err = serde.BoolParam(q, "with_content", false)
	return list, err
}

func listEventTypes(c *call, o *org, list eventTypeList) (answer, error) {
	shown := func(t *eventType) bool {
		return (list.archived || !t.settings.archived) && c.who.sees(t.settings.flag)
	}
	page, done := simplePage(o.eventTypes, eventTypeKey, shown, list.paging)
	return listAnswer(page, done, func(t *eventType) (eventTypeOut, string) {
		out := t.out()
		if !list.content {
			out.Schemas = nil
		}
		return out, t.name
	}), nil
}

func putEventType(c *call, o *org, in *eventTypeIn) (answer, error) {
	name, err := c.param(0)
	if err != nil {
		return answer{}, err
	}
	if t := o.eventType(name); t != nil {
		t.change(in.settings(), c.now)
		return jsonAnswer(http.StatusOK, t.out()), nil
	}
	return jsonAnswer(http.StatusCreated, o.addEventType(name, in.settings(), c.now).out()), nil
}

func patchEventType(c *call, t *eventType, in *eventTypeIn) (answer, error) {
	t.change(in.patched(t.settings), c.now)
	return jsonAnswer(http.StatusOK, t.out()), nil
}

// expunge reads the parameter that turns archiving into removal.
func expunge(q serde.Query) (bool, error) { return serde.BoolParam(q, "expunge", false) }

func deleteEventType(c *call, t *eventType, expunge bool, _ none) (answer, error) {
	if expunge {
		c.org.eventTypes = removeKey(c.org.eventTypes, t, eventTypeKey)
		return noContent, nil
	}
	archived := t.settings
	archived.archived = true
	t.change(archived, c.now)
	return noContent, nil
}
