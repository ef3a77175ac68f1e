package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"

	"github.com/softwareheritage/webhooks/internal/audience"
	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/eventtext"
	"github.com/softwareheritage/webhooks/internal/foreign"
	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/ordered"
	"github.com/softwareheritage/webhooks/internal/payload"
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

const messageIDPrefix = "msg_"

var (
	eventID = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,256}$`)

	// svixMessageID is what the server's own ids look like.
	svixMessageID = regexp.MustCompile(`^` + messageIDPrefix + `[a-zA-Z0-9]{1,250}$`)
)

// validate checks what the server would refuse or mend.
func (ev Event) validate() error {
	id, channel := ev.ID, ev.Channel
	switch {
	case id != "" && !eventID.MatchString(id), strings.HasPrefix(id, messageIDPrefix), id == ".", id == "..":
		return fmt.Errorf("webhooks: %w: ID %s: want 1 to 256 letters, digits, '-', '_' and '.', "+
			"not beginning with %q and not only dots", ErrInvalidEvent, foreign.Quote(id), messageIDPrefix)
	case !utf8.ValidString(channel):
		return fmt.Errorf("webhooks: %w: channel %s: it is not valid UTF-8", ErrInvalidEvent, foreign.Quote(channel))
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

// A Message is an event that the server took for delivery. The zero Message means that no endpoint
// listens to the event, so that nothing was sent. The reverse does not hold: of an event type with
// more than 25 endpoints an event may be sent that none of them receives.
type Message struct {
	// ID is the server's, "msg_...". Receivers find it in the webhook-id header.
	ID string
	// Timestamp is when the server created the message, in UTC.
	Timestamp time.Time
	// Repeated tells that the server had the ID already: from an earlier call, from another
	// process or from an earlier try of this call.
	Repeated bool
}

// IsZero reports whether nothing was sent because no endpoint listens.
func (m Message) IsZero() bool { return m == Message{} }

// SendEvent checks the payload of an event against the JSON Schema of its type and hands it to the
// server, which delivers it to the endpoints. If no enabled endpoint would receive the event,
// nothing is sent and the Message is zero. Of an event type with more than 25 endpoints that is not
// looked at, since it would cost more than to send the event; see [WithNobodyListensTTL] and
// [WithoutListenerCheck]. While event type and listeners are cached, a send takes one request.
//
// However often the request is retried, the event is stored once: each call draws an id for the
// event, unless [Event.ID] is set, and the server takes an id only once. Ids of events are never
// forgotten by the server.
//
// A server that has the id already may have lost the way to deliver the message: it drops what it
// does for a client that goes away in the middle. SendEvent then looks for an attempt to deliver
// the message, and has it resent to each endpoint that should have received it if there is none.
// That must wait until the message is 35 seconds old. The server tries a resent message only once.
//
// When ctx ends SendEvent returns at once. A request that has begun is then finished in the
// background, see [Client.Drain].
//
// It returns, with nothing sent,
//   - [ErrInvalidEvent] if the ID or the channel cannot be used,
//   - [ErrInvalidPayload] if the payload is not a JSON object in valid UTF-8, has a key twice, is
//     larger than 1 MiB, is nested more than 64 deep, or has numbers of more than 400 digits or
//     with an exponent beyond ±400, or if the request would pass 2 MiB with it,
//   - [ErrEventTypeNotFound] or [ErrEventTypeArchived],
//   - a [*PayloadError] if the payload does not fit the schema,
//   - [ErrInvalidSchema] if another program registered a schema that cannot be used,
//   - an [*APIError], or an error of the network or of ctx, before the event's own request began.
//
// Once that has begun it returns a [*SendError], which wraps one of the last and tells whether the
// event may have been sent all the same.
func (c *Client) SendEvent(ctx context.Context, ev Event) (Message, error) {
	ctx, end := start(ctx, c.tracer, Span{Kind: SpanSend, EventType: ev.Type, EventID: ev.ID})
	message, err := c.sendEvent(ctx, ev)
	end(End{MessageID: message.ID, Err: err})
	return message, err
}

func (c *Client) sendEvent(ctx context.Context, ev Event) (Message, error) {
	if err := ev.validate(); err != nil {
		return Message{}, err
	}
	object, body, err := payload.Encode(ev.Payload)
	if err != nil {
		return Message{}, invalidPayload(err)
	}
	message, err := c.send(ctx, ev, object, body)
	if errors.Is(err, errNoApplication) {
		c.forget(ev.Type) // one answer is not enough to believe that
		message, err = c.send(ctx, ev, object, body)
	}
	return message, err
}

func invalidPayload(err error) error {
	return fmt.Errorf("webhooks: %w, nothing was sent: %w", ErrInvalidPayload, err)
}

// errNoApplication is for an event type that others have registered by half, or for a server that
// contradicts itself, such as one that is being replaced by another.
var errNoApplication = errors.New("the server has the event type, but not the application that holds " +
	"its endpoints and messages; creating the event type again creates it")

func noApplication(eventType string, answer error) error {
	return fmt.Errorf("webhooks: event type %s: %w: %w", foreign.Quote(eventType), errNoApplication, answer)
}

func (c *Client) send(ctx context.Context, ev Event, object map[string]any, body []byte) (Message, error) {
	et, err := c.registered(ctx, ev.Type)
	if err != nil {
		return Message{}, err
	}
	if err := et.validate(ctx, object); err != nil {
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

func (c *Client) createMessage(ctx context.Context, app string, ev Event, channels []string,
	body []byte,
) (Message, error) {
	if ev.ID == "" {
		ev.ID = uuid.NewString()
	}
	message, answer, err := c.postMessage(ctx, app, ev, channels, body)
	maybeSent := answer.Unclear
	switch {
	case err == nil:
		return message, nil
	case isConflict(err):
		maybeSent = true
		if message, err = c.repeated(ctx, app, ev, body, err); err == nil {
			return message, nil
		}
	case isNotFound(err):
		err = noApplication(ev.Type, err)
	case errors.Is(err, transport.ErrRequestTooLarge):
		return Message{}, invalidPayload(fmt.Errorf("escaped as a JSON string it is too large: %w", err))
	case answer.Tries == 0:
		return Message{}, err
	}
	return Message{}, &SendError{EventID: ev.ID, MaybeSent: maybeSent, Err: err}
}

var (
	withoutContent = false // else the SDK looks into the response, see [transport.Transport.RoundTrip]
	noPayload      = map[string]any{}
	// rawPayload is where the transport puts the text that the server delivers to the byte. Of the
	// payload member, which has to be there too, the SDK would send another text.
	rawPayload = map[string]any{"rawPayload": ""}
)

// postMessage creates the message of an event. The answer's Unclear tells that there may be one.
func (c *Client) postMessage(ctx context.Context, app string, ev Event, channels []string,
	body []byte,
) (Message, transport.Answer, error) {
	in := models.MessageIn{
		EventType: ev.Type, EventId: &ev.ID, Channels: channels, PayloadRetentionPeriod: &c.retention,
		Payload: noPayload, TransformationsParams: &rawPayload,
	}
	const op = "message create"
	answer, err := c.finish(ctx, op, body, func(ctx context.Context) error {
		// The key saves the SDK drawing one; the transport takes it off.
		_, err := c.svix.Message.Create(ctx, app, in,
			&svix.MessageCreateOptions{IdempotencyKey: &ev.ID, WithContent: &withoutContent})
		return err
	})
	if err != nil {
		return Message{}, answer, err
	}
	answer.Unclear = true // whatever it says
	created, err := parseCreated(op, answer)
	return created.message(), answer, err
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

// maxConcurrency bounds what is set aside for events on their way. It is more than connections that
// one process can have to one server.
const maxConcurrency = 1 << 16

// SendEvents sends events as [Client.SendEvent] does, up to concurrency of them at once (below 1
// counts as 1, above 65536 as 65536), and returns a result for each, in the order of the input. One
// event that fails does not stop the others.
//
// An event is taken from the input only when fewer than concurrency are on their way or waiting for
// their result to be taken, so that a slow consumer slows the input down, which may be endless.
// With a concurrency of 1 the events are sent in the order of the input; with more, those within
// that distance, also of one channel, may reach the server in any order.
//
// The payload of an event is read before the next event is taken: the input may use the memory of a
// buffer, map or struct again for each. The Event of a result has a copy of a json.RawMessage, and
// else the Payload that it was given.
//
// When ctx is done no more events are taken, and each that was taken still gets its result: of one
// that was not sent, or not known to be, Err wraps the error of the context. Breaking out of the
// loop ends the context of what is on its way. The input is read in a goroutine of its own, and the
// loop ends when that has returned: an input that waits for events should itself heed ctx. If it
// panics, the panic goes on in the goroutine of the loop.
//
// The sequence may be ranged more than once if the input may.
func (c *Client) SendEvents(ctx context.Context, events iter.Seq[Event], concurrency int) iter.Seq[SendResult] {
	taken := func(yield func(takenEvent) bool) {
		for ev := range events {
			if !yield(take(ev)) {
				return
			}
		}
	}
	return ordered.Map(ctx, taken, min(max(concurrency, 1), maxConcurrency), c.sendTaken)
}

// A takenEvent is an event whose payload is read.
type takenEvent struct {
	Event

	payload json.RawMessage
	err     error
}

func take(ev Event) takenEvent {
	own, err := payload.Own(ev.Payload)
	if _, ok := ev.Payload.(json.RawMessage); ok && err == nil {
		ev.Payload = own
	}
	return takenEvent{ev, own, err}
}

func (c *Client) sendTaken(ctx context.Context, taken takenEvent) SendResult {
	if taken.err != nil {
		return SendResult{Event: taken.Event, Err: invalidPayload(taken.err)}
	}
	ev := taken.Event
	ev.Payload = taken.payload
	message, err := c.SendEvent(ctx, ev)
	return SendResult{Event: taken.Event, Message: message, Err: err}
}

const (
	// listenerPage is how many endpoints are asked for before each event that seems to have no
	// listener: about what costs as much as to send it.
	listenerPage = 25

	// maxCachedChannels bounds what is remembered of all event types.
	maxCachedChannels = 1 << 20
)

// listens reports whether an enabled endpoint may receive the events of a type that are sent on
// these Svix channels, of which there is one at most. A no is never older than the question, unless
// the client was told that it may be: no event is dropped that somebody listens to.
func (c *Client) listens(ctx context.Context, eventType string, channels []string) (bool, error) {
	found, err := c.listeners.Load(ctx, eventType,
		func(a audience.Audience, age time.Duration) bool {
			return age < c.nobodyListensTTL || a.MayHear(channels)
		},
		func(ctx context.Context) (audience.Audience, error) {
			span := Span{Kind: SpanLookup, EventType: eventType}
			return traced(ctx, c.tracer, span, func(ctx context.Context) (audience.Audience, error) {
				return c.findListeners(ctx, eventType)
			})
		})
	return found.MayHear(channels), err
}

// findListeners lists the endpoints of an event type: as many as cost no more than to send an
// event, or all if the answer that nobody listens may be kept.
func (c *Client) findListeners(ctx context.Context, eventType string) (audience.Audience, error) {
	limit := uint64(listenerPage)
	if c.nobodyListensTTL > 0 {
		limit = pageSize
	}
	var found audience.Audience
	var loop cycle
	for iterator := (*string)(nil); ; {
		page, err := c.listenerPage(ctx, eventType, limit, iterator)
		if err != nil {
			return found, err
		}
		for _, body := range page.Data {
			found.Add(body.Stored, eventType)
		}
		switch {
		case page.Done, found.HearsAll():
			return found, nil
		case c.nobodyListensTTL == 0, found.Weight() > maxCachedChannels:
			return found.AndOthers(), nil
		}
		if err := loop.next(page.Iterator); err != nil {
			return found, err
		}
		iterator = page.Iterator
	}
}

// listenerPage lists endpoints. That the application is not there is not taken for a list of none.
func (c *Client) listenerPage(ctx context.Context, eventType string, limit uint64,
	iterator *string,
) (Page[endpointBody], error) {
	r := pageRequest{op: "endpoint list", iterator: iterator, limit: limit}
	page, err := listPage[endpointBody](ctx, c, r, func(ctx context.Context, limit *uint64) error {
		options := svix.EndpointListOptions{Limit: limit, Iterator: iterator}
		_, err := c.svix.Endpoint.List(ctx, identity.Application(eventType), &options)
		return err
	})
	if isNotFound(err) {
		err = noApplication(eventType, err)
	}
	return page, err
}
