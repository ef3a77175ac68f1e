package dashboard

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/softwareheritage/webhooks"
)

// maxOfMessage is how many attempts the page of a message shows.
const maxOfMessage = 500

type messageData struct {
	webhooks.SentMessage

	Attempts []webhooks.SentEvent // newest first
	More     bool
	Trail    trail
}

// message shows a message, and the attempts to deliver it.
func (d *Dashboard) message(ctx context.Context, r *http.Request) (view, error) {
	m, err := d.client.GetMessage(ctx, r.FormValue("type"), r.FormValue("id"))
	if err != nil {
		return view{}, err
	}
	data := messageData{SentMessage: m}
	for ev, err := range d.client.ListSentEventsForMessage(ctx, m.EventType, m.ID) {
		if err != nil {
			return view{}, err
		}
		if len(data.Attempts) == maxOfMessage {
			data.More = true
			break
		}
		data.Attempts = append(data.Attempts, ev)
	}
	data.Trail = newTrail(m.Timestamp, data.Attempts)
	return view{
		Template: "message", Title: "Message", Place: "deliveries", Type: m.EventType,
		Refresh: 3, Data: data,
	}, nil
}

// find leads to the message that has an id.
func (d *Dashboard) find(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimSpace(r.FormValue("id")) // it may be pasted
	http.Redirect(w, r, link("/message", "type", r.FormValue("type"), "id", id), http.StatusSeeOther)
}

// payload sends a payload as a file: a page shows the beginning only.
func (d *Dashboard) payload(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	m, err := d.client.GetMessage(ctx, r.FormValue("type"), r.FormValue("id"))
	if err != nil {
		d.failWith(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream") // so that no browser shows it
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", m.ID+".json"))
	_, _ = w.Write(m.Payload) // a browser that has gone needs none
}

// answerText is what came of an attempt, in a few words.
func answerText(ev webhooks.SentEvent) string {
	if ev.ResponseStatusCode == 0 {
		return "no answer"
	}
	if text := http.StatusText(ev.ResponseStatusCode); text != "" {
		return fmt.Sprintf("%d %s", ev.ResponseStatusCode, text)
	}
	return strconv.Itoa(ev.ResponseStatusCode)
}

// A headerLine is one line of the header of a delivery.
type headerLine struct{ Name, Value string }

func headersOf(ev webhooks.SentEvent) []headerLine {
	var lines []headerLine
	for _, name := range slices.Sorted(maps.Keys(ev.Headers)) {
		for _, value := range ev.Headers[name] {
			lines = append(lines, headerLine{name, visible(value)})
		}
	}
	return lines
}

// PayloadText is the payload as the page shows it.
func (m messageData) PayloadText() string { return visible(indented(m.Payload)) }

// PayloadSize is what it takes, in bytes.
func (m messageData) PayloadSize() int { return len(m.Payload) }
