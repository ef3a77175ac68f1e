package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"time"

	"github.com/svix/svix-webhooks/go/models"

	"github.com/softwareheritage/webhooks/internal/endpoint"
	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/timeline"
)

// A SentEvent is one attempt to deliver a message to an endpoint. A message has several if the
// first ones failed, or if it was sent again.
type SentEvent struct {
	// EventType is the name of the event type.
	EventType string
	// EndpointURL is the URL to which the attempt was made.
	EndpointURL string
	// Channel is that of the endpoint, empty for an endpoint on no channel or one that was deleted
	// since.
	Channel string
	// Headers are Content-Length, Content-Type, Webhook-Id, Webhook-Timestamp, Webhook-Signature
	// and X-Swh-Event. The server keeps no headers: they are reconstructed. They are exact for
	// every event that this library sent while the endpoint's secret is the one of the attempt and
	// was not rotated in the 24 hours before. Content-Length and Webhook-Signature are left out if
	// the payload is gone, the latter also if the endpoint is or its secret is not a symmetric one.
	// A server that is not set to white-label headers really sent them as Svix-Id, Svix-Timestamp
	// and Svix-Signature.
	Headers http.Header
	// MessageID is the id of the message.
	MessageID string
	// Payload is the body that the endpoint received, as canonical JSON (see [Event]), or
	// {"expired":true} when the server no longer has it.
	Payload json.RawMessage
	// Timestamp is when the attempt began, in UTC.
	Timestamp time.Time
	// Response is the body of the endpoint's answer; the server keeps 20,000 bytes of it, and in
	// base64 if they are not UTF-8. If there was no answer it is the server's explanation.
	Response string
	// ResponseStatusCode is the HTTP status of that answer; 0 if there was none.
	ResponseStatusCode int
	// AttemptID and EndpointID are the server's own ids.
	AttemptID  string
	EndpointID string
	// Duration is how long the attempt took, to the millisecond.
	Duration time.Duration
	// Status is whether the endpoint took the message. After a failure the server may try again. It
	// is zero if the server says something else, which none does today.
	Status DeliveryStatus
	// Manual is true for an attempt that somebody asked for ([Client.ResendMessage]).
	Manual bool
}

// A DeliveryStatus is what came of an attempt. In a query the zero value selects all attempts.
type DeliveryStatus int

const (
	// DeliverySucceeded means that the endpoint answered with a 2xx status.
	DeliverySucceeded DeliveryStatus = iota + 1
	// DeliveryFailed means that it answered otherwise, or not at all.
	DeliveryFailed
)

// String returns "succeeded", "failed" or, for any other value, "unknown".
func (s DeliveryStatus) String() string {
	switch s {
	case DeliverySucceeded:
		return "succeeded"
	case DeliveryFailed:
		return "failed"
	default:
		return "unknown"
	}
}

// A SentEventQuery selects sent events. The zero value selects all that the server gives.
type SentEventQuery struct {
	// Channel selects the events sent on this channel; empty selects all.
	Channel string
	// Before and After select by [SentEvent.Timestamp], both exclusive and exact. The zero time
	// means no bound; of two bounds, After is the earlier one.
	Before time.Time
	After  time.Time
	// Status selects the attempts with this outcome; zero selects all.
	Status DeliveryStatus
	// IncludeDeleted makes [Client.ListSentEventsForEventType] list the attempts of endpoints that
	// were deleted since, also with After. Without After it lists them anyway.
	IncludeDeleted bool
	// Limit is the most to list; 0 means no limit.
	Limit int
}

func (q SentEventQuery) validate() error {
	if q.Status < 0 || q.Status > DeliveryFailed {
		return fmt.Errorf("webhooks: %w: unknown status %d", ErrInvalidQuery, q.Status)
	}
	return checkQuery(q.Channel, q.timeRange(), q.Limit)
}

// checkQuery checks what queries by time have in common.
func checkQuery(channel string, within timeline.Range, limit int) error {
	if limit < 0 {
		return fmt.Errorf("webhooks: %w: negative limit %d", ErrInvalidQuery, limit)
	}
	if err := errors.Join(endpoint.CheckChannel(channel), within.Check()); err != nil {
		return fmt.Errorf("webhooks: %w: %w", ErrInvalidQuery, err)
	}
	return nil
}

func (q SentEventQuery) timeRange() timeline.Range { return timeline.NewRange(q.Before, q.After) }

func (q SentEventQuery) svixStatus() *models.MessageStatus {
	var status models.MessageStatus
	switch q.Status {
	case DeliverySucceeded:
		status = models.MESSAGESTATUS_SUCCESS
	case DeliveryFailed:
		status = models.MESSAGESTATUS_FAIL
	default:
		return nil
	}
	return &status
}

// svixChannel is a channel as the server knows it, nil for any.
func svixChannel(name string) *string {
	if name == "" {
		return nil
	}
	uid := identity.Channel(name)
	return &uid
}

// ListSentEventsForEndpoint returns the attempts to deliver to an endpoint that q selects, newest
// first.
//
// With After the list goes back to there, whatever the gaps in it; that takes a request for each 90
// days of the range. Without, the server decides how far: at least 90 days from Before or from now,
// and further if those days have more attempts than it gives at once.
//
// The sequence makes a request when it needs a page and may be ranged more than once. An error is
// its last pair:
//   - [ErrInvalidQuery] for a query that contradicts itself, without a request,
//   - [ErrInvalidEndpoint] for an endpoint that cannot be addressed or is not the one described
//     (see [Endpoint]),
//   - [ErrEventTypeNotFound], [ErrEventTypeArchived] or [ErrEndpointNotFound],
//   - an [*APIError] for any other answer.
func (c *Client) ListSentEventsForEndpoint(
	ctx context.Context, ep Endpoint, q SentEventQuery,
) iter.Seq2[SentEvent, error] {
	if err := q.validate(); err != nil {
		return errorSeq[SentEvent](err)
	}
	if err := ep.checkAddress(); err != nil {
		return errorSeq[SentEvent](err)
	}
	return limited(q.Limit, func(yield func(SentEvent, error) bool) {
		if _, err := c.registered(ctx, ep.EventType); err != nil {
			yield(SentEvent{}, err)
			return
		}
		ep, err := c.find(ctx, ep)
		if err != nil {
			yield(SentEvent{}, c.missing(ctx, ep, err))
			return
		}
		r := c.newReading(ep.EventType, q)
		r.give(ctx, r.byEndpoint(ctx, []source{r.source(ctx, ep)}), yield)
	})
}

// ListSentEventsForEventType returns the attempts to deliver messages of an event type that q
// selects, to all of its endpoints.
//
// With After, and without IncludeDeleted, it lists the attempts to deliver to the endpoints that
// there are, newest first. It asks each endpoint: the number of requests depends on the endpoints
// and on what is in the range, not on what the server holds before it.
//
// Otherwise it goes from message to message, newest first, and lists the attempts of each, newest
// first, to endpoints that were deleted since, too. That takes a request for each message. With
// After and IncludeDeleted, the messages of the 48 hours before After are looked at, too, for late
// attempts; a manual resend of a still older message is not found then.
//
// How far back the list goes is said at [Client.ListSentEventsForEndpoint].
//
// The sequence makes requests when it needs them, several at once, and may be ranged more than
// once. An error is its last pair:
//   - [ErrInvalidQuery] for a query that contradicts itself, without a request,
//   - [ErrEventTypeNotFound] or [ErrEventTypeArchived],
//   - an [*APIError] for any other answer.
func (c *Client) ListSentEventsForEventType(
	ctx context.Context, eventType string, q SentEventQuery,
) iter.Seq2[SentEvent, error] {
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
		r := c.newReading(eventType, q)
		if q.After.IsZero() || q.IncludeDeleted {
			r.give(ctx, r.byMessage(ctx), yield)
			return
		}
		sources, err := r.sources(ctx, pageRequest{})
		if err != nil {
			yield(SentEvent{}, err)
			return
		}
		r.give(ctx, r.byEndpoint(ctx, sources), yield)
	})
}

// give completes attempts and yields them.
func (r *reading) give(
	ctx context.Context, chunks iter.Seq2[[]attemptBody, error], yield func(SentEvent, error) bool,
) {
	for attempts, err := range chunks {
		if err == nil {
			err = r.meet(ctx, attempts)
		}
		if err != nil {
			yield(SentEvent{}, err)
			return
		}
		for _, attempt := range attempts {
			if event, err := attempt.sentEvent(); !yield(event, err) || err != nil {
				return
			}
		}
	}
}

const (
	// followEvery is the time between two polls.
	followEvery = 2 * time.Second

	// followBack is how far a poll looks back from the one before: an attempt appears when it is
	// over, which takes up to 30 seconds from its own time.
	followBack = time.Minute

	// followRefresh is for how long the list of endpoints and their secrets is used.
	followRefresh = 30 * time.Second
)

// FollowSentEvents returns the attempts to deliver messages of an event type that q selects, as
// they become visible: an attempt appears when it is over, which may take 30 seconds. It begins
// with those after After or, without, with those that appear after its first look at the server.
// It does not end by itself unless there is a limit.
//
// It asks each endpoint every two seconds, 32 at once, and looks a minute back each time; no
// attempt is given twice. What appeared between two looks is in the order of the attempts' times.
// An endpoint that is created meanwhile is found within half a minute, and then all attempts to
// it. What was delivered to one that is deleted before it was asked is not seen.
//
// An error of the network, and the answers 408, 425, 429 and 5xx, are logged as a warning and asked
// again, without an end; see [WithRetry] for what a request does by itself. Any other error is the
// last pair:
//   - [ErrInvalidQuery] for a query that contradicts itself or has Before or IncludeDeleted,
//     without a request,
//   - [ErrEventTypeNotFound] or [ErrEventTypeArchived],
//   - the error of ctx when that ends,
//   - an [*APIError] for any other answer.
func (c *Client) FollowSentEvents(
	ctx context.Context, eventType string, q SentEventQuery,
) iter.Seq2[SentEvent, error] {
	if err := q.validate(); err != nil {
		return errorSeq[SentEvent](err)
	}
	if !q.Before.IsZero() || q.IncludeDeleted {
		err := fmt.Errorf("webhooks: %w: one cannot follow with Before or IncludeDeleted", ErrInvalidQuery)
		return errorSeq[SentEvent](err)
	}
	if !validEventTypeName(eventType) {
		return errorSeq[SentEvent](eventTypeNotFound(eventType, nil))
	}
	return limited(q.Limit, func(yield func(SentEvent, error) bool) {
		f := follower{reading: c.newReading(eventType, q), since: q.After.UTC()}
		f.seen = map[string]time.Time{}
		for {
			for event, err := range f.poll(ctx) {
				if isPassing(err) && ctx.Err() == nil {
					c.logger.WarnContext(ctx, "following sent events: trying again", "event_type",
						eventType, "error", err)
					f.asked = time.Time{} // a look-up of an endpoint may be what failed
					break
				}
				if !yield(event, err) || err != nil {
					return
				}
				f.pass(event.AttemptID, event.Timestamp)
			}
			if err := pause(ctx, followEvery); err != nil {
				yield(SentEvent{}, err)
				return
			}
		}
	})
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("webhooks: %w", ctx.Err())
	}
}

// A follower polls the endpoints of an event type.
type follower struct {
	*reading

	endpoints []source
	asked     time.Time     // when they were listed
	ahead     time.Duration // by how much the server's clock is ahead of this one

	begun time.Time            // when the last poll began; the server's time, like the next
	since time.Time            // what began earlier was passed
	seen  map[string]time.Time // the attempts passed that began later
	swept time.Time            // seen was freed of what began before
}

// poll returns the attempts that have appeared since the last poll.
func (f *follower) poll(ctx context.Context) iter.Seq2[SentEvent, error] {
	return func(yield func(SentEvent, error) bool) {
		if err := f.learn(ctx); err != nil {
			yield(SentEvent{}, err)
			return
		}
		f.begun = time.Now().Add(f.ahead)
		if f.since.IsZero() {
			f.since = f.begun.Add(-followBack)
			if err := f.skip(ctx); err != nil {
				f.since = time.Time{}
				yield(SentEvent{}, err)
			}
			return
		}
		complete := true
		f.give(ctx, f.appeared(ctx), func(event SentEvent, err error) bool {
			complete = yield(event, err) && err == nil
			return complete
		})
		if complete {
			f.since = later(f.since, f.begun.Add(-followBack))
		}
	}
}

// learn lists the endpoints, and looks at the server's clock, from time to time.
func (f *follower) learn(ctx context.Context) error {
	if time.Since(f.asked) < followRefresh {
		return nil
	}
	if _, err := f.client.registered(ctx, f.eventType); err != nil {
		return err
	}
	endpoints, err := f.sources(ctx, pageRequest{ahead: &f.ahead})
	if err == nil {
		f.endpoints, f.asked = endpoints, time.Now()
	}
	return err
}

// skip passes what has appeared so far.
func (f *follower) skip(ctx context.Context) error {
	for attempt, err := range f.unseen(ctx) {
		if err != nil {
			return err
		}
		f.pass(attempt.ID, attempt.At())
	}
	return nil
}

// appeared returns the attempts that were not passed, with their payloads.
func (f *follower) appeared(ctx context.Context) iter.Seq2[[]attemptBody, error] {
	return func(yield func([]attemptBody, error) bool) {
		for attempts, err := range chunks(f.unseen(ctx), attemptsAtOnce) {
			if err == nil {
				err = f.fillPayloads(ctx, f.endpoints, attempts)
			}
			if !yield(attempts, err) || err != nil {
				return
			}
		}
	}
}

func (f *follower) unseen(ctx context.Context) iter.Seq2[attemptBody, error] {
	return func(yield func(attemptBody, error) bool) {
		for w := range (timeline.Range{After: f.since}).WindowsUpwards() {
			for attempt, err := range merged(ctx, f.readers(f.endpoints, w, true), true) {
				if _, ok := f.seen[attempt.ID]; ok {
					continue
				}
				if !yield(attempt, err) || err != nil {
					return
				}
			}
		}
	}
}

// pass takes note of an attempt that was given. Attempts come in the order of their times, so that
// those of a minute before can be forgotten but for the late ones, which the next poll looks for.
func (f *follower) pass(id string, at time.Time) {
	f.seen[id] = at
	if at.Before(f.begun) {
		f.since = later(f.since, at.Add(-followBack))
	}
	if f.since.Sub(f.swept) > followBack {
		forgotten := f.since.Add(-2 * time.Second) // bounds are in whole seconds
		maps.DeleteFunc(f.seen, func(_ string, at time.Time) bool { return at.Before(forgotten) })
		f.swept = f.since
	}
}
