package webhooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/ksuid"
	svix "github.com/svix/svix-webhooks/go"
	"golang.org/x/sync/errgroup"

	"github.com/softwareheritage/webhooks/internal/canonical"
	"github.com/softwareheritage/webhooks/internal/confirm"
	"github.com/softwareheritage/webhooks/internal/endpoint"
	"github.com/softwareheritage/webhooks/internal/identity"
)

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

// headers reconstructs the headers of an attempt.
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
	Channels  []string        `json:"channels"`
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

// An endpointBody is an endpoint as the server gives it ("EndpointOut").
type endpointBody struct {
	endpoint.Stored

	CreatedAt instant `json:"createdAt"`
	UpdatedAt instant `json:"updatedAt"`
}

func (b endpointBody) complete() bool { return b.ID != "" }

func (b endpointBody) endpoint(eventType string) Endpoint {
	if b.ID == "" {
		return Endpoint{}
	}
	return Endpoint{
		URL: b.URL, EventType: eventType, Channel: b.ChannelName(), Metadata: b.OwnMetadata(), Disabled: b.Disabled,
		ID: b.ID, CreatedAt: b.CreatedAt.Time, UpdatedAt: b.UpdatedAt.Time,
	}
}

// repeated returns the message of an event whose ID the server has already, as a conflict tells, once
// it is known to be delivered or is resent.
func (c *Client) repeated(ctx context.Context, app string, ev Event, body rawPayload, conflict error) (Message, error) {
	sent, err := c.getMessage(ctx, app, ev.ID, true)
	switch {
	case isNotFound(err):
		return Message{}, conflict
	case err != nil:
		return Message{}, err
	}
	if string(sent.Payload) != expired || string(body) == expired { // else there is nothing to deliver
		err = confirm.Delivered(ctx, &storedMessage{c, app, ev.Type, sent}, sent.at())
	}
	return Message{ID: sent.ID, Timestamp: sent.at(), Repeated: true}, err
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
	if at := m.at(); !at.IsZero() {
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
	page, err := readBody[pageBody[confirm.Attempt]](op, answer)
	if err != nil {
		return false, time.Time{}, err
	}
	now, _ = http.ParseTime(answer.Header.Get("Date")) // zero if there is none
	return slices.ContainsFunc(*page.Data, confirm.Attempt.Proves), now, nil
}

// maxCachedReceivers bounds the receivers that are remembered of all event types.
const maxCachedReceivers = 1 << 20

// Receivers are the enabled endpoints that are older than the message and would receive it. All
// messages of an event type share a listing that is younger than them.
func (m *storedMessage) Receivers(ctx context.Context, age time.Duration) ([]string, error) {
	all, err := m.client.receivers.Load(ctx, m.eventType,
		func(_ []confirm.Receiver, asked time.Duration) bool { return asked <= age },
		func(ctx context.Context) ([]confirm.Receiver, error) { return m.client.listReceivers(ctx, m.eventType) })
	var ids []string
	for _, r := range all {
		if r.ShouldHave(m.Channels, m.at()) {
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
	_, err := query[acceptedBody](ctx, m.client, "message resend", func(ctx context.Context) error {
		_, err := m.client.svix.MessageAttempt.Resend(ctx, m.app, m.ID, id, nil)
		return err
	})
	if api, ok := errors.AsType[*APIError](err); ok && api.Code == codeMissingPayload {
		return nil
	}
	if isNotFound(err) {
		if _, errEndpoint := m.client.getEndpoint(ctx, m.eventType, id); isNotFound(errEndpoint) {
			return nil
		}
	}
	return err
}

// An acceptedBody is an answer that says no more than that a request is accepted.
type acceptedBody map[string]json.RawMessage

func (b acceptedBody) complete() bool { return b != nil }
