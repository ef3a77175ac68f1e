package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"regexp"
	"slices"
	"time"

	svix "github.com/svix/svix-webhooks/go"

	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/confirm"
	"github.com/softwareheritage/webhooks/internal/endpoint"
	"github.com/softwareheritage/webhooks/internal/foreign"
	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/timeline"
)

// A SentMessage is an event as the server keeps it, whether or not it was delivered to anybody.
type SentMessage struct {
	// ID is the server's, "msg_...".
	ID string
	// EventID is the [Event.ID] that it was sent with, or the one that was drawn for it. It is
	// empty if another program sent it without one.
	EventID string
	// EventType is the name of the event type.
	EventType string
	// Channel is what the event was sent on, empty for none. The server knows a channel only by an
	// id that is derived from its name. The name is here if the query had it or a text in the
	// payload is it, such as the URL of an origin; otherwise that id is.
	Channel string
	// Payload is the body for the endpoints, as canonical JSON (see [Event]), or {"expired":true}
	// when the server no longer has it.
	Payload json.RawMessage
	// Timestamp is when the server created the message, in UTC.
	Timestamp time.Time
}

// A MessageQuery selects messages. The zero value selects all that the server gives.
type MessageQuery struct {
	// Channel selects the events sent on this channel; empty selects all.
	Channel string
	// Before and After select by [SentMessage.Timestamp], both exclusive and exact. The zero time
	// means no bound; of two bounds, After is the earlier one.
	Before time.Time
	After  time.Time
	// Limit is the most to list; 0 means no limit.
	Limit int
}

func (q MessageQuery) validate() error {
	return checkQuery(q.Channel, q.timeRange(), q.Limit)
}

func (q MessageQuery) timeRange() timeline.Range { return timeline.NewRange(q.Before, q.After) }

// messageID is what an id of a message can be: the server's own, or that of an event.
var messageID = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,256}$`)

// validMessageID tells whether a request path can name the message.
func validMessageID(id string) bool { return messageID.MatchString(id) && id != "." && id != ".." }

// GetMessage returns a message of an event type; id is the server's ([Message.ID]) or the event's
// ([Event.ID]). It works for an archived event type, too, and makes one request.
//
// It returns
//   - [ErrEventTypeNotFound] if there is no such event type,
//   - [ErrMessageNotFound] if it has no such message, without a request if the id cannot be one,
//   - an [*APIError] for any other answer.
func (c *Client) GetMessage(ctx context.Context, eventType, id string) (SentMessage, error) {
	body, err := c.findMessage(ctx, eventType, id)
	if err != nil {
		return SentMessage{}, err
	}
	return body.sentMessage(eventType, ""), nil
}

func (c *Client) findMessage(ctx context.Context, eventType, id string) (messageBody, error) {
	if !validEventTypeName(eventType) {
		return messageBody{}, eventTypeNotFound(eventType, nil)
	}
	if !validMessageID(id) {
		return messageBody{}, notAMessageID(id)
	}
	body, err := c.getMessage(ctx, identity.Application(eventType), id, true)
	return body, c.missingMessage(ctx, eventType, id, err)
}

func notAMessageID(id string) error {
	return fmt.Errorf("webhooks: %w: %s is not an id of a message", ErrMessageNotFound, foreign.Quote(id))
}

// missingMessage turns a not-found answer to an operation on a message into the error that says
// what is missing.
func (c *Client) missingMessage(ctx context.Context, eventType, id string, err error) error {
	if !isNotFound(err) {
		return err
	}
	if _, errType := c.GetEventType(ctx, eventType); errors.Is(errType, ErrEventTypeNotFound) {
		return errType
	}
	return fmt.Errorf("webhooks: %w: %s of event type %s (%w)", ErrMessageNotFound,
		foreign.Quote(id), eventType, err)
}

// ListMessages returns the messages of an event type that q selects, newest first, whether or not
// they were delivered.
//
// With After the list goes back to there, whatever the gaps in it. Without, the server decides how
// far: at least 90 days from Before or from now, and further if those days have more messages than
// it gives at once.
//
// The sequence makes a request when it needs a page and may be ranged more than once. An error is
// its last pair:
//   - [ErrInvalidQuery] for a query that contradicts itself, without a request,
//   - [ErrEventTypeNotFound] or [ErrEventTypeArchived],
//   - an [*APIError] for any other answer.
func (c *Client) ListMessages(ctx context.Context, eventType string, q MessageQuery) iter.Seq2[SentMessage, error] {
	if err := q.validate(); err != nil {
		return errorSeq[SentMessage](err)
	}
	if !validEventTypeName(eventType) {
		return errorSeq[SentMessage](eventTypeNotFound(eventType, nil))
	}
	return limited(q.Limit, func(yield func(SentMessage, error) bool) {
		if _, err := c.registered(ctx, eventType); err != nil {
			yield(SentMessage{}, err)
			return
		}
		for body, err := range c.messages(ctx, eventType, q.Channel, q.timeRange(), q.Limit, &pageSizer{}) {
			if err != nil {
				yield(SentMessage{}, err)
				return
			}
			if !yield(body.sentMessage(eventType, q.Channel), nil) {
				return
			}
		}
	})
}

// messages lists the messages of an event type in a range; wanted is how many may be needed, 0 for
// all of them.
func (c *Client) messages(
	ctx context.Context, eventType, channel string, within timeline.Range, wanted int, sizer *pageSizer,
) iter.Seq2[messageBody, error] {
	list := func(ctx context.Context, asked timeline.Request) (timeline.Page[messageBody], error) {
		o := svix.MessageListOptions{
			Iterator: asked.Iterator, Before: asked.Before, After: asked.After, Channel: svixChannel(channel),
		}
		page, err := c.messagePage(ctx, eventType, o, asked.Limit, sizer)
		if isNotFound(err) {
			return timeline.Page[messageBody]{Done: true}, nil // without an application there is no message
		}
		return timeline.Page[messageBody](page), err
	}
	return timeline.All(ctx, within, func(bounds timeline.Bounds) *timeline.Pager[messageBody] {
		return &timeline.Pager[messageBody]{
			Bounds: bounds, Range: within, First: firstPage(wanted), Most: pageSize, List: list,
		}
	})
}

func (c *Client) messagePage(
	ctx context.Context, eventType string, o svix.MessageListOptions, limit uint64, sizer *pageSizer,
) (Page[messageBody], error) {
	r := pageRequest{op: "message list", iterator: o.Iterator, limit: limit, sizer: sizer}
	return listPage[messageBody](ctx, c, r, func(ctx context.Context, limit *uint64) error {
		o.Limit = limit
		_, err := c.svix.Message.List(ctx, identity.Application(eventType), &o)
		return err
	})
}

// ListSentEventsForMessage returns the attempts to deliver a message, newest first, to all of its
// endpoints, those deleted since included; id is the server's or the event's, as in
// [Client.GetMessage]. The list of a message that no endpoint listened to is empty.
//
// The sequence makes a request when it needs a page and may be ranged more than once. An error is
// its last pair:
//   - [ErrEventTypeNotFound] or [ErrEventTypeArchived],
//   - [ErrMessageNotFound] if the event type has no such message,
//   - an [*APIError] for any other answer.
func (c *Client) ListSentEventsForMessage(ctx context.Context, eventType, id string) iter.Seq2[SentEvent, error] {
	if !validEventTypeName(eventType) {
		return errorSeq[SentEvent](eventTypeNotFound(eventType, nil))
	}
	return func(yield func(SentEvent, error) bool) {
		if _, err := c.registered(ctx, eventType); err != nil {
			yield(SentEvent{}, err)
			return
		}
		message, err := c.findMessage(ctx, eventType, id)
		if err != nil {
			yield(SentEvent{}, err)
			return
		}
		r := c.newReading(eventType, SentEventQuery{})
		r.give(ctx, chunks(r.attemptsOfMessage(ctx, message), attemptsAtOnce), yield)
	}
}

// ResendMessage delivers a message to an endpoint once more; messageID is the server's id or the
// event's, as in [Client.GetMessage]. It returns when the server has accepted that; the attempt
// appears in the listings when it is over, as [SentEvent.Manual].
//
// The server makes one attempt and does not repeat it if it fails. With it, the retries of the
// message that are still planned for the endpoint are cancelled, whatever comes of it. The event
// type and the channel that the endpoint restricts itself to play no part. The receiver gets the
// message under the same id; a [NewHandler] that has received it before answers it without
// passing it on. Repeated because its answer was lost, the request may cause two attempts.
//
// It returns
//   - [ErrInvalidEndpoint] if the endpoint is disabled, since the server would not deliver and not
//     say so, or if it cannot be addressed or is not the one described (see [Endpoint]),
//   - [ErrEventTypeNotFound] or [ErrEndpointNotFound],
//   - [ErrMessageNotFound] if the event type has no such message,
//   - [ErrPayloadExpired] if the server no longer has its payload,
//   - an [*APIError] for any other answer.
func (c *Client) ResendMessage(ctx context.Context, ep Endpoint, messageID string) error {
	if err := ep.checkAddress(); err != nil {
		return err
	}
	if !validMessageID(messageID) {
		return notAMessageID(messageID)
	}
	stored, err := c.findStored(ctx, ep)
	switch {
	case err != nil:
		return c.missing(ctx, ep, err)
	case stored.Disabled:
		return fmt.Errorf("webhooks: %w: the endpoint %s is disabled and receives nothing",
			ErrInvalidEndpoint, ep.description())
	}
	err = c.resend(ctx, identity.Application(ep.EventType), messageID, stored.ID)
	if !isNotFound(err) {
		return err
	}
	if _, errMessage := c.findMessage(ctx, ep.EventType, messageID); errMessage != nil {
		return errMessage
	}
	return endpointNotFound(ep, err)
}

// findStored returns the endpoint as the server has it now.
func (c *Client) findStored(ctx context.Context, ep Endpoint) (endpoint.Stored, error) {
	if ep.ID == "" {
		stored, err := c.endpointServer(ep.EventType).Find(ctx, ep.description())
		return stored, notThatOne(err)
	}
	body, err := c.getEndpoint(ctx, ep.EventType, ep.ID)
	return body.Stored, err
}

// resend asks the server for a manual attempt.
func (c *Client) resend(ctx context.Context, app, messageID, endpointID string) error {
	_, err := query[acceptedBody](ctx, c, "message resend", func(ctx context.Context) error {
		_, err := c.svix.MessageAttempt.Resend(ctx, app, messageID, endpointID, nil)
		return err
	})
	if api, ok := errors.AsType[*APIError](err); ok && api.Code == codeMissingPayload {
		return fmt.Errorf("webhooks: %w: message %s (%w)", ErrPayloadExpired, foreign.Quote(messageID), err)
	}
	return err
}

// An acceptedBody is an answer that says no more than that the server has accepted the request.
type acceptedBody map[string]json.RawMessage

func (o acceptedBody) complete() bool { return o != nil }

// A messageBody is a message as the server gives it ("MessageOut").
type messageBody struct {
	ID        string          `json:"id"`
	EventID   string          `json:"eventId"`
	EventType string          `json:"eventType"`
	Channels  []string        `json:"channels"`
	Payload   json.RawMessage `json:"payload"`
	Timestamp instant         `json:"timestamp"`
}

func (b messageBody) complete() bool { return b.ID != "" }
func (b messageBody) Key() string    { return b.ID }
func (b messageBody) At() time.Time  { return b.Timestamp.Time }

func (b messageBody) message() Message { return Message{ID: b.ID, Timestamp: b.At()} }

// sentMessage describes a message that was asked for under an event type and, unless that is empty,
// a channel.
func (b messageBody) sentMessage(eventType, channel string) SentMessage {
	if b.EventType != "" {
		eventType = b.EventType // another program may have sent it to this application
	}
	payload, members := readPayload(b.Payload)
	if channel == "" && len(b.Channels) > 0 {
		channel = channelName(slices.Min(b.Channels), members) // the server has them in any order
	}
	return SentMessage{
		ID: b.ID, EventID: b.EventID, EventType: eventType, Channel: channel,
		Payload: payload, Timestamp: b.At(),
	}
}

// channelName is the text among the members of a payload that the id of a channel is derived from,
// otherwise the id.
func channelName(id string, members map[string]any) string {
	for _, member := range members {
		if name, ok := member.(string); ok && identity.Channel(name) == id {
			return name
		}
	}
	return id
}

// readPayload returns the text of a payload that this library would send, and its members. One
// beyond the limits is of another program and stays as it is.
func readPayload(payload json.RawMessage) (json.RawMessage, map[string]any) {
	if payload == nil {
		return nil, nil
	}
	tree, err := canonical.Parse(payload)
	if err != nil {
		return payload, nil
	}
	members, _ := tree.(map[string]any)
	return canonical.Append(nil, tree), members
}

// repeated returns the message of an event whose ID the server has already, as a conflict tells,
// once it is known to be delivered or is resent.
func (c *Client) repeated(ctx context.Context, app string, ev Event, body []byte, conflict error) (Message, error) {
	sent, err := c.getMessage(ctx, app, ev.ID, true)
	switch {
	case isNotFound(err):
		return Message{}, conflict
	case err != nil:
		return Message{}, err
	}
	if string(sent.Payload) != expired || string(body) == expired { // else there is nothing to deliver
		err = confirm.Delivered(ctx, &storedMessage{c, app, ev.Type, sent}, sent.At())
	}
	return Message{ID: sent.ID, Timestamp: sent.At(), Repeated: true}, err
}

// A storedMessage answers what package confirm wants to know of a message.
type storedMessage struct {
	client    *Client
	app       string
	eventType string
	messageBody
}

// Queued asks for the oldest attempts, since resent ones come later.
func (m *storedMessage) Queued(ctx context.Context) (queued bool, now time.Time, err error) {
	limit, withContent := uint64(pageSize), false
	options := svix.MessageAttemptListByMsgOptions{Limit: &limit, WithContent: &withContent}
	if at := m.At(); !at.IsZero() {
		options.After = &at
	}
	const op = "attempt list"
	answer, err := m.client.do(ctx, op, func(ctx context.Context) error {
		_, err := m.client.svix.MessageAttempt.ListByMsg(ctx, m.app, m.ID, &options)
		return err
	})
	if err != nil {
		return false, time.Time{}, err
	}
	page, err := readBody[pageBody[attemptBody]](op, answer)
	if err != nil {
		return false, time.Time{}, err
	}
	now, _ = http.ParseTime(answer.Header.Get("Date")) // zero if there is none
	return slices.ContainsFunc(page.Data.items, attemptBody.proves), now, nil
}

// maxCachedReceivers bounds the receivers that are remembered of all event types.
const maxCachedReceivers = 1 << 20

// Receivers are the enabled endpoints that are older than the message and would receive it. All
// messages of an event type share a listing that is younger than them.
func (m *storedMessage) Receivers(ctx context.Context, age time.Duration) ([]string, error) {
	all, err := m.client.receivers.Load(ctx, m.eventType,
		func(_ []confirm.Receiver, asked time.Duration) bool { return asked <= age },
		func(ctx context.Context) ([]confirm.Receiver, error) {
			span := Span{Kind: SpanLookup, EventType: m.eventType}
			return traced(ctx, m.client.tracer, span, func(ctx context.Context) ([]confirm.Receiver, error) {
				return m.client.listReceivers(ctx, m.eventType)
			})
		})
	var ids []string
	for _, r := range all {
		if r.ShouldHave(m.Channels, m.At()) {
			ids = append(ids, r.ID)
		}
	}
	return ids, err
}

func (c *Client) listReceivers(ctx context.Context, eventType string) ([]confirm.Receiver, error) {
	all := Paginate(ctx, func(ctx context.Context, iterator *string) (Page[endpointBody], error) {
		return c.listenerPage(ctx, eventType, pageSize, iterator)
	})
	var found []confirm.Receiver
	for body, err := range all {
		if err != nil {
			return nil, err
		}
		if !body.Disabled && body.ReceivesType(eventType) && svixEndpointID.MatchString(body.ID) {
			found = append(found, confirm.Receiver{ID: body.ID, Channels: body.Channels, Created: body.CreatedAt.Time})
		}
	}
	return found, nil
}

// Resend lets the server deliver the message to an endpoint, unless the payload or the endpoint is
// gone.
func (m *storedMessage) Resend(ctx context.Context, id string) error {
	err := m.client.resend(ctx, m.app, m.ID, id)
	if errors.Is(err, ErrPayloadExpired) {
		return nil
	}
	if isNotFound(err) {
		if _, errEndpoint := m.client.getEndpoint(ctx, m.eventType, id); isNotFound(errEndpoint) {
			return nil
		}
	}
	return err
}

// Waiting tells the tracer of a pause.
func (m *storedMessage) Waiting(ctx context.Context) (end func()) {
	_, over := start(ctx, m.client.tracer, Span{Kind: SpanWait, EventType: m.eventType})
	return func() { over(End{}) }
}
