package dashboard

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/softwareheritage/webhooks"
)

const (
	maxStreams = 16 // live lists at once
	beat       = 15 * time.Second

	lookEvery = time.Second      // how often one endpoint is asked for what is new
	lookBack  = 30 * time.Second // an attempt appears when it is over, which takes up to that long
	lookMost  = 100

	clockMargin = 2 * time.Second // by which the clocks of this machine and the server may differ
)

// live sends the deliveries that appear from now on, each as a row of the list: as events that a
// browser's EventSource reads.
func (d *Dashboard) live(w http.ResponseWriter, r *http.Request) {
	s, err := selectionOf(r)
	since, errSince := time.Parse(time.RFC3339Nano, cmp.Or(r.Header.Get("Last-Event-ID"), r.FormValue("since")))
	if err != nil || errSince != nil {
		d.failWith(w, r, inputError{"The address has a time that is none."})
		return
	}
	select {
	case d.streams <- struct{}{}:
		defer func() { <-d.streams }()
	default:
		http.Error(w, "Too many live lists are open.", http.StatusServiceUnavailable)
		return
	}
	if many, err := d.hasMany(r.Context(), s); err != nil || many {
		w.WriteHeader(http.StatusNoContent) // so that the browser does not try again
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	found := make(chan string)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.follow(ctx, s, since.Add(-clockMargin), found)
	}()
	defer func() { <-ended }()
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	stream := http.NewResponseController(w)
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for text := ": follows\n\n"; ; {
		if _, err := fmt.Fprint(w, text); err != nil || stream.Flush() != nil {
			return
		}
		select {
		case text = <-found:
		case <-tick.C:
			text = ": still here\n\n"
		case <-ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

// follow sends what appears after since, until ctx is done or something is wrong for good, which is
// sent too.
func (d *Dashboard) follow(ctx context.Context, s selection, since time.Time, found chan<- string) {
	send := func(text string) {
		select {
		case found <- text:
		case <-ctx.Done():
		}
	}
	events := d.client.FollowSentEvents(ctx, s.Type,
		webhooks.SentEventQuery{Channel: s.Channel, After: since.Add(-lookBack)})
	if s.Endpoint != "" {
		events = d.followEndpoint(ctx, s)
	}
	var err error
	for ev, errLast := range events {
		appeared := ev.Timestamp.Add(ev.Duration)
		if err = errLast; err == nil && s.has(ev) && !appeared.Before(since) {
			send(d.eventRow(ev))
		}
	}
	if err != nil && ctx.Err() == nil {
		d.log.WarnContext(ctx, "live list ends", "error", err)
		send("event: end\ndata: " + visible(strings.ReplaceAll(err.Error(), "\n", " ")) + "\n\n")
	}
}

// followEndpoint asks one endpoint for its newest attempts, again and again, and gives each once,
// oldest first.
func (d *Dashboard) followEndpoint(ctx context.Context, s selection) iter.Seq2[webhooks.SentEvent, error] {
	return func(yield func(webhooks.SentEvent, error) bool) {
		ep := webhooks.Endpoint{EventType: s.Type, ID: s.Endpoint}
		seen := map[string]bool{}
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			query := webhooks.SentEventQuery{
				Channel: s.Channel,
				After:   time.Now().Add(-lookBack - clockMargin), Limit: lookMost,
			}
			newest, err := webhooks.Collect(d.client.ListSentEventsForEndpoint(ctx, ep, query))
			if err != nil {
				yield(webhooks.SentEvent{}, err)
				return
			}
			now := make(map[string]bool, len(newest))
			for _, ev := range slices.Backward(newest) {
				now[ev.AttemptID] = true
				if !seen[ev.AttemptID] && !yield(ev, nil) {
					return
				}
			}
			seen = now
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

// eventRow writes a row of the list as an event of a stream.
func (d *Dashboard) eventRow(ev webhooks.SentEvent) string {
	var row bytes.Buffer
	if err := templates.ExecuteTemplate(&row, "row", ev); err != nil {
		d.log.Error("row cannot be made", "error", err)
		return ": a row is missing\n\n"
	}
	return "id: " + time.Now().UTC().Format(time.RFC3339Nano) + "\ndata: " +
		strings.ReplaceAll(strings.TrimSpace(row.String()), "\n", "\ndata: ") + "\n\n"
}
