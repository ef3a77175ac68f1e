package dashboard

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/softwareheritage/webhooks"
)

// fewEndpoints is up to how many endpoints of an event type are asked one by one, which gives the
// newest attempts in order, and the ones that are to come. Those of more are found by message.
const fewEndpoints = 200

// A selection says which deliveries are listed.
type selection struct {
	Type     string
	Endpoint string // id; empty: all
	Channel  string
	Status   string // "ok", "bad"; empty: all
	Before   time.Time
}

func selectionOf(r *http.Request) (selection, error) {
	s := selection{
		Type: r.FormValue("type"), Endpoint: r.FormValue("endpoint"),
		Channel: r.FormValue("channel"), Status: r.FormValue("status"),
	}
	if text := r.FormValue("before"); text != "" {
		before, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return s, inputError{"The address has a time that is none."}
		}
		s.Before = before
	}
	return s, nil
}

// Link is the address of something about what is selected.
func (s selection) Link(path string, before time.Time) string {
	text := ""
	if !before.IsZero() {
		text = before.UTC().Format(time.RFC3339Nano)
	}
	return link(path, "type", s.Type, "endpoint", s.Endpoint, "channel", s.Channel, "status", s.Status, "before", text)
}

func (s selection) has(ev webhooks.SentEvent) bool {
	switch s.Status {
	case "ok":
		return ev.Status == webhooks.DeliverySucceeded
	case "bad":
		return ev.Status == webhooks.DeliveryFailed
	}
	return true
}

type deliveriesData struct {
	selection

	Types     []webhooks.EventType
	Events    []webhooks.SentEvent
	Live      string // address of what is to come; empty: nothing comes
	Many      bool   // there are too many endpoints to ask each of them
	Older     string
	SeenUntil time.Time // how far back was looked if that was not far enough; else zero
}

// deliveries lists attempts, newest first.
func (d *Dashboard) deliveries(ctx context.Context, r *http.Request) (view, error) {
	s, err := selectionOf(r)
	if err != nil {
		return view{}, err
	}
	data, now := deliveriesData{selection: s}, time.Now()
	for et, err := range d.client.ListEventTypes(ctx) {
		if err != nil {
			return view{}, err
		}
		if data.Types = append(data.Types, et); len(data.Types) == maxTypes {
			break
		}
	}
	if data.Type == "" && len(data.Types) > 0 {
		data.Type = data.Types[0].Name
	}
	if data.Type != "" {
		if data.Many, err = d.hasMany(ctx, data.selection); err != nil {
			return view{}, err
		}
		if err := d.collect(ctx, &data); err != nil {
			return view{}, err
		}
	}
	if data.Before.IsZero() && !data.Many && data.Type != "" {
		data.Live = data.Link("/live", time.Time{}) + "&since=" + now.UTC().Format(time.RFC3339Nano)
	}
	return view{Template: "deliveries", Title: "Deliveries", Place: "deliveries", Type: data.Type, Data: data}, nil
}

// hasMany tells whether what is selected are more endpoints than can be asked one by one.
func (d *Dashboard) hasMany(ctx context.Context, s selection) (bool, error) {
	if s.Endpoint != "" {
		return false, nil
	}
	n := 0
	query := webhooks.EndpointQuery{Channel: s.Channel, Limit: fewEndpoints + 1}
	for _, err := range d.client.ListEndpoints(ctx, s.Type, query) {
		if err != nil {
			return false, err
		}
		n++
	}
	return n > fewEndpoints, nil
}

// events are the attempts that are selected, whatever their status, newest first. Of many endpoints
// the order is that of the messages.
func (d *Dashboard) events(ctx context.Context, s selection, many bool) iter.Seq2[webhooks.SentEvent, error] {
	query := webhooks.SentEventQuery{Channel: s.Channel, Before: s.Before}
	if s.Endpoint != "" {
		return d.client.ListSentEventsForEndpoint(ctx, webhooks.Endpoint{EventType: s.Type, ID: s.Endpoint}, query)
	}
	if !many {
		query.After = time.Now().Add(-maxAge)
	}
	return d.client.ListSentEventsForEventType(ctx, s.Type, query)
}

// maxAge is the longest that a Svix server keeps a payload.
const maxAge = 90 * 24 * time.Hour

// collect takes one page of attempts. It looks for those of the wanted status itself: so it knows
// how far it has come when a glance is over.
func (d *Dashboard) collect(ctx context.Context, data *deliveriesData) error {
	began := time.Now()
	var last time.Time
	for ev, err := range d.events(ctx, data.selection, data.Many) {
		if err != nil {
			return err
		}
		if !last.IsZero() && !ev.Timestamp.Equal(last) { // all of one time are on one page
			full := len(data.Events) >= perPage
			if full || time.Since(began) > glance {
				data.Older = data.Link("/deliveries", last)
				if !full {
					data.SeenUntil = last
				}
				return nil
			}
		}
		last = ev.Timestamp
		if data.has(ev) {
			data.Events = append(data.Events, ev)
		}
	}
	return nil
}

// Newest is the address of the first page.
func (s selection) Newest() string { return s.Link("/deliveries", time.Time{}) }

// statusClass is the class of the style sheet for an attempt.
func statusClass(ev webhooks.SentEvent) string {
	switch ev.Status {
	case webhooks.DeliverySucceeded:
		return "ok"
	case webhooks.DeliveryFailed:
		return "bad"
	}
	return "wait"
}
