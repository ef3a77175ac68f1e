package webhooks

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/ksuid"
	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"
	"golang.org/x/sync/errgroup"

	"github.com/softwareheritage/webhooks/internal/confirm"
	"github.com/softwareheritage/webhooks/internal/endpoint"
	"github.com/softwareheritage/webhooks/internal/foreign"
	"github.com/softwareheritage/webhooks/internal/identity"
)

// maxPayloadPages is how many pages of messages are asked for the payloads of one
// page of attempts before the rest is asked for one by one.
const maxPayloadPages = 3

// fillPayloads sets the payloads of attempts, which the server lists without
// them.
func (r *reading) fillPayloads(ctx context.Context, sources []source, attempts []attemptBody) error {
	channel := svixChannel(r.query.Channel)
	if channel == nil && len(sources) == 1 {
		channel = svixChannel(sources[0].Channel) // most messages will have been sent on it
	}
	missing := make([]string, len(attempts))
	for i, attempt := range attempts {
		missing[i] = attempt.MessageID
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	slices.Reverse(missing) // newest first, like the pages

	payloads, alone, err := r.listPayloads(ctx, channel, missing)
	if err != nil {
		return err
	}
	if err := r.getPayloads(ctx, alone, payloads); err != nil {
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
func (r *reading) listPayloads(
	ctx context.Context, channel *string, missing []string,
) (found map[string]json.RawMessage, alone []string, err error) {
	found = make(map[string]json.RawMessage, len(missing))
	for range maxPayloadPages {
		if len(missing) < 2 {
			break
		}
		before, ok := following(missing[0])
		if !ok {
			break
		}
		limit := min(pageSize, 2*uint64(len(missing)))
		options := svix.MessageListOptions{Iterator: &before, Channel: channel}
		page, err := r.client.messagePage(ctx, r.eventType, options, limit, &r.messageSizer)
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
			newestFirst := func(a, b string) int { return strings.Compare(b, a) }
			passed, _ = slices.BinarySearchFunc(missing, last, newestFirst)
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
func (r *reading) getPayloads(ctx context.Context, ids []string, into map[string]json.RawMessage) error {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(requestsAhead)
	for _, id := range ids {
		if !svixMessageID.MatchString(id) {
			continue // nothing for a request path
		}
		group.Go(func() error {
			m, err := r.client.getMessage(ctx, identity.Application(r.eventType), id, true)
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
	Status     *int    `json:"status"` // what is not there is not zero
	Trigger    *int    `json:"triggerType"`
	Timestamp  instant `json:"timestamp"`

	payload   json.RawMessage
	recipient func() (recipient, error)
}

// What the server means by the numbers of an attempt.
const (
	statusSuccess = 0
	statusFail    = 2
	triggerManual = 1
)

func (b attemptBody) complete() bool { return b.ID != "" }
func (b attemptBody) Key() string    { return b.ID }
func (b attemptBody) At() time.Time  { return b.Timestamp.Time }

// size is about what an attempt takes in memory.
func (b attemptBody) size() int64 {
	const fields = 400
	return int64(fields + len(b.Response) + len(b.URL))
}

func (b attemptBody) status() DeliveryStatus {
	switch {
	case b.Status == nil:
		return 0
	case *b.Status == statusSuccess:
		return DeliverySucceeded
	case *b.Status == statusFail:
		return DeliveryFailed
	}
	return 0
}

// proves reports whether the attempt proves that its message was queued.
func (b attemptBody) proves() bool {
	return confirm.Attempt{Status: b.Status, Trigger: b.Trigger}.Proves()
}

// sentEvent needs the recipient to have been met.
func (b attemptBody) sentEvent() (SentEvent, error) {
	to, err := b.recipient()
	if err != nil {
		return SentEvent{}, err
	}
	payload, _ := readPayload(b.payload)
	return SentEvent{
		EventType:          to.EventType,
		EndpointURL:        b.URL,
		Channel:            to.Channel,
		Headers:            b.headers(to.EventType, payload, to.secret),
		MessageID:          b.MessageID,
		Payload:            payload,
		Timestamp:          b.At(),
		Response:           b.Response,
		ResponseStatusCode: b.StatusCode,
		AttemptID:          b.ID,
		EndpointID:         b.EndpointID,
		Duration:           time.Duration(b.DurationMs) * time.Millisecond,
		Status:             b.status(),
		Manual:             b.Trigger != nil && *b.Trigger == triggerManual,
	}, nil
}

// expired is what the server gives in place of a payload that it has deleted.
const expired = `{"expired":true}`

// headers reconstructs the headers of an attempt.
func (b attemptBody) headers(eventType string, payload []byte, secret string) http.Header {
	headers := http.Header{}
	headers.Set("Content-Type", "application/json")
	headers.Set("Webhook-Id", b.MessageID)
	headers.Set(eventHeader, eventType)
	hasTime, hasPayload := !b.At().IsZero(), payload != nil && string(payload) != expired
	if hasTime {
		headers.Set("Webhook-Timestamp", strconv.FormatInt(b.At().Unix(), 10))
	}
	if hasPayload {
		headers.Set("Content-Length", strconv.Itoa(len(payload)))
	}
	if signature, err := SignPayload(secret, b.MessageID, b.At(), payload); err == nil && hasTime && hasPayload {
		headers.Set("Webhook-Signature", signature)
	}
	return headers
}

// An instant is a point in time in UTC, zero if its text cannot be read.
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
func (b endpointBody) Key() string    { return b.ID }

func (b endpointBody) endpoint(eventType string) Endpoint {
	if b.ID == "" {
		return Endpoint{} // with an error
	}
	return Endpoint{
		URL: b.URL, EventType: eventType, Channel: b.ChannelName(), Metadata: b.OwnMetadata(), Disabled: b.Disabled,
		ID: b.ID, CreatedAt: b.CreatedAt.Time, UpdatedAt: b.UpdatedAt.Time,
	}
}

// description is what tells the endpoint from others.
func (e Endpoint) description() endpoint.Description {
	return endpoint.Description{EventType: e.EventType, URL: e.URL, Channel: e.Channel, Metadata: e.Metadata}
}

// find returns the endpoint with its ID, with which all further requests address it.
func (c *Client) find(ctx context.Context, ep Endpoint) (Endpoint, error) {
	if err := ep.checkAddress(); err != nil || ep.ID != "" {
		return ep, err
	}
	stored, err := c.endpointServer(ep.EventType).Find(ctx, ep.description())
	ep.ID = stored.ID
	return ep, notThatOne(err)
}

// endpointServer is where the endpoints of an event type are found.
func (c *Client) endpointServer(eventType string) endpoint.Server {
	return endpoint.Server{
		Get: func(ctx context.Context, address string) (endpoint.Stored, error) {
			body, err := c.getEndpoint(ctx, eventType, address)
			return body.Stored, err
		},
		List: func(ctx context.Context) iter.Seq2[endpoint.Stored, error] {
			return func(yield func(endpoint.Stored, error) bool) {
				for body, err := range c.endpoints(ctx, eventType, pageRequest{}) {
					if !yield(body.Stored, err) {
						return
					}
				}
			}
		},
		NotFound: isNotFound,
	}
}

// checkAddress checks that a request path can name the endpoint, and no other.
func (e Endpoint) checkAddress() error {
	switch {
	case !validEventTypeName(e.EventType):
		return eventTypeNotFound(e.EventType, nil)
	case e.ID != "" && !svixEndpointID.MatchString(e.ID):
		return fmt.Errorf("webhooks: %w: %s is not an endpoint ID of the server",
			ErrInvalidEndpoint, foreign.Quote(e.ID))
	case e.ID == "" && e.Channel == reservedChannel:
		return fmt.Errorf("webhooks: %w: without an ID a channel named %q cannot be told from no channel",
			ErrInvalidEndpoint, reservedChannel)
	}
	return nil
}

func (c *Client) getEndpoint(ctx context.Context, eventType, address string) (endpointBody, error) {
	return query[endpointBody](ctx, c, "endpoint get", func(ctx context.Context) error {
		_, err := c.svix.Endpoint.Get(ctx, identity.Application(eventType), address)
		return err
	})
}

// endpoints lists the endpoints of the application of an event type. Without an application, which
// another program may not have made, there are none.
func (c *Client) endpoints(ctx context.Context, eventType string, r pageRequest) iter.Seq2[endpointBody, error] {
	order := models.ORDERING_DESCENDING
	if r.ascending {
		order = models.ORDERING_ASCENDING
	}
	return Paginate(ctx, func(ctx context.Context, iterator *string) (Page[endpointBody], error) {
		asked := pageRequest{
			op: "endpoint list", iterator: iterator, limit: pageSize, ascending: r.ascending, ahead: r.ahead,
		}
		page, err := listPage[endpointBody](ctx, c, asked, func(ctx context.Context, limit *uint64) error {
			options := svix.EndpointListOptions{Limit: limit, Iterator: iterator, Order: &order}
			_, err := c.svix.Endpoint.List(ctx, identity.Application(eventType), &options)
			return err
		})
		if isNotFound(err) {
			return Page[endpointBody]{Done: true}, nil
		}
		return page, err
	})
}

type secretBody struct {
	Key string `json:"key"`
}

func (b secretBody) complete() bool { return b.Key != "" }

type statsBody struct {
	Success *int `json:"success"`
	Fail    int  `json:"fail"`
	Pending int  `json:"pending"`
	Sending int  `json:"sending"`
}

func (b statsBody) complete() bool { return b.Success != nil }

type taskBody struct {
	ID string `json:"id"`
}

func (b taskBody) complete() bool { return b.ID != "" }
