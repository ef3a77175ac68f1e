package demo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/softwareheritage/webhooks"
)

const (
	inFlight = 16 // events that are sent at once
	examples = 3  // of each kind that are shown

	// watched is the sample origin whose visits have an endpoint of their own.
	watched = "https://github.com/chinese-poetry/chinese-poetry/tree/master/全唐诗"
)

func (d *demo) introduce(context.Context) error {
	d.table([][]string{
		{"server", d.server.url},
		{"receiver", d.receiverSite.url},
	})
	return nil
}

func (d *demo) registerEventTypes(ctx context.Context) error {
	for _, et := range webhooks.DefaultEventTypes() {
		if err := d.client.CreateEventType(ctx, et); err != nil {
			return err
		}
	}
	var rows [][]string
	for et, err := range d.client.ListEventTypes(ctx) {
		if err != nil {
			return err
		}
		rows = append(rows, []string{et.Name, et.Description})
	}
	d.table(rows)
	return nil
}

func (d *demo) createEndpoints(ctx context.Context) error {
	for _, s := range []*subscription{
		{path: "/origins", endpoint: webhooks.Endpoint{EventType: originCreate}},
		{path: "/visits", endpoint: webhooks.Endpoint{EventType: originVisit}},
		{path: "/watched", endpoint: webhooks.Endpoint{EventType: originVisit, Channel: watched}},
	} {
		if err := d.subscribe(ctx, s); err != nil {
			return err
		}
	}
	var rows [][]string
	for _, et := range webhooks.DefaultEventTypes() {
		for ep, err := range d.client.ListEndpoints(ctx, et.Name,
			webhooks.EndpointQuery{Ascending: true}) {
			if err != nil {
				return err
			}
			channel := "all channels"
			if ep.Channel != "" {
				channel = ep.Channel
			}
			rows = append(rows, []string{ep.EventType, ep.URL, channel})
		}
	}
	d.table(rows)
	return nil
}

// subscribe creates an endpoint with a secret of the server's making and makes the receiver listen
// there.
func (d *demo) subscribe(ctx context.Context, s *subscription) error {
	s.endpoint.URL = d.receiverSite.url + s.path
	if err := d.client.CreateEndpoint(ctx, s.endpoint, ""); err != nil {
		return err
	}
	secret, err := d.client.GetEndpointSecret(ctx, s.endpoint)
	if err != nil {
		return err
	}
	d.receiver.listen(s.path, secret)
	d.subscriptions = append(d.subscriptions, s)
	return nil
}

func (d *demo) sendEvents(ctx context.Context) error {
	d.began = time.Now()
	sent := map[string]int{} // by event type
	shown := picker{}
	var rows [][]string
	for r := range d.client.SendEvents(ctx, slices.Values(d.events), inFlight) {
		if r.Err != nil || r.Message.IsZero() {
			d.notSent(ctx, r)
			continue
		}
		sent[r.Event.Type]++
		d.expect(r)
		if shown.picks(r.Event) {
			rows = append(rows, []string{r.Message.ID, r.Event.Type, r.Event.Channel})
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	took := time.Since(d.began)
	d.sent = sent[originCreate] + sent[originVisit]
	d.result(d.sent == len(d.events), "%d of %d events sent in %s, up to %d at once: %d %s, %d %s",
		d.sent, len(d.events), took.Round(time.Millisecond), inFlight,
		sent[originCreate], originCreate, sent[originVisit], originVisit)
	d.line("Some of them, by the ids of their messages:")
	d.table(rows)
	return nil
}

// notSent tells of an event that was not sent. After an interruption there are many, and one reason
// for all.
func (d *demo) notSent(ctx context.Context, r webhooks.SendResult) {
	switch {
	case ctx.Err() != nil:
	case r.Err != nil:
		d.problem("%s, channel %s: %v", r.Event.Type, r.Event.Channel, r.Err)
	default:
		d.problem("%s, channel %s: not sent, nobody listens", r.Event.Type, r.Event.Channel)
	}
}

// expect notes where the message of an event has to arrive.
func (d *demo) expect(r webhooks.SendResult) {
	for _, s := range d.subscriptions {
		if s.wants(r.Event) {
			s.expect(r.Message.ID, r.Event)
		}
	}
}

// due is how many deliveries there have to be in all.
func (d *demo) due() int {
	n := 0
	for _, s := range d.subscriptions {
		n += len(s.due)
	}
	return n
}

func (d *demo) verifyDeliveries(ctx context.Context) error {
	if err := d.mock.WaitForDeliveries(ctx, d.due()); err != nil {
		if ctx.Err() != nil {
			return err
		}
		d.problem("%v", err)
	}
	for _, s := range d.subscriptions {
		t := s.check(d.receiver.arrivedAt(s.path))
		d.verified += t.verified
		d.result(t.complete(), "%-8s  %s", s.path, t)
	}
	if last := d.receiver.lastArrival(); !last.IsZero() {
		d.line("The last of them came %s after the sending began.",
			last.Sub(d.began).Round(time.Millisecond))
	}
	d.showDelivery()
	return nil
}

// showDelivery shows one delivery to the watched origin's endpoint in full: the one with the
// longest payload.
func (d *demo) showDelivery() {
	watching := d.subscriptions[len(d.subscriptions)-1]
	arrived := d.receiver.arrivedAt(watching.path)
	if len(arrived) == 0 {
		return
	}
	longest := slices.MaxFunc(arrived, func(a, b webhooks.Delivery) int {
		return len(a.Payload) - len(b.Payload)
	})
	d.line("One that came to %s:", watching.path)
	d.table([][]string{
		{"message", longest.MessageID},
		{"event type", longest.EventType},
		{"sent at", longest.Timestamp.Format(time.RFC3339)},
		{"payload", string(longest.Payload)},
	})
}

func (d *demo) sendInvalid(ctx context.Context) error {
	snapshot := "swh:1:rev:dead"
	ev := webhooks.Event{Type: originVisit, Channel: watched, Payload: webhooks.OriginVisit{
		OriginURL:     watched,
		VisitType:     "git",
		VisitDate:     webhooks.NewVisitDate(time.Now()),
		VisitStatus:   "lost",
		SnapshotSWHID: &snapshot,
	}}
	before := len(d.mock.Messages())
	_, err := d.client.SendEvent(ctx, ev)
	after := len(d.mock.Messages())
	if err := ctx.Err(); err != nil {
		return err
	}
	d.line("%s", body(ev))
	var refused *webhooks.PayloadError
	if !errors.As(err, &refused) {
		d.problem("not refused as an invalid payload: %v", err)
		return nil
	}
	d.result(after == before, "refused; messages on the server before: %d, after: %d", before,
		after)
	rows := make([][]string, len(refused.Violations))
	for i, v := range refused.Violations {
		rows[i] = []string{v.Path, v.Message}
	}
	d.table(rows)
	return nil
}

func (d *demo) listSent(ctx context.Context) error {
	for _, s := range d.subscriptions {
		attempts, err := webhooks.Collect(d.client.ListSentEventsForEndpoint(ctx, s.endpoint,
			webhooks.SentEventQuery{}))
		if err != nil {
			return err
		}
		d.listed += len(attempts)
		d.result(len(attempts) == len(s.due), "%-8s  %d of %d deliveries listed: %s", s.path,
			len(attempts), len(s.due), statuses(attempts))
	}
	d.line("The newest of %s, at (UTC), answer, to, payload:", originVisit)
	var rows [][]string
	for sent, err := range d.client.ListSentEventsForEventType(ctx, originVisit,
		webhooks.SentEventQuery{Limit: examples}) {
		if err != nil {
			return err
		}
		rows = append(rows, []string{
			sent.Timestamp.Format("15:04:05.000"),
			strconv.Itoa(sent.ResponseStatusCode),
			sent.EndpointURL,
			shorten(string(sent.Payload)),
		})
	}
	d.table(rows)
	return nil
}

// statuses says how often each status was answered.
func statuses(attempts []webhooks.SentEvent) string {
	count := map[int]int{}
	for _, a := range attempts {
		count[a.ResponseStatusCode]++
	}
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%d answered %d", count[status], status))
	}
	return strings.Join(parts, ", ")
}
