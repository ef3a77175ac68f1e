package webhooks

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	svix "github.com/svix/svix-webhooks/go"
	"golang.org/x/sync/errgroup"

	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/merge"
	"github.com/softwareheritage/webhooks/internal/ordered"
	"github.com/softwareheritage/webhooks/internal/timeline"
)

const (
	// requestsAhead is how many requests a listing makes at once.
	requestsAhead = 8

	// endpointsAtOnce is how many endpoints are asked at once for their attempts.
	endpointsAtOnce = 32

	// attemptsAtOnce is for how many attempts payloads and recipients are looked up together.
	attemptsAtOnce = pageSize

	// maxWaiting is what the attempts that wait for those of other endpoints may take in memory.
	maxWaiting = 64 << 20
)

// A reading is one run through a listing of sent events, with what it learns on the way.
type reading struct {
	client    *Client
	eventType string
	query     SentEventQuery

	attemptSizer, messageSizer pageSizer

	mu  sync.Mutex
	met map[string]func() (recipient, error) // by the server's id, those that were not known beforehand
}

func (c *Client) newReading(eventType string, q SentEventQuery) *reading {
	return &reading{client: c, eventType: eventType, query: q, met: map[string]func() (recipient, error){}}
}

// A recipient is an endpoint, empty if it was deleted, and the secret that its deliveries are
// signed with, empty if that is not known.
type recipient struct {
	Endpoint

	secret string
}

// known looks for what is not at hand of an endpoint.
func (c *Client) known(ctx context.Context, ep Endpoint) func() (recipient, error) {
	return once(func() (recipient, error) {
		secret, err := c.signingSecret(ctx, ep)
		return recipient{ep, secret}, err
	})
}

// unknown looks for the endpoint with an id of the server.
func (c *Client) unknown(ctx context.Context, eventType, id string) func() (recipient, error) {
	return once(func() (recipient, error) {
		nobody := recipient{Endpoint: Endpoint{EventType: eventType}}
		if !svixEndpointID.MatchString(id) {
			return nobody, nil // nothing for a request path
		}
		body, err := c.getEndpoint(ctx, eventType, id)
		if isNotFound(err) {
			return nobody, nil
		}
		if err != nil {
			return nobody, err
		}
		ep := body.endpoint(eventType)
		secret, err := c.signingSecret(ctx, ep)
		return recipient{ep, secret}, err
	})
}

// once calls ask when it is first needed. Unlike those of [sync.OnceValues], its callers wait on a
// channel, so that the clock of testing/synctest goes on meanwhile.
func once[T any](ask func() (T, error)) func() (T, error) {
	var value T
	var err error
	var asked atomic.Bool
	done := make(chan struct{})
	return func() (T, error) {
		if asked.CompareAndSwap(false, true) {
			value, err = ask()
			close(done)
		}
		<-done
		return value, err
	}
}

// signingSecret returns the secret of an endpoint, empty if it is gone.
func (c *Client) signingSecret(ctx context.Context, ep Endpoint) (string, error) {
	secret, err := c.getSecret(ctx, ep)
	if isNotFound(err) {
		return "", nil
	}
	return secret, err
}

// meet sets the recipients of attempts and looks them up, several at once.
func (r *reading) meet(ctx context.Context, attempts []attemptBody) error {
	var group errgroup.Group
	group.SetLimit(requestsAhead)
	for i := range attempts {
		if attempts[i].recipient == nil {
			attempts[i].recipient = r.recipient(ctx, attempts[i].EndpointID)
		}
		group.Go(func() error {
			_, err := attempts[i].recipient()
			return err
		})
	}
	return group.Wait()
}

func (r *reading) recipient(ctx context.Context, id string) func() (recipient, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found, ok := r.met[id]
	if !ok {
		found = r.client.unknown(ctx, r.eventType, id)
		r.met[id] = found
	}
	return found
}

// A source is an endpoint whose attempts are listed.
type source struct {
	Endpoint

	recipient func() (recipient, error)
	mayBeGone bool // then there is nothing to list
}

// source is an endpoint that was named.
func (r *reading) source(ctx context.Context, ep Endpoint) source {
	return source{Endpoint: ep, recipient: r.client.known(ctx, ep)}
}

// sources are the endpoints of the event type.
func (r *reading) sources(ctx context.Context, asked pageRequest) ([]source, error) {
	var all []source
	for body, err := range r.client.endpoints(ctx, r.eventType, asked) {
		if err != nil {
			return nil, err
		}
		s := r.source(ctx, body.endpoint(r.eventType))
		s.mayBeGone = true
		all = append(all, s)
	}
	return all, nil
}

// byEndpoint lists the attempts to deliver to some endpoints, with their payloads: those of one as
// its pages come, those of several in chunks.
func (r *reading) byEndpoint(ctx context.Context, sources []source) iter.Seq2[[]attemptBody, error] {
	return func(yield func([]attemptBody, error) bool) {
		size, left := attemptsAtOnce, r.query.Limit
		for w := range r.query.timeRange().Windows() {
			if r.query.Limit > 0 {
				size = min(attemptsAtOnce, left)
			}
			readers := r.readers(sources, w, false)
			attempts := chunks(merged(ctx, readers, false), size)
			if len(readers) == 1 {
				attempts = timeline.Pages(ctx, readers[0])
			}
			for chunk, err := range attempts {
				if r.query.Limit > 0 {
					chunk = chunk[:min(left, len(chunk))]
					left -= len(chunk)
				}
				if err == nil {
					err = r.fillPayloads(ctx, sources, chunk)
				}
				if !yield(chunk, err) || err != nil || r.query.Limit > 0 && left == 0 {
					return
				}
			}
		}
	}
}

// merged lists the attempts of several endpoints in the order of their ids.
func merged(ctx context.Context, readers []merge.Source[attemptBody], upwards bool) iter.Seq2[attemptBody, error] {
	return merge.Sorted(ctx, readers, endpointsAtOnce, func(a, b attemptBody) bool {
		if upwards {
			return a.ID < b.ID
		}
		return a.ID > b.ID
	})
}

func (r *reading) readers(sources []source, w timeline.Bounds, upwards bool) []merge.Source[attemptBody] {
	room := merge.Room{Most: maxWaiting}
	readers := make([]merge.Source[attemptBody], len(sources))
	for i, s := range sources {
		readers[i] = merge.Bounded(r.attemptsOf(s, w, upwards), &room, attemptBody.size)
	}
	return readers
}

// attemptsOf reads the attempts to deliver to an endpoint.
func (r *reading) attemptsOf(s source, within timeline.Bounds, upwards bool) *timeline.Pager[attemptBody] {
	pager := r.attemptPages(within, func(ctx context.Context, asked timeline.Request, limit *uint64) error {
		options := svix.MessageAttemptListByEndpointOptions{
			Limit: limit, Iterator: asked.Iterator, Before: asked.Before, After: asked.After,
			Channel: svixChannel(r.query.Channel), Status: r.query.svixStatus(),
		}
		_, err := r.client.svix.MessageAttempt.ListByEndpoint(ctx, identity.Application(r.eventType), s.ID, &options)
		return err
	})
	list := pager.List
	pager.List = func(ctx context.Context, asked timeline.Request) (timeline.Page[attemptBody], error) {
		page, err := list(ctx, asked)
		if s.mayBeGone && isNotFound(err) {
			return timeline.Page[attemptBody]{Done: true}, nil
		}
		for i := range page.Data {
			page.Data[i].recipient = s.recipient
		}
		return page, r.client.missing(ctx, s.Endpoint, err)
	}
	if pager.Upwards = upwards; upwards {
		pager.First = pageSize // what was given before is among it
	}
	return pager
}

// attemptPages reads attempts that are in the range of the query.
func (r *reading) attemptPages(
	within timeline.Bounds, request func(ctx context.Context, asked timeline.Request, limit *uint64) error,
) *timeline.Pager[attemptBody] {
	return &timeline.Pager[attemptBody]{
		Bounds: within, Range: r.query.timeRange(), First: firstPage(r.query.Limit), Most: pageSize,
		List: func(ctx context.Context, asked timeline.Request) (timeline.Page[attemptBody], error) {
			p := pageRequest{op: "attempt list", iterator: asked.Iterator, limit: asked.Limit, sizer: &r.attemptSizer}
			page, err := listPage[attemptBody](ctx, r.client, p, func(ctx context.Context, limit *uint64) error {
				return request(ctx, asked, limit)
			})
			return timeline.Page[attemptBody](page), err
		},
	}
}

// retriesEnd is for how long after a message its attempts are looked for. The server's default
// schedule of retries ends after about 28 hours.
const retriesEnd = 48 * time.Hour

// byMessage lists the attempts of the messages of the event type, with their payloads, in chunks
// that never span two messages: an attempt is not held back for later ones. Several messages are
// asked at once, no more than the limit may need, and their recipients met.
func (r *reading) byMessage(ctx context.Context) iter.Seq2[[]attemptBody, error] {
	return func(yield func([]attemptBody, error) bool) {
		given := 0
		atOnce := func() int {
			if r.query.Limit == 0 {
				return requestsAhead
			}
			return min(requestsAhead, r.query.Limit-given)
		}
		within := r.query.timeRange()
		if !within.After.IsZero() {
			within.After = within.After.Add(-retriesEnd)
		}
		messages := r.client.messages(ctx, r.eventType, r.query.Channel, within, r.query.Limit, &r.messageSizer)
		attemptsOf := func(ctx context.Context, m messageBody) ([]attemptBody, error) {
			attempts, err := Collect(limited(r.query.Limit, r.attemptsOfMessage(ctx, m)))
			if err != nil {
				return nil, err
			}
			return attempts, r.meet(ctx, attempts[:min(len(attempts), requestsAhead)])
		}
		for attempts, err := range ordered.Ahead(ctx, messages, atOnce, attemptsOf) {
			if err != nil {
				yield(nil, err)
				return
			}
			for chunk := range slices.Chunk(attempts, requestsAhead) {
				if given += len(chunk); !yield(chunk, nil) {
					return
				}
			}
		}
	}
}

// attemptsOfMessage lists the attempts of a message in the range of the query.
func (r *reading) attemptsOfMessage(ctx context.Context, m messageBody) iter.Seq2[attemptBody, error] {
	return func(yield func(attemptBody, error) bool) {
		if !svixMessageID.MatchString(m.ID) {
			return // nothing for a request path
		}
		var within timeline.Bounds
		if !m.At().IsZero() {
			// Without a bound the server would look back 90 days from now, and not see those of an
			// older message.
			bound := m.At().Truncate(time.Second).Add(timeline.Window)
			within.Before = &bound
		}
		pager := r.attemptPages(within, func(ctx context.Context, asked timeline.Request, limit *uint64) error {
			options := svix.MessageAttemptListByMsgOptions{
				Limit: limit, Iterator: asked.Iterator, Before: asked.Before, Status: r.query.svixStatus(),
			}
			_, err := r.client.svix.MessageAttempt.ListByMsg(ctx, identity.Application(r.eventType), m.ID, &options)
			return err
		})
		for attempt, err := range pager.Items(ctx) {
			attempt.payload = m.Payload
			if !yield(attempt, err) {
				return
			}
		}
	}
}

// boundedRange completes a range of time.
func boundedRange(since, until time.Time, longest time.Duration) (from, to time.Time, err error) {
	if until.IsZero() {
		until = time.Now()
	}
	if since.IsZero() {
		since = until.Add(-longest)
	}
	switch {
	case !since.Before(until):
		return from, to, fmt.Errorf("webhooks: %w: since %v is not before until %v", ErrInvalidQuery, since, until)
	case until.Sub(since) > longest:
		return from, to, fmt.Errorf("webhooks: %w: from %v to %v are more than %v",
			ErrInvalidQuery, since, until, longest)
	}
	return since.UTC(), until.UTC(), nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
