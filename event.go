package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"

	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/eventtext"
	"github.com/softwareheritage/webhooks/internal/foreign"
	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/schema"
	"github.com/softwareheritage/webhooks/internal/transport"
)

// An Event is something to tell the endpoints of its event type.
type Event struct {
	// Type is the name of the event type.
	Type string `json:"type"`
	// Payload is what the endpoints receive: anything that encoding/json encodes
	// to a JSON object; a json.RawMessage is taken as it is. It fits the JSON
	// Schema of the event type. Endpoints receive it as canonical JSON: without
	// white space, with sorted keys, in UTF-8 with only the escapes that JSON
	// demands, and with its numbers to the digit.
	Payload any `json:"payload"`
	// Channel is where the event is sent: the endpoints on that channel receive
	// it, and those on none. Empty means no channel, then only the latter do.
	Channel string `json:"channel,omitempty"`
	// ID, when set, stands for the event: of all sends of one event type with the
	// same ID, whichever process makes them and whatever their payload, only the
	// first creates a message, and all return it. It has 1 to 256 characters of
	// [A-Za-z0-9_.-], does not begin with "msg_" and is not "." or "..". For an
	// event from Kafka it can be made of topic, partition and offset.
	ID string `json:"id,omitempty"`
}

const (
	maxPayload = 1 << 20 // bytes, of the JSON text given and of the canonical one

	usualPayload = 256 // bytes, of those of the archive

	messageIDPrefix = "msg_"
)

var (
	eventID = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,256}$`)

	// svixMessageID is what the server's own ids look like.
	svixMessageID = regexp.MustCompile(`^` + messageIDPrefix + `[a-zA-Z0-9]{1,250}$`)
)

func (ev Event) validateID() error {
	switch {
	case ev.ID == "":
		return nil
	case !eventID.MatchString(ev.ID), strings.HasPrefix(ev.ID, messageIDPrefix), ev.ID == ".", ev.ID == "..":
		return fmt.Errorf("webhooks: %w: ID %s: want 1 to 256 letters, digits, '-', '_' and '.', not beginning with %q and not only dots", ErrInvalidEvent, foreign.Quote(ev.ID), messageIDPrefix)
	}
	return nil
}

// UnmarshalJSON reads an event from a JSON object with the members type and payload and, if wanted,
// channel and id, as [json.Marshal] writes it. The payload becomes a [json.RawMessage] that keeps
// every character of the text; whether it can be sent is for [Client.SendEvent] to say.
//
// It returns [ErrInvalidEvent] if a member has another name, in capitals too, or is there twice, if
// type or payload is missing, or if the text is not JSON in valid UTF-8.
func (ev *Event) UnmarshalJSON(text []byte) error {
	read, err := eventtext.Parse(text)
	if err != nil {
		return fmt.Errorf("webhooks: %w: %w", ErrInvalidEvent, err)
	}
	*ev = Event{
		Type: read.Type, Payload: json.RawMessage(read.Payload), Channel: read.Channel, ID: read.ID,
	}
	return nil
}

// An EventReader reads events from a text in which each line is one, as [Event.UnmarshalJSON] reads
// it (NDJSON). Blank lines are passed over, and so is a byte order mark at the beginning. It is not
// safe for concurrent use.
type EventReader struct{ lines *eventtext.Lines }

// NewEventReader returns a reader of the events in r. It keeps no more than one line in memory.
func NewEventReader(r io.Reader) *EventReader { return &EventReader{eventtext.NewLines(r)} }

// Read returns the next event. It returns
//   - [io.EOF] at the end of the text,
//   - a [*LineError] if the next line is no event or is longer than 1.0625 MiB; the call after
//     that goes on with the line that follows,
//   - the error of the text's own reader, again with each further call.
func (r *EventReader) Read() (Event, error) {
	line, err := r.lines.Next()
	if err != nil {
		return Event{}, err
	}
	var ev Event
	if line.TooLong() {
		err = fmt.Errorf("webhooks: %w: %d bytes, at most %d are possible", ErrInvalidEvent,
			line.Length, eventtext.MaxLine)
	} else {
		err = ev.UnmarshalJSON(line.Text)
	}
	if err != nil {
		return Event{}, &LineError{Line: line.Number, Text: line.Text, Err: err}
	}
	return ev, nil
}

// A Message is an event that the server took for delivery. The zero Message
// means that no endpoint listens to the event, so that nothing was sent.
type Message struct {
	// ID is the server's, "msg_...". Receivers find it in the webhook-id header.
	ID string
	// Timestamp is when the server created the message, in UTC.
	Timestamp time.Time
	// Repeated tells that the server had the ID already: from an earlier call, from
	// another process or from an earlier try of this call.
	Repeated bool
}

// IsZero reports whether nothing was sent because no endpoint listens.
func (m Message) IsZero() bool { return m == Message{} }

// SendEvent checks the payload of an event against the JSON Schema of its type
// and hands it to the server, which delivers it to the endpoints. Where no
// enabled endpoint would receive the event, nothing is sent and the Message is
// zero; see [WithoutListenerCheck]. While event type and listeners are cached, it
// takes one request.
//
// However often the request is retried, the event is sent once: each call draws
// an id for the event, unless [Event.ID] is set, and the server takes an id only
// once. Ids of events are never forgotten by the server.
//
// It returns [ErrEventTypeNotFound]; [ErrEventTypeArchived]; [ErrInvalidEvent];
// [ErrInvalidPayload] for a payload that is not a JSON object in valid UTF-8 or
// has a key twice, or is larger than 1 MiB, nested more than 64 deep or has
// numbers of more than 400 digits or with an exponent beyond ±400, or for whose
// text the request would pass 2 MiB; a [*PayloadError] for one that does not fit
// the schema; [ErrInvalidSchema] for a schema, registered by another program,
// that cannot be used: in all of these cases nothing was sent. An [*APIError] or
// an error of the network or of the context says so in its text where the event
// may have been sent all the same; to send it again with the same Event.ID is
// then safe.
func (c *Client) SendEvent(ctx context.Context, ev Event) (Message, error) {
	ctx, end := start(ctx, c.tracer, Span{Kind: SpanSend, EventType: ev.Type, EventID: ev.ID})
	message, err := c.sendEvent(ctx, ev)
	end(End{MessageID: message.ID, Err: err})
	return message, err
}

func (c *Client) sendEvent(ctx context.Context, ev Event) (Message, error) {
	if err := ev.validateID(); err != nil {
		return Message{}, err
	}
	payload, err := payloadTree(ev.Payload)
	if err != nil {
		return Message{}, err
	}
	body := canonical.Append(make([]byte, 0, usualPayload), payload)
	if len(body) > maxPayload {
		return Message{}, payloadTooLarge(len(body))
	}
	et, err := c.registered(ctx, ev.Type)
	if err != nil {
		return Message{}, err
	}
	if err := et.validate(payload); err != nil {
		return Message{}, err
	}
	var channels []string
	if ev.Channel != "" {
		channels = []string{identity.Channel(ev.Channel)}
	}
	if c.checkListeners {
		if ok, err := c.listens(ctx, ev.Type, channels); err != nil || !ok {
			return Message{}, err
		}
	}
	return c.createMessage(ctx, et.app, ev, channels, body)
}

// payloadTree returns a payload as the validator takes it.
func payloadTree(payload any) (map[string]any, error) {
	if raw, ok := payload.(json.RawMessage); ok && len(raw) > maxPayload {
		return nil, payloadTooLarge(len(raw))
	}
	tree, err := canonical.FromGo(payload)
	if err != nil {
		return nil, fmt.Errorf("webhooks: %w, nothing was sent: %w", ErrInvalidPayload, err)
	}
	object, ok := tree.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("webhooks: %w, nothing was sent: it is not a JSON object", ErrInvalidPayload)
	}
	return object, nil
}

func payloadTooLarge(size int) error {
	return fmt.Errorf("webhooks: %w, nothing was sent: %d bytes, at most %d are possible", ErrInvalidPayload, size, maxPayload)
}

func (rt *registeredType) validate(payload map[string]any) error {
	compiled, err := rt.schema()
	if err != nil {
		return fmt.Errorf("webhooks: event type %s, nothing was sent: %w", rt.Name, schemaError(err))
	}
	err = compiled.Validate(payload)
	if refused, ok := errors.AsType[*schema.Error](err); ok {
		return &PayloadError{EventType: rt.Name, Violations: violations(refused.Violations), err: refused.Err}
	}
	return err
}

func (c *Client) createMessage(ctx context.Context, app string, ev Event, channels []string, body rawPayload) (Message, error) {
	if ev.ID == "" {
		ev.ID = uuid.NewString()
	}
	message, answer, err := c.postMessage(ctx, app, ev, channels, body)
	switch {
	case err == nil:
		return message, nil
	case isNotFound(err):
		return Message{}, nil // no application, so no endpoint
	case errors.Is(err, transport.ErrRequestTooLarge):
		return Message{}, fmt.Errorf("webhooks: %w, nothing was sent: escaped as a JSON string it is too large: %w", ErrInvalidPayload, err)
	case answer.Tries == 0:
		return Message{}, err
	}
	return Message{}, &SendError{EventID: ev.ID, MaybeSent: answer.Unclear, Err: err}
}

// A rawPayload is the text that the server delivers to the byte. Of the payload
// member, which has to be there too, the SDK would send another text.
type rawPayload []byte

// MarshalText makes it a JSON string.
func (p rawPayload) MarshalText() ([]byte, error) { return p, nil }

var noPayload = map[string]any{}

// postMessage creates the message of an event that has an ID, or finds the one
// that there is. After an error, the answer's Unclear tells that there may be one.
func (c *Client) postMessage(ctx context.Context, app string, ev Event, channels []string, body rawPayload) (Message, transport.Answer, error) {
	in := models.MessageIn{
		EventType: ev.Type, EventId: &ev.ID, Channels: channels, PayloadRetentionPeriod: &c.retention,
		Payload: noPayload, TransformationsParams: &map[string]any{"rawPayload": body},
	}
	withContent := false // else the SDK looks into the response, see [transport.Transport.RoundTrip]
	const op = "message create"
	answer, err := c.finish(ctx, op, func(ctx context.Context) error {
		// The key saves the SDK drawing one; the transport takes it off.
		_, err := c.svix.Message.Create(ctx, app, in, &svix.MessageCreateOptions{IdempotencyKey: &ev.ID, WithContent: &withContent})
		return err
	})
	answer.Unclear = answer.Unclear || err == nil || isConflict(err)
	switch {
	case err == nil:
		created, err := parseCreated(op, answer)
		return created.message(), answer, err
	case isConflict(err):
		sent, err := c.sentMessage(ctx, app, ev.ID, err)
		message := sent.message()
		message.Repeated = err == nil
		return message, answer, err
	}
	return Message{}, answer, err
}

// parseCreated reads a new message. [canonical.Parse] takes a third of the time of
// encoding/json, which counts here, once for each event; it is strict, so that
// what it refuses is read like every other answer.
func parseCreated(op string, answer transport.Answer) (messageBody, error) {
	if tree, err := canonical.Parse(answer.Body); err == nil {
		members, _ := tree.(map[string]any)
		id, _ := members["id"].(string)
		timestamp, _ := members["timestamp"].(string)
		if message := (messageBody{ID: id, Timestamp: parseInstant(timestamp)}); message.complete() {
			return message, nil
		}
	}
	return readBody[messageBody](op, answer)
}

// sentMessage returns the message that an earlier send with this id created, or
// the conflict that told of it where there is none.
func (c *Client) sentMessage(ctx context.Context, app, id string, conflict error) (messageBody, error) {
	sent, err := c.getMessage(ctx, app, id, false)
	if isNotFound(err) {
		return messageBody{}, conflict
	}
	return sent, err
}

func (c *Client) getMessage(ctx context.Context, app, id string, withContent bool) (messageBody, error) {
	return query[messageBody](ctx, c, "message get", func(ctx context.Context) error {
		_, err := c.svix.Message.Get(ctx, app, id, &svix.MessageGetOptions{WithContent: &withContent})
		return err
	})
}

// A SendResult is what became of one event given to [Client.SendEvents].
type SendResult struct {
	Event   Event
	Message Message
	Err     error
}

// maxConcurrency bounds what is set aside for events on their way. It is more
// than connections that one process can have to one server.
const maxConcurrency = 1 << 16

// SendEvents sends events as [Client.SendEvent] does, up to concurrency of them
// at once (below 1 counts as 1, above 65536 as 65536), and returns a result for
// each, in the order of the input. One event that fails does not stop the others.
//
// An event is taken from the input only when fewer than concurrency are on their
// way or waiting for their result to be taken, so that a slow consumer slows the
// input down, which may be endless. With a concurrency of 1 the events are sent
// in the order of the input; with more, those within that distance, also of one
// channel, may reach the server in any order.
//
// When ctx is done no more events are taken, and each that was taken still gets
// its result: of one that was not sent, or not known to be, Err wraps the error
// of the context. Breaking out of the loop cancels what is on its way. The input
// is read in a goroutine of its own, and the loop ends when that has returned: an
// input that waits for events should itself heed ctx.
//
// The sequence may be ranged more than once if the input may.
func (c *Client) SendEvents(ctx context.Context, events iter.Seq[Event], concurrency int) iter.Seq[SendResult] {
	return func(yield func(SendResult) bool) {
		ctx, cancel := context.WithCancel(ctx)
		slots := make(chan struct{}, min(max(concurrency, 1), maxConcurrency))
		results := make(chan chan SendResult, cap(slots)) // in input order
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer close(results)
			c.sendAll(ctx, events, slots, results)
		}()
		defer func() { <-done }()
		defer cancel()
		for result := range results {
			if !yield(<-result) {
				cancel()
				for result := range results {
					<-result
				}
				return
			}
			<-slots
		}
	}
}

// sendAll takes a slot for each event before it takes the event.
func (c *Client) sendAll(ctx context.Context, events iter.Seq[Event], slots chan struct{}, results chan<- chan SendResult) {
	take := func() bool {
		select {
		case slots <- struct{}{}:
			return ctx.Err() == nil
		case <-ctx.Done():
			return false
		}
	}
	if !take() {
		return
	}
	for ev := range events {
		result := make(chan SendResult, 1)
		results <- result
		go func() {
			message, err := c.SendEvent(ctx, ev)
			result <- SendResult{Event: ev, Message: message, Err: err}
		}()
		if !take() {
			return
		}
	}
}

// maxCachedChannels bounds what is remembered of one event type. The channels
// beyond it are asked for each time.
const maxCachedChannels = 1 << 16

// listeners are the Svix channels on which an enabled endpoint receives events.
type listeners struct {
	all      bool // one receives the events on every channel and on none
	channels map[string]struct{}
	partial  bool // there are more channels
}

// receive reports whether an event sent on these channels has a receiver.
func (l listeners) receive(channels []string) bool {
	return l.all || slices.ContainsFunc(channels, func(channel string) bool {
		_, ok := l.channels[channel]
		return ok
	})
}

// listens reports whether an enabled endpoint receives the events of a type that
// are sent on these Svix channels, of which there is one at most. A no is never
// older than the question, so that no event is dropped that somebody listens to.
func (c *Client) listens(ctx context.Context, eventType string, channels []string) (bool, error) {
	found, err := c.listeners.Load(ctx, eventType,
		func(l listeners) bool { return l.receive(channels) },
		func(ctx context.Context) (listeners, error) { return c.findListeners(ctx, eventType, channels) })
	if err == nil && found.partial && !found.receive(channels) { // others may have asked, for other channels
		found, err = c.findListeners(ctx, eventType, channels)
	}
	return found.receive(channels), err
}

// findListeners lists the endpoints of an event type. It makes sure to remember
// the channels that are wanted.
func (c *Client) findListeners(ctx context.Context, eventType string, wanted []string) (found listeners, err error) {
	ctx, end := start(ctx, c.tracer, Span{Kind: SpanLookup, EventType: eventType})
	defer func() { end(End{Err: err}) }()
	found.channels = map[string]struct{}{}
	for body, err := range c.endpoints(ctx, eventType, false) {
		switch {
		case err != nil:
			return listeners{}, err
		case body.Disabled || !body.ReceivesType(eventType):
			continue
		case len(body.Channels) == 0:
			return listeners{all: true}, nil
		}
		for _, channel := range body.Channels {
			if len(found.channels) < maxCachedChannels || slices.Contains(wanted, channel) {
				found.channels[channel] = struct{}{}
			} else {
				found.partial = true
			}
		}
	}
	return found, nil
}
