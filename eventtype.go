package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"

	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/foreign"
	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/schema"
	"github.com/softwareheritage/webhooks/internal/timeline"
	"github.com/softwareheritage/webhooks/internal/transport"
)

// An EventType is a kind of event and the shape of its payloads.
type EventType struct {
	// Name has the form "<group>.<event>", both of letters, digits, "-" and "_",
	// at most 256 bytes in all.
	Name string
	// Description says to people what the event is; it may be empty.
	Description string
	// Schema is the JSON Schema of the payload: a JSON object of at most 256
	// KiB, nested at most 64 deep. It is draft 7 unless its "$schema" names
	// another draft from 4 to 2020-12. The keyword "format" is an annotation,
	// regular expressions are those of [regexp/syntax], and references reach
	// nothing outside the schema. Read back it is compact, with sorted keys and
	// its numbers to the digit; it is nil for an event type that another program
	// registered without a schema.
	Schema json.RawMessage
}

// schemaVersion is the key of the only schema that an event type has, here and
// in the Python module.
const schemaVersion = "1"

const maxEventTypeName = 256 // bytes

var eventTypeName = regexp.MustCompile(`^[a-zA-Z0-9_-]+\.[a-zA-Z0-9_-]+$`)

func validEventTypeName(name string) bool {
	return len(name) <= maxEventTypeName && eventTypeName.MatchString(name)
}

// CreateEventType registers an event type. If there is one of that name, it gets the new
// description and schema; if it is archived, it is revived with the endpoints it had. It returns
//   - [ErrInvalidEventTypeName] before any request, also for a name that begins with a hyphen: the
//     server's listings, which go on from the last name, would never come past it,
//   - a [*SchemaError] before any request,
//   - [ErrInvalidEventType] before any request for a description that is not UTF-8, has a character
//     from U+0000 to U+0008, or makes the request longer than 2 MiB,
//   - an [*APIError] for any other answer.
//
// It can be repeated after any error.
func (c *Client) CreateEventType(ctx context.Context, et EventType) error {
	if !validEventTypeName(et.Name) || strings.HasPrefix(et.Name, "-") {
		return fmt.Errorf("webhooks: %w %s: it must be in the form '<group>.<event>', letters, digits, '-' and '_' "+
			"on both sides, no '-' in front and at most %d bytes",
			ErrInvalidEventTypeName, foreign.Quote(et.Name), maxEventTypeName)
	}
	registrable := func() (bool, error) { //nolint:contextcheck // see inBackground
		return true, schema.Check(et.Schema)
	}
	check := inBackground(registrable)
	if _, err := check(ctx); err != nil {
		return schemaError(err)
	}
	if err := et.check(); err != nil {
		return fmt.Errorf("webhooks: %w %s: %w", ErrInvalidEventType, et.Name, err)
	}
	defer c.forget(et.Name)
	if err := c.createApplication(ctx, et.Name); err != nil {
		return err
	}
	return c.putEventType(ctx, et)
}

// check refuses what the server would refuse once the application is there already.
func (et EventType) check() error {
	switch {
	case !utf8.ValidString(et.Description):
		return errors.New("the description is not valid UTF-8")
	case strings.ContainsFunc(et.Description, func(r rune) bool { return r <= 8 }):
		return errors.New("the description has a control character, which the server does not take")
	}
	body, err := json.Marshal(et.update())
	if err == nil && len(body) > transport.MaxRequest {
		err = fmt.Errorf("the request is %d bytes long, at most %d are possible", len(body), transport.MaxRequest)
	}
	return err
}

func (et EventType) update() models.EventTypeUpdate {
	return models.EventTypeUpdate{Description: et.Description, Schemas: &map[string]any{schemaVersion: et.Schema}}
}

// createApplication makes sure of the application that holds the endpoints and
// messages of an event type.
func (c *Client) createApplication(ctx context.Context, eventType string) error {
	uid := identity.Application(eventType)
	return repeatOnConflict(func() error {
		_, err := query[applicationBody](ctx, c, "application create", func(ctx context.Context) error {
			_, err := c.svix.Application.GetOrCreate(ctx, models.ApplicationIn{Name: eventType, Uid: &uid}, nil)
			return err
		})
		return err
	})
}

// putEventType creates, updates or revives an event type: a PUT does all three
// in one request, where a POST refuses an event type that exists.
func (c *Client) putEventType(ctx context.Context, et EventType) error {
	return repeatOnConflict(func() error {
		_, err := query[eventTypeBody](ctx, c, "event type create", func(ctx context.Context) error {
			_, err := c.svix.EventType.Update(ctx, et.Name, et.update())
			return err
		})
		return err
	})
}

// repeatOnConflict makes a request again when another process was quicker to
// create what both wanted: now it is there.
func repeatOnConflict(request func() error) error {
	err := request()
	if isConflict(err) {
		err = request()
	}
	return err
}

// GetEventType returns an event type as the server has it now.
//
// It returns [ErrEventTypeNotFound], [ErrEventTypeArchived] for one that was
// deleted, or an [*APIError].
func (c *Client) GetEventType(ctx context.Context, name string) (EventType, error) {
	if !validEventTypeName(name) {
		return EventType{}, eventTypeNotFound(name, nil)
	}
	body, err := query[eventTypeBody](ctx, c, "event type get", func(ctx context.Context) error {
		_, err := c.svix.EventType.Get(ctx, name)
		return err
	})
	switch {
	case isNotFound(err):
		return EventType{}, eventTypeNotFound(name, err)
	case err != nil:
		return EventType{}, err
	case body.Archived:
		return EventType{}, fmt.Errorf("webhooks: %w: %s", ErrEventTypeArchived, name)
	}
	return body.eventType(), nil
}

// ListEventTypes returns the event types that are not archived, by name in byte
// order, each as the server has it when its page is asked for. It includes those
// of other programs, whatever their name and schema.
//
// An [*APIError] or the error of the network ends it, as its last pair.
func (c *Client) ListEventTypes(ctx context.Context) iter.Seq2[EventType, error] {
	pages := Paginate(ctx, func(ctx context.Context, iterator *string) (Page[eventTypeBody], error) {
		if iterator != nil && strings.HasPrefix(*iterator, timeline.Backwards) {
			return c.hyphenatedTypes(ctx, *iterator)
		}
		return c.eventTypePage(ctx, iterator)
	})
	return func(yield func(EventType, error) bool) {
		for body, err := range pages {
			if !yield(body.eventType(), err) {
				return
			}
		}
	}
}

func (c *Client) eventTypePage(ctx context.Context, iterator *string) (Page[eventTypeBody], error) {
	r := pageRequest{op: "event type list", iterator: iterator, limit: pageSize, ascending: true}
	withContent := true
	return listPage[eventTypeBody](ctx, c, r, func(ctx context.Context, limit *uint64) error {
		options := svix.EventTypeListOptions{Limit: limit, Iterator: iterator, WithContent: &withContent}
		_, err := c.svix.EventType.List(ctx, &options)
		return err
	})
}

const (
	// afterHyphens is in front of all names but those that begin with a hyphen.
	afterHyphens = "."

	maxHyphenated = 10_000
)

// hyphenatedTypes returns those after a name that begins with a hyphen, as other programs may have
// registered them, up to the names that do not. The server takes such a name for an iterator that
// goes the other way, so they are read from their end.
func (c *Client) hyphenatedTypes(ctx context.Context, last string) (Page[eventTypeBody], error) {
	next := afterHyphens
	rest := Page[eventTypeBody]{Iterator: &next}
	for iterator := timeline.Backwards + afterHyphens; ; iterator = timeline.Backwards + rest.Data[0].Name {
		page, err := c.eventTypePage(ctx, &iterator)
		if err != nil {
			return page, err
		}
		given := slices.IndexFunc(page.Data, func(b eventTypeBody) bool { return b.Name > last })
		if given < 0 {
			return rest, nil
		}
		rest.Data = append(page.Data[given:], rest.Data...)
		switch {
		case given > 0 || page.Done:
			return rest, nil
		case len(rest.Data) > maxHyphenated:
			return rest, fmt.Errorf("webhooks: more than %d names of event types begin with a hyphen", maxHyphenated)
		}
	}
}

// DeleteEventType archives an event type: no event of it can be sent any more.
// Its endpoints, messages and attempts stay on the server and are there again
// when the event type is created again. Deleting an archived one does nothing.
//
// It returns [ErrEventTypeNotFound] or an [*APIError].
func (c *Client) DeleteEventType(ctx context.Context, name string) error {
	if !validEventTypeName(name) {
		return eventTypeNotFound(name, nil)
	}
	defer c.forget(name)
	_, err := c.exec(ctx, "event type delete", func(ctx context.Context) error {
		return c.svix.EventType.Delete(ctx, name, nil)
	})
	if isNotFound(err) {
		return eventTypeNotFound(name, err)
	}
	return err
}

func eventTypeNotFound(name string, answer error) error {
	if answer == nil {
		return fmt.Errorf("webhooks: %w: %s", ErrEventTypeNotFound, foreign.Quote(name))
	}
	return fmt.Errorf("webhooks: %w: %s (%w)", ErrEventTypeNotFound, foreign.Quote(name), answer)
}

// A registeredType is an event type as the server had it, with its schema ready
// for use once a payload has to fit it.
type registeredType struct {
	EventType

	app    string // uid of its application
	schema func(context.Context) (*schema.Schema, error)
}

// anyObject is the schema of the types that others registered without one.
var anyObject = json.RawMessage(`{"type":"object"}`)

// registered returns an event type from the cache or the server, with the errors
// of [Client.GetEventType].
func (c *Client) registered(ctx context.Context, name string) (*registeredType, error) {
	always := func(*registeredType, time.Duration) bool { return true }
	return c.types.Load(ctx, name, always, func(ctx context.Context) (*registeredType, error) {
		lookup := Span{Kind: SpanLookup, EventType: name}
		et, err := traced(ctx, c.tracer, lookup, func(ctx context.Context) (EventType, error) {
			return c.GetEventType(ctx, name)
		})
		if err != nil {
			return nil, err
		}
		compile := func() (*schema.Schema, error) { //nolint:contextcheck // see inBackground
			if et.Schema == nil {
				return schema.Compile(anyObject)
			}
			return schema.Compile(et.Schema)
		}
		compiled := inBackground(compile)
		return &registeredType{EventType: et, app: identity.Application(name), schema: compiled}, nil
	})
}

// inBackground returns a function that gives the result of f, which is called when it is first
// needed, and then once. It cannot be stopped: a caller whose context ends leaves it to end by
// itself.
func inBackground[T any](f func() (T, error)) func(context.Context) (T, error) {
	var value T
	var err error
	begin := sync.OnceValue(func() <-chan struct{} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			value, err = f()
		}()
		return done
	})
	return func(ctx context.Context) (T, error) {
		select {
		case <-begin():
			return value, err
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
	}
}

// validate holds a payload against the schema.
func (rt *registeredType) validate(ctx context.Context, object map[string]any) error {
	compiled, err := rt.schema(ctx)
	if err == nil {
		err = compiled.Validate(ctx, object)
		if refused, ok := errors.AsType[*schema.Error](err); ok {
			return &PayloadError{EventType: rt.Name, Violations: violations(refused.Violations), err: refused}
		}
	} else if _, ok := errors.AsType[*schema.Error](err); ok {
		err = schemaError(err)
	}
	if err != nil {
		return fmt.Errorf("webhooks: event type %s, nothing was sent: %w", rt.Name, err)
	}
	return nil
}

// forget drops what is cached of an event type.
func (c *Client) forget(eventType string) {
	c.types.Forget(eventType)
	c.listeners.Forget(eventType)
}

type applicationBody struct {
	ID string `json:"id"`
}

func (b applicationBody) complete() bool { return b.ID != "" }

type eventTypeBody struct {
	Name        string                     `json:"name"`
	Description string                     `json:"description"`
	Archived    bool                       `json:"archived"`
	Schemas     map[string]json.RawMessage `json:"schemas"`
}

func (b eventTypeBody) complete() bool { return b.Name != "" }
func (b eventTypeBody) Key() string    { return b.Name }

func (b eventTypeBody) eventType() EventType {
	et := EventType{Name: b.Name, Description: b.Description}
	raw := b.Schemas[schemaVersion]
	switch tree, err := canonical.Parse(raw); {
	case len(raw) == 0 || err == nil && tree == nil:
	case err != nil:
		et.Schema = raw // beyond our limits: it must not pass for no schema at all
	default:
		et.Schema = canonical.Append(nil, tree)
	}
	return et
}

// schemaError returns the error of the validator as ours, and that of a context as it is.
func schemaError(err error) error {
	refused, ok := errors.AsType[*schema.Error](err)
	if !ok {
		return fmt.Errorf("webhooks: %w", err)
	}
	return &SchemaError{Violations: violations(refused.Violations), err: refused}
}

func violations(found []schema.Violation) []Violation {
	converted := make([]Violation, len(found))
	for i, v := range found {
		converted[i] = Violation(v)
	}
	return converted
}
