package webhooks

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	svix "github.com/svix/svix-webhooks/go"

	"github.com/softwareheritage/webhooks/internal/identity"
	"github.com/softwareheritage/webhooks/internal/merge"
)

// What is listed by time on the server: messages and attempts. Their ids begin with the time of
// creation, in slots of 4 ms, and are in that order.
type timed interface {
	id() string
	at() time.Time
}

const (
	// serverWindow is how far the server looks from a point in time that it is given or, without
	// one, back from now; from there on, it looks as far again from each page's last item.
	serverWindow = 90 * 24 * time.Hour

	// clockSkew is by how much the clocks of server and client may differ.
	clockSkew = 24 * time.Hour

	// slot is the time within which the items of the server are in no order.
	slot = 4 * time.Millisecond
)

// serverEpoch is when the time in the server's ids begins. It takes an earlier date for one in the
// next century.
var serverEpoch = time.Unix(1_400_000_000, 0)

// A timeRange is what lies between two points in time, both exclusive and zero if there is no
// bound. It is in UTC: the SDK writes the zone of a time in whole minutes.
type timeRange struct{ before, after time.Time }

func newTimeRange(before, after time.Time) timeRange {
	return timeRange{before: before.UTC(), after: after.UTC()}
}

func (r timeRange) validate() error {
	if !r.before.IsZero() && !r.after.IsZero() && !r.after.Before(r.before) {
		return fmt.Errorf("webhooks: %w: After (%s) is not earlier than Before (%s)", ErrInvalidQuery, r.after.Format(time.RFC3339Nano), r.before.Format(time.RFC3339Nano))
	}
	return nil
}

// A window is a part of a timeline that the server can list without a gap. Its bounds are in whole
// seconds, since the SDK cuts fractions off; the exact times are compared here.
type window struct{ before, after *time.Time }

// windows are those of a range, newest first. Without a lower bound there is one: from there on the
// server looks back from each page's last item for 90 days. With a lower bound it is told both, and
// looks 90 days back from the upper one at most.
func (r timeRange) windows() iter.Seq[window] {
	now := time.Now()
	if r.after.IsZero() {
		return func(yield func(window) bool) {
			switch {
			case r.before.IsZero() || r.before.After(now): // looking back from the future it would lose what is older
				yield(window{})
			case r.before.After(serverEpoch):
				before := ceilSecond(r.before)
				yield(window{before: &before})
			}
		}
	}
	newest := ceilSecond(now.UTC().Add(clockSkew))
	if !r.before.IsZero() && r.before.Before(newest) {
		newest = ceilSecond(r.before)
	}
	after := r.after.Truncate(time.Second)
	if after.Before(serverEpoch) {
		after = serverEpoch
	}
	return func(yield func(window) bool) {
		for before := newest; before.After(after); before = before.Add(-serverWindow) {
			if !yield(window{before: &before, after: &after}) {
				return
			}
		}
	}
}

// windowsUpwards are those from the lower bound of a range until now, oldest first.
func (r timeRange) windowsUpwards() iter.Seq[window] {
	return func(yield func(window) bool) {
		end := time.Now().Add(clockSkew)
		for after := r.after.Truncate(time.Second); after.Before(end); after = after.Add(serverWindow) {
			if !yield(window{after: &after}) {
				return
			}
		}
	}
}

// A pager reads what there is of a range in one window, page by page.
type pager[T timed] struct {
	window

	within  timeRange
	upwards bool // oldest first; otherwise newest first
	limit   int  // of items that are wanted, so that the first page is no larger; 0: none

	list func(ctx context.Context, w window, iterator *string, limit uint64) (Page[T], error)

	iterator *string
	idle     idle
	done     bool
}

// Next returns the next items, none at the end.
func (p *pager[T]) Next(ctx context.Context) ([]T, error) {
	for !p.done {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("webhooks: %w", err)
		}
		items, err := p.read(ctx)
		if err != nil {
			return nil, err
		}
		items, passed := cut(p.within, items)
		p.done = p.done || passed && !p.upwards
		if len(items) > 0 {
			return items, nil
		}
	}
	return nil, nil
}

// read reads a page and makes ready for the next one.
func (p *pager[T]) read(ctx context.Context) ([]T, error) {
	limit := uint64(pageSize)
	if p.limit > 0 && p.iterator == nil && !p.upwards {
		limit = min(limit, uint64(p.limit))
	}
	w := p.window
	if p.iterator != nil && w.after == nil {
		w.before = nil // with it, the server would look no further back than 90 days from there
	}
	page, err := p.list(ctx, w, p.iterator, limit)
	if err != nil {
		return nil, err
	}
	if err := p.checkTimes(page.Data); err != nil {
		return nil, err
	}
	if err := p.idle.check(len(page.Data), page.Done); err != nil {
		return nil, err
	}
	if !page.Done && page.Iterator == nil {
		return nil, errNoIterator
	}
	if p.upwards {
		slices.Reverse(page.Data)
	}
	p.iterator, p.done = page.Iterator, page.Done
	if n := len(page.Data); n > 0 {
		p.iterator = p.behind(page.Data[n-1])
	}
	return page.Data, nil
}

// goOnBehind makes an item that was read the last one for now.
func (p *pager[T]) goOnBehind(item T) { p.iterator, p.done = p.behind(item), false }

func (p *pager[T]) behind(item T) *string {
	iterator := item.id()
	if p.upwards {
		iterator = backwards + iterator
	}
	return &iterator
}

// checkTimes refuses a page from outside the window: with more of those no listing would end.
func (p *pager[T]) checkTimes(items []T) error {
	for _, item := range items {
		at := item.at()
		if at.IsZero() {
			continue // the server's time could not be read
		}
		if p.before != nil && at.After(p.before.Add(time.Second)) || p.after != nil && at.Before(p.after.Add(-time.Second)) {
			return errors.New("webhooks: the server gave a page from outside the time that was asked for")
		}
	}
	return nil
}

// backwards marks an iterator from which the server goes the other way.
const backwards = "-"

// inOrder tells whether an item comes after an iterator in a list that is sorted by id.
func inOrder(iterator, id string, ascending bool) bool {
	if marked, ok := strings.CutPrefix(iterator, backwards); ok {
		iterator, ascending = marked, !ascending
	}
	if ascending {
		return id > iterator
	}
	return id < iterator
}

// timeline returns what there is of a range, newest first.
func timeline[T timed](ctx context.Context, within timeRange, pagerOf func(window) *pager[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for w := range within.windows() {
			for item, err := range items(ctx, pagerOf(w)) {
				if !yield(item, err) || err != nil {
					return
				}
			}
		}
	}
}

// pages returns what a source reads, page by page.
func pages[T any](ctx context.Context, source merge.Source[T]) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		for {
			items, err := source.Next(ctx)
			if err == nil && len(items) == 0 || !yield(items, err) || err != nil {
				return
			}
		}
	}
}

// items returns what a pager reads.
func items[T timed](ctx context.Context, p *pager[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		for page, err := range pages(ctx, p) {
			if err != nil {
				yield(zero, err)
				return
			}
			for _, item := range page {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

// cut returns the items in a range, and whether one is older than that.
func cut[T timed](r timeRange, items []T) (within []T, passed bool) {
	for _, item := range items {
		switch at := item.at(); {
		case at.IsZero():
			within = append(within, item) // the server's time could not be read
		case !r.before.IsZero() && !at.Before(r.before):
		case !r.after.IsZero() && !at.After(r.after):
			passed = passed || at.Before(r.after.Add(-slot))
		default:
			within = append(within, item)
		}
	}
	return within, passed
}

func ceilSecond(t time.Time) time.Time {
	if whole := t.Truncate(time.Second); whole.Before(t) {
		return whole.Add(time.Second)
	}
	return t
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
		return from, to, fmt.Errorf("webhooks: %w: from %v to %v are more than %v", ErrInvalidQuery, since, until, longest)
	}
	return since.UTC(), until.UTC(), nil
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
		for w := range r.query.timeRange().windows() {
			if r.query.Limit > 0 {
				size = min(attemptsAtOnce, left)
			}
			readers := r.readers(sources, w, false)
			attempts := chunks(merged(ctx, readers, false), size)
			if len(readers) == 1 {
				attempts = pages(ctx, readers[0])
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

func (r *reading) readers(sources []source, w window, upwards bool) []merge.Source[attemptBody] {
	var waiting atomic.Int64
	readers := make([]merge.Source[attemptBody], len(sources))
	for i, s := range sources {
		readers[i] = &attemptPager{pager: r.attemptsOf(s, w, upwards), recipient: s.recipient, waiting: &waiting}
	}
	return readers
}

func (r *reading) attemptsOf(s source, w window, upwards bool) *pager[attemptBody] {
	list := func(ctx context.Context, w window, iterator *string, limit uint64) (Page[attemptBody], error) {
		asked := pageRequest{op: "attempt list", iterator: iterator, limit: limit, sizer: &r.attemptSizer}
		page, err := listPage[attemptBody](ctx, r.client, asked, func(ctx context.Context, limit *uint64) error {
			_, err := r.client.svix.MessageAttempt.ListByEndpoint(ctx, identity.Application(r.eventType), s.ID, &svix.MessageAttemptListByEndpointOptions{
				Limit: limit, Iterator: iterator, Before: w.before, After: w.after, Channel: svixChannel(r.query.Channel), Status: r.query.svixStatus(),
			})
			return err
		})
		if s.mayBeGone && isNotFound(err) {
			return Page[attemptBody]{Done: true}, nil
		}
		return page, r.client.missing(ctx, s.Endpoint, err)
	}
	return &pager[attemptBody]{window: w, within: r.query.timeRange(), upwards: upwards, limit: r.query.Limit, list: list}
}

// An attemptPager reads the attempts to deliver to one endpoint. It counts what waits for those of
// other endpoints; if that is too much, the rest of a page is thrown away and read again later.
type attemptPager struct {
	*pager[attemptBody]

	recipient func() (recipient, error)
	waiting   *atomic.Int64 // bytes, of all endpoints
	own       int64         // of this one
}

// Next returns the next attempts, none at the end.
func (p *attemptPager) Next(ctx context.Context) ([]attemptBody, error) {
	p.waiting.Add(-p.own)
	p.own = 0
	attempts, err := p.pager.Next(ctx)
	for i := range attempts {
		size := int64(attempts[i].size())
		if p.waiting.Load()+size > maxWaiting && i > 0 {
			p.goOnBehind(attempts[i-1])
			return attempts[:i], nil
		}
		p.waiting.Add(size)
		p.own += size
		attempts[i].recipient = p.recipient
	}
	return attempts, err
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
		if !within.after.IsZero() {
			within.after = within.after.Add(-retriesEnd)
		}
		messages := r.client.messages(ctx, r.eventType, r.query.Channel, within, r.query.Limit, &r.messageSizer)
		perMessage := ahead(ctx, messages, atOnce, func(ctx context.Context, m messageBody) ([]attemptBody, error) {
			attempts, err := Collect(limited(r.query.Limit, r.attemptsOfMessage(ctx, m)))
			if err != nil {
				return nil, err
			}
			return attempts, r.meet(ctx, attempts[:min(len(attempts), requestsAhead)])
		})
		for attempts, err := range perMessage {
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
		var w window
		if !m.at().IsZero() {
			// Without a bound the server would look back 90 days from now, and not see those of an older message.
			bound := m.at().Truncate(time.Second).Add(serverWindow)
			w.before = &bound
		}
		pager := &pager[attemptBody]{window: w, within: r.query.timeRange(), limit: r.query.Limit, list: func(ctx context.Context, w window, iterator *string, limit uint64) (Page[attemptBody], error) {
			asked := pageRequest{op: "attempt list", iterator: iterator, limit: limit, sizer: &r.attemptSizer}
			return listPage[attemptBody](ctx, r.client, asked, func(ctx context.Context, limit *uint64) error {
				_, err := r.client.svix.MessageAttempt.ListByMsg(ctx, identity.Application(r.eventType), m.ID, &svix.MessageAttemptListByMsgOptions{
					Limit: limit, Iterator: iterator, Before: w.before, Status: r.query.svixStatus(),
				})
				return err
			})
		}}
		for attempt, err := range items(ctx, pager) {
			attempt.payload = m.Payload
			if !yield(attempt, err) {
				return
			}
		}
	}
}
