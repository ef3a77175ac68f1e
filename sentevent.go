package webhooks

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"sync"
	"time"

	svix "github.com/svix/svix-webhooks/go"

	"github.com/softwareheritage/webhooks/internal/identity"
)

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
		return errorSeq[SentEvent](err)
	}
	if err := ep.checkAddress(); err != nil {
		return errorSeq[SentEvent](err)
	}
	return func(yield func(SentEvent, error) bool) {
		if _, err := c.registered(ctx, ep.EventType); err != nil {
			yield(SentEvent{}, err)
			return
		}
		ep, err := c.find(ctx, ep)
		if err != nil {
			yield(SentEvent{}, c.missing(ctx, ep, err))
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
		uid := ep.description().SvixChannel()
		channel = &uid
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
		return errorSeq[SentEvent](err)
	}
	if !validEventTypeName(eventType) {
		return errorSeq[SentEvent](eventTypeNotFound(eventType, nil))
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
		_, err := c.svix.MessageAttempt.ListByEndpoint(ctx, identity.Application(ep.EventType), ep.ID, &svix.MessageAttemptListByEndpointOptions{
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
