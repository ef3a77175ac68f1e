package webhooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/ksuid"
	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"
	"golang.org/x/sync/errgroup"

	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/schema"
	"github.com/softwareheritage/webhooks/internal/transport"
)

// An Event is something to tell the endpoints of its event type.
type Event struct {
	// Type is the name of the event type.
	Type string
	// Payload is what the endpoints receive: anything that encoding/json encodes
	// to a JSON object; a json.RawMessage is taken as it is. It fits the JSON
	// Schema of the event type. Endpoints receive it as canonical JSON: without
	// white space, with sorted keys, in UTF-8 with only the escapes that JSON
	// demands, and with its numbers to the digit.
	Payload any
	// Channel is where the event is sent: the endpoints on that channel receive
	// it, and those on none. Empty means no channel, then only the latter do.
	Channel string
	// ID, when set, stands for the event: of all sends of one event type with the
	// same ID, whichever process makes them and whatever their payload, only the
	// first creates a message, and all return it. It has 1 to 256 characters of
	// [A-Za-z0-9_.-], does not begin with "msg_" and is not "." or "..". For an
	// event from Kafka it can be made of topic, partition and offset.
	ID string
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
		return fmt.Errorf("webhooks: %w: ID %s: want 1 to 256 letters, digits, '-', '_' and '.', not beginning with %q and not only dots", ErrInvalidEvent, quote(ev.ID), messageIDPrefix)
	}
	return nil
}

// A Message is an event that the server took for delivery. The zero Message
// means that no endpoint listens to the event, so that nothing was sent.
type Message struct {
	// ID is the server's, "msg_...". Receivers find it in the webhook-id header.
	ID string
	// Timestamp is when the server created the message, in UTC.
	Timestamp time.Time
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
	message, unclear, err := c.postMessage(ctx, app, ev, channels, body)
	switch {
	case err == nil:
		return message.message(), nil
	case isNotFound(err):
		return Message{}, nil // no application, so no endpoint
	case errors.Is(err, transport.ErrRequestTooLarge):
		return Message{}, fmt.Errorf("webhooks: %w, nothing was sent: escaped as a JSON string it is too large: %w", ErrInvalidPayload, err)
	case unclear:
		return Message{}, fmt.Errorf("%w; the event may have been sent all the same, and sending it again with the ID %q is safe", err, ev.ID)
	default:
		return Message{}, fmt.Errorf("%w; the event was not sent", err)
	}
}

// A rawPayload is the text that the server delivers to the byte. Of the payload
// member, which has to be there too, the SDK would send another text.
type rawPayload []byte

// MarshalText makes it a JSON string.
func (p rawPayload) MarshalText() ([]byte, error) { return p, nil }

var noPayload = map[string]any{}

// postMessage creates the message of an event that has an ID, or finds the one
// that there is. After an error, unclear tells that there may be one.
func (c *Client) postMessage(ctx context.Context, app string, ev Event, channels []string, body rawPayload) (message messageBody, unclear bool, err error) {
	in := models.MessageIn{
		EventType: ev.Type, EventId: &ev.ID, Channels: channels, PayloadRetentionPeriod: &c.retention,
		Payload: noPayload, TransformationsParams: &map[string]any{"rawPayload": body},
	}
	withContent := false // else the SDK looks into the response, see [transport.Transport.RoundTrip]
	const op = "message create"
	answer, err := c.call(ctx, op, func(ctx context.Context) error {
		_, err := c.svix.Message.Create(ctx, app, in, &svix.MessageCreateOptions{IdempotencyKey: &ev.ID, WithContent: &withContent})
		return err
	})
	switch {
	case err == nil:
		message, err = created(op, answer)
		return message, true, err
	case isConflict(err):
		message, err = c.sentMessage(ctx, app, ev.ID, err)
		return message, true, err
	}
	return messageBody{}, answer.Unclear, err
}

// created reads a new message. [canonical.Parse] takes a third of the time of
// encoding/json, which counts here, once for each event; it is strict, so that
// what it refuses is read like every other answer.
func created(op string, answer transport.Answer) (messageBody, error) {
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
	return ask[messageBody](ctx, c, "message get", func(ctx context.Context) error {
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

// A SentEvent is one attempt to deliver a message to an endpoint. A message has
// several where the first ones failed.
type SentEvent struct {
	// EventType is the name of the event type.
	EventType string
	// EndpointURL is where the attempt was made.
	EndpointURL string
	// Channel is that of the endpoint, empty for an endpoint on no channel or one
	// that was deleted since.
	Channel string
	// Headers are Content-Length, Content-Type, Webhook-Id, Webhook-Timestamp,
	// Webhook-Signature and X-Swh-Event. The server keeps no headers: they are
	// reconstructed, and exact for every event that this library sent while the
	// endpoint's secret is the one of the attempt and was not rotated in the 24
	// hours before. Content-Length and Webhook-Signature are left out where the
	// payload is gone, the latter also where the endpoint is or its secret is not
	// a symmetric one. A server that is not set to white-label headers really
	// sent them as Svix-Id, Svix-Timestamp and Svix-Signature.
	Headers http.Header
	// MessageID is the id of the message.
	MessageID string
	// Payload is the body that the endpoint received, as canonical JSON (see
	// [Event]), or {"expired":true} when the server no longer has it.
	Payload json.RawMessage
	// Timestamp is when the attempt began, in UTC.
	Timestamp time.Time
	// Response is the body of the endpoint's answer; the server keeps 20,000
	// bytes of it, and in base64 where they are not UTF-8. Where there was no
	// answer it is the server's explanation.
	Response string
	// ResponseStatusCode is the HTTP status of that answer; 0 where there was none.
	ResponseStatusCode int
	// AttemptID and EndpointID are the server's own ids.
	AttemptID  string
	EndpointID string
	// Duration is how long the attempt took, to the millisecond.
	Duration time.Duration
}

// A SentEventQuery selects sent events. The zero value selects all that the
// server gives.
type SentEventQuery struct {
	// Channel selects the events sent on this channel; empty selects all.
	Channel string
	// Before and After select by [SentEvent.Timestamp], both exclusive and exact.
	// The zero time means no bound. Only one of them can be given.
	Before time.Time
	After  time.Time
	// Limit is the most to list; 0 means no limit.
	Limit int
}

func (q SentEventQuery) validate() error {
	switch {
	case !q.Before.IsZero() && !q.After.IsZero():
		return fmt.Errorf("webhooks: %w: Before and After cannot be combined, only one can be given", ErrInvalidQuery)
	case q.Limit < 0:
		return fmt.Errorf("webhooks: %w: negative limit %d", ErrInvalidQuery, q.Limit)
	}
	return nil
}

func (q SentEventQuery) svixChannel() *string {
	if q.Channel == "" {
		return nil
	}
	uid := identity.Channel(q.Channel)
	return &uid
}

// ListSentEventsForEndpoint returns the attempts to deliver to an endpoint that
// q selects, newest first.
//
// With After the list goes back to there, whatever the gaps in it. Without, the
// server decides how far: at least 90 days from Before or from now, and further
// where those days have more attempts than it gives at once.
//
// Errors come as the last pair: [ErrInvalidQuery] for a query that contradicts
// itself and [ErrInvalidEndpoint] for an endpoint that cannot be addressed (see
// [Endpoint.ID]), without a request, [ErrEventTypeNotFound],
// [ErrEventTypeArchived], [ErrEndpointNotFound], or an [*APIError].
func (c *Client) ListSentEventsForEndpoint(ctx context.Context, ep Endpoint, q SentEventQuery) iter.Seq2[SentEvent, error] {
	if err := q.validate(); err != nil {
		return failed[SentEvent](err)
	}
	if err := ep.validateAddress(); err != nil {
		return failed[SentEvent](err)
	}
	return func(yield func(SentEvent, error) bool) {
		if _, err := c.registered(ctx, ep.EventType); err != nil {
			yield(SentEvent{}, err)
			return
		}
		secret := sync.OnceValues(func() (string, error) { return c.signingSecret(ctx, ep) })
		for attempt, err := range c.attemptsTo(ep, q).all(ctx) {
			if err != nil {
				yield(SentEvent{}, err)
				return
			}
			key, err := secret()
			if err != nil {
				yield(SentEvent{}, err)
				return
			}
			if !yield(attempt.sentEvent(ep, key), nil) {
				return
			}
		}
	}
}

// attemptsTo is the timeline of the attempts to deliver to an endpoint, with
// their payloads.
func (c *Client) attemptsTo(ep Endpoint, q SentEventQuery) timeline[attemptBody] {
	channel := q.svixChannel()
	if channel == nil && ep.Channel != "" {
		channel = &ep.svixChannels()[0]
	}
	return timeline[attemptBody]{
		timeRange: q.timeRange(),
		limit:     q.Limit,
		list: func(ctx context.Context, iterator *string, before *time.Time) (Page[attemptBody], error) {
			return c.attemptsOfEndpoint(ctx, ep, q, iterator, before)
		},
		fill: func(ctx context.Context, attempts []attemptBody) error {
			return c.fillPayloads(ctx, ep.EventType, channel, attempts)
		},
	}
}

// retriesEnd is for how long after a message its attempts are looked for. The
// server's default schedule of retries ends after about 28 hours.
const retriesEnd = 48 * time.Hour

// ListSentEventsForEventType returns the attempts to deliver messages of an event
// type that q selects, to all of its endpoints, those deleted since included:
// messages newest first, and the attempts of a message newest first.
//
// With After, the messages of the 48 hours before are looked at, too, for late
// attempts; a manual resend of a still older message is found by
// [Client.ListSentEventsForEndpoint] only. How far back the list goes is said
// there, with messages in place of attempts.
//
// Errors come as the last pair: [ErrInvalidQuery] for a query that contradicts
// itself, without a request, [ErrEventTypeNotFound], [ErrEventTypeArchived], or
// an [*APIError].
func (c *Client) ListSentEventsForEventType(ctx context.Context, eventType string, q SentEventQuery) iter.Seq2[SentEvent, error] {
	if err := q.validate(); err != nil {
		return failed[SentEvent](err)
	}
	if !validEventTypeName(eventType) {
		return failed[SentEvent](eventTypeNotFound(eventType, nil))
	}
	return limited(q.Limit, func(yield func(SentEvent, error) bool) {
		if _, err := c.registered(ctx, eventType); err != nil {
			yield(SentEvent{}, err)
			return
		}
		met := recipients{client: c, eventType: eventType, known: map[string]*lookup{}}
		for attempt, err := range c.attempts(ctx, &met, q) {
			if err != nil {
				yield(SentEvent{}, err)
				return
			}
			receiver, err := met.get(ctx, attempt.EndpointID)
			if err != nil {
				yield(SentEvent{}, err)
				return
			}
			if !yield(attempt.sentEvent(receiver.Endpoint, receiver.secret), nil) {
				return
			}
		}
	})
}

// attempts lists the attempts of the messages of an event type, with their
// payloads, a few at once after their recipients have been met. It asks for no
// more messages at once than the limit may need.
func (c *Client) attempts(ctx context.Context, met *recipients, q SentEventQuery) iter.Seq2[attemptBody, error] {
	return func(yield func(attemptBody, error) bool) {
		given := 0
		atOnce := func() int {
			if q.Limit == 0 {
				return requestsAhead
			}
			return min(requestsAhead, q.Limit-given)
		}
		perMessage := ahead(ctx, c.messages(ctx, met.eventType, q), atOnce, func(ctx context.Context, m messageBody) ([]attemptBody, error) {
			attempts, err := Collect(limited(q.Limit, c.attemptsOfMessage(ctx, met.eventType, m, q)))
			if err != nil {
				return nil, err
			}
			return attempts, met.all(ctx, attempts[:min(len(attempts), requestsAhead)])
		})
		for attempts, err := range perMessage {
			if err != nil {
				yield(attemptBody{}, err)
				return
			}
			for few := range slices.Chunk(attempts, requestsAhead) {
				if err := met.all(ctx, few); err != nil {
					yield(attemptBody{}, err)
					return
				}
				for _, attempt := range few {
					if given++; !yield(attempt, nil) {
						return
					}
				}
			}
		}
	}
}

// timeRange is in UTC: the SDK writes the zone of a time in whole minutes.
func (q SentEventQuery) timeRange() timeRange {
	return timeRange{before: q.Before.UTC(), after: q.After.UTC()}
}

// pageLimit is the size of the page to ask for: no larger than is needed, unless
// the first page turned out not to be enough.
func (q SentEventQuery) pageLimit(iterator *string) uint64 {
	if q.Limit > 0 && iterator == nil {
		return min(pageSize, uint64(q.Limit))
	}
	return pageSize
}

// requestsAhead is how many requests a listing makes at once.
const requestsAhead = 8

// messages lists the messages whose attempts may be in the query's range.
func (c *Client) messages(ctx context.Context, eventType string, q SentEventQuery) iter.Seq2[messageBody, error] {
	within := q.timeRange()
	if !within.after.IsZero() {
		within.after = within.after.Add(-retriesEnd)
	}
	messages := timeline[messageBody]{timeRange: within, list: func(ctx context.Context, iterator *string, before *time.Time) (Page[messageBody], error) {
		page, err := c.messagePage(ctx, eventType, svix.MessageListOptions{Iterator: iterator, Before: before, Channel: q.svixChannel()}, pageSize)
		if isNotFound(err) {
			return Page[messageBody]{Done: true}, nil // without an application there is no message
		}
		return page, err
	}}
	return messages.all(ctx)
}

func (c *Client) messagePage(ctx context.Context, eventType string, o svix.MessageListOptions, limit uint64) (Page[messageBody], error) {
	return listPage[messageBody](ctx, c, "message list", limit, func(ctx context.Context, limit *uint64) error {
		o.Limit = limit
		_, err := c.svix.Message.List(ctx, identity.Application(eventType), &o)
		return err
	})
}

func (c *Client) attemptsOfEndpoint(ctx context.Context, ep Endpoint, q SentEventQuery, iterator *string, before *time.Time) (Page[attemptBody], error) {
	page, err := listPage[attemptBody](ctx, c, "attempt list", q.pageLimit(iterator), func(ctx context.Context, limit *uint64) error {
		_, err := c.svix.MessageAttempt.ListByEndpoint(ctx, identity.Application(ep.EventType), ep.address(), &svix.MessageAttemptListByEndpointOptions{
			Limit: limit, Iterator: iterator, Before: before, Channel: q.svixChannel(),
		})
		return err
	})
	return page, c.missing(ctx, ep, err)
}

// attemptsOfMessage lists the attempts of a message in the range of a query.
func (c *Client) attemptsOfMessage(ctx context.Context, eventType string, m messageBody, q SentEventQuery) iter.Seq2[attemptBody, error] {
	return Paginate(ctx, func(ctx context.Context, iterator *string) (Page[attemptBody], error) {
		if !svixMessageID.MatchString(m.ID) {
			return Page[attemptBody]{Done: true}, nil // nothing for a request path
		}
		o := svix.MessageAttemptListByMsgOptions{Iterator: iterator}
		if iterator == nil && !m.at().IsZero() {
			// Without a bound the server would look back 90 days from now, and
			// not see those of an older message.
			bound := m.at().Truncate(time.Second).Add(serverWindow)
			o.Before = &bound
		}
		page, err := listPage[attemptBody](ctx, c, "attempt list", q.pageLimit(iterator), func(ctx context.Context, limit *uint64) error {
			o.Limit = limit
			_, err := c.svix.MessageAttempt.ListByMsg(ctx, identity.Application(eventType), m.ID, &o)
			return err
		})
		page.Data, _ = cut(q.timeRange(), page.Data)
		for i := range page.Data {
			page.Data[i].payload = m.Payload
		}
		return page, err
	})
}

// A recipient is an endpoint with the secret its deliveries are signed with,
// empty where that is not known.
type recipient struct {
	Endpoint

	secret string
}

// recipients are those that a listing has met; each is looked up once.
type recipients struct {
	client    *Client
	eventType string

	mu    sync.Mutex
	known map[string]*lookup
}

// A lookup is a recipient, once it is done.
type lookup struct {
	recipient

	err  error
	done chan struct{}
}

// all meets the recipients of some attempts at once.
func (r *recipients) all(ctx context.Context, attempts []attemptBody) error {
	var group errgroup.Group
	for _, attempt := range attempts {
		group.Go(func() error {
			_, err := r.get(ctx, attempt.EndpointID)
			return err
		})
	}
	return group.Wait()
}

func (r *recipients) get(ctx context.Context, id string) (recipient, error) {
	r.mu.Lock()
	found, ok := r.known[id]
	if !ok {
		found = &lookup{done: make(chan struct{})}
		r.known[id] = found
	}
	r.mu.Unlock()
	if !ok {
		found.recipient, found.err = r.client.recipient(ctx, r.eventType, id)
		close(found.done)
	}
	<-found.done // all callers have the context of one listing
	return found.recipient, found.err
}

func (c *Client) recipient(ctx context.Context, eventType, id string) (recipient, error) {
	unknown := recipient{Endpoint: Endpoint{EventType: eventType}}
	if !svixEndpointID.MatchString(id) {
		return unknown, nil
	}
	body, err := c.getEndpoint(ctx, eventType, id)
	if isNotFound(err) {
		return unknown, nil // deleted since
	}
	if err != nil {
		return unknown, err
	}
	ep := body.endpoint(eventType)
	secret, err := c.signingSecret(ctx, ep)
	return recipient{Endpoint: ep, secret: secret}, err
}

// signingSecret returns the secret of an endpoint, empty where it is gone.
func (c *Client) signingSecret(ctx context.Context, ep Endpoint) (string, error) {
	secret, err := c.getSecret(ctx, ep)
	if isNotFound(err) {
		return "", nil
	}
	return secret, err
}

// maxPayloadPages is how many pages of messages are asked for the payloads of one
// page of attempts before the rest is asked for one by one.
const maxPayloadPages = 3

// fillPayloads sets the payloads of attempts, which the server lists without
// them. channel is one that most of the messages were sent on, nil for any.
func (c *Client) fillPayloads(ctx context.Context, eventType string, channel *string, attempts []attemptBody) error {
	missing := make([]string, len(attempts))
	for i, attempt := range attempts {
		missing[i] = attempt.MessageID
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	slices.Reverse(missing) // newest first, like the pages

	payloads, alone, err := c.listPayloads(ctx, eventType, channel, missing)
	if err != nil {
		return err
	}
	if err := c.getPayloads(ctx, eventType, alone, payloads); err != nil {
		return err
	}
	for i := range attempts {
		attempts[i].payload = payloads[attempts[i].MessageID]
	}
	return nil
}

// listPayloads looks for the payloads of messages, given newest first, in pages
// that each begin at the newest one that is still missing. It returns those it
// found and the messages that it did not find.
func (c *Client) listPayloads(ctx context.Context, eventType string, channel *string, missing []string) (found map[string]json.RawMessage, alone []string, err error) {
	found = make(map[string]json.RawMessage, len(missing))
	for range maxPayloadPages {
		if len(missing) < 2 {
			break
		}
		before, ok := following(missing[0])
		if !ok {
			break
		}
		page, err := c.messagePage(ctx, eventType, svix.MessageListOptions{Iterator: &before, Channel: channel}, min(pageSize, 2*uint64(len(missing))))
		if err != nil {
			return nil, nil, err
		}
		last := ""
		for _, m := range page.Data {
			found[m.ID] = m.Payload
			last = m.ID
		}
		passed := len(missing)
		if last != "" && !page.Done {
			passed, _ = slices.BinarySearchFunc(missing, last, func(id, last string) int { return strings.Compare(last, id) })
		}
		for _, id := range missing[:passed] {
			if _, ok := found[id]; !ok {
				alone = append(alone, id)
			}
		}
		missing = slices.DeleteFunc(missing[passed:], func(id string) bool { return id == last })
	}
	return found, append(alone, missing...), nil
}

// following returns the message id right after another one. What the server
// lists from there on begins with that other.
func following(id string) (string, bool) {
	parsed, err := ksuid.Parse(strings.TrimPrefix(id, messageIDPrefix))
	return messageIDPrefix + parsed.Next().String(), err == nil
}

// getPayloads gets the payloads of messages one by one.
func (c *Client) getPayloads(ctx context.Context, eventType string, ids []string, into map[string]json.RawMessage) error {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(requestsAhead)
	for _, id := range ids {
		if !svixMessageID.MatchString(id) {
			continue // nothing for a request path
		}
		group.Go(func() error {
			m, err := c.getMessage(ctx, identity.Application(eventType), id, true)
			if isNotFound(err) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			into[id] = m.Payload
			return err
		})
	}
	return group.Wait()
}

// An attemptBody is an attempt as the server gives it ("MessageAttemptOut").
type attemptBody struct {
	ID         string  `json:"id"`
	MessageID  string  `json:"msgId"`
	EndpointID string  `json:"endpointId"`
	URL        string  `json:"url"`
	Response   string  `json:"response"`
	StatusCode int     `json:"responseStatusCode"`
	DurationMs int64   `json:"responseDurationMs"`
	Timestamp  instant `json:"timestamp"`

	payload json.RawMessage
}

func (b attemptBody) id() string    { return b.ID }
func (b attemptBody) at() time.Time { return b.Timestamp.Time }

func (b attemptBody) sentEvent(ep Endpoint, secret string) SentEvent {
	payload := canonicalPayload(b.payload)
	return SentEvent{
		EventType:          ep.EventType,
		EndpointURL:        b.URL,
		Channel:            ep.Channel,
		Headers:            b.headers(ep.EventType, payload, secret),
		MessageID:          b.MessageID,
		Payload:            payload,
		Timestamp:          b.at(),
		Response:           b.Response,
		ResponseStatusCode: b.StatusCode,
		AttemptID:          b.ID,
		EndpointID:         b.EndpointID,
		Duration:           time.Duration(b.DurationMs) * time.Millisecond,
	}
}

// expired is what the server gives in place of a payload that it has deleted.
const expired = `{"expired":true}`

// headers reconstructs the headers of an attempt (svix-contract 13.2).
func (b attemptBody) headers(eventType string, payload []byte, secret string) http.Header {
	headers := http.Header{}
	headers.Set("Content-Type", "application/json")
	headers.Set("Webhook-Id", b.MessageID)
	headers.Set(eventHeader, eventType)
	hasTime, hasPayload := !b.at().IsZero(), payload != nil && string(payload) != expired
	if hasTime {
		headers.Set("Webhook-Timestamp", strconv.FormatInt(b.at().Unix(), 10))
	}
	if hasPayload {
		headers.Set("Content-Length", strconv.Itoa(len(payload)))
	}
	if signature, err := SignPayload(secret, b.MessageID, b.at(), payload); err == nil && hasTime && hasPayload {
		headers.Set("Webhook-Signature", signature)
	}
	return headers
}

// canonicalPayload returns the text of a payload that this library would send.
// One beyond its limits is of another program and stays as it is.
func canonicalPayload(payload json.RawMessage) json.RawMessage {
	if payload == nil {
		return nil
	}
	tree, err := canonical.Parse(payload)
	if err != nil {
		return payload
	}
	return canonical.Append(nil, tree)
}

// A messageBody is a message as the server gives it ("MessageOut").
type messageBody struct {
	ID        string          `json:"id"`
	Payload   json.RawMessage `json:"payload"`
	Timestamp instant         `json:"timestamp"`
}

func (b messageBody) complete() bool { return b.ID != "" }
func (b messageBody) id() string     { return b.ID }
func (b messageBody) at() time.Time  { return b.Timestamp.Time }

func (b messageBody) message() Message { return Message{ID: b.ID, Timestamp: b.at()} }

// An instant is a point in time in UTC, zero where its text cannot be read.
type instant struct{ time.Time }

// UnmarshalJSON never fails, so that one odd time does not cost a page.
func (i *instant) UnmarshalJSON(text []byte) error {
	*i = parseInstant(string(bytes.Trim(text, `"`)))
	return nil
}

func parseInstant(text string) instant {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return instant{t.UTC()}
		}
	}
	return instant{}
}
