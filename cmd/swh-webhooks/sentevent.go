package main

import (
	"encoding/json"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/foreign"
)

// sentEventHelp explains the members of sentEventJSON.
const sentEventHelp = `event_type_name, endpoint_url, channel (that of the endpoint; null: none),
headers (an object of texts), msg_id, payload, timestamp (RFC 3339, UTC),
response, response_status_code (0: there was no answer), attempt_id,
endpoint_id, duration_ms, status ("succeeded" or "failed") and manual (true:
somebody asked for this attempt)`

// sentEventJSON is the documented form of a sent event. The first members are those of the Python
// module.
type sentEventJSON struct {
	EventType          string            `json:"event_type_name"`
	EndpointURL        string            `json:"endpoint_url"`
	Channel            *string           `json:"channel"`
	Headers            map[string]string `json:"headers"`
	MessageID          string            `json:"msg_id"`
	Payload            json.RawMessage   `json:"payload"`
	Timestamp          string            `json:"timestamp"`
	Response           string            `json:"response"`
	ResponseStatusCode int               `json:"response_status_code"`
	AttemptID          string            `json:"attempt_id"`
	EndpointID         string            `json:"endpoint_id"`
	DurationMS         int64             `json:"duration_ms"`
	Status             string            `json:"status"`
	Manual             bool              `json:"manual"`
}

func newSentEventJSON(ev webhooks.SentEvent) sentEventJSON {
	headers := map[string]string{}
	for name := range ev.Headers {
		headers[name] = ev.Headers.Get(name)
	}
	return sentEventJSON{
		EventType: ev.EventType, EndpointURL: ev.EndpointURL, Channel: nullable(ev.Channel),
		Headers: headers, MessageID: ev.MessageID, Payload: ev.Payload,
		Timestamp: timestamp(ev.Timestamp), Response: ev.Response,
		ResponseStatusCode: ev.ResponseStatusCode, AttemptID: ev.AttemptID,
		EndpointID: ev.EndpointID, DurationMS: ev.Duration.Milliseconds(),
		Status: ev.Status.String(), Manual: ev.Manual,
	}
}

func printSentEventsJSON(
	w io.Writer, output format, events iter.Seq2[webhooks.SentEvent, error],
) error {
	list := output.newList(w)
	for ev, err := range events {
		if err != nil {
			return err
		}
		if err := list.add(newSentEventJSON(ev)); err != nil {
			return err
		}
	}
	return list.close()
}

// printSentEvents prints a table of sent events, with the event type if there may be several.
func (s *settings) printSentEvents(
	w io.Writer, events iter.Seq2[webhooks.SentEvent, error], several bool,
) error {
	var rows [][]string
	failed := false
	for ev, err := range events {
		if err != nil {
			return err
		}
		rows = append(rows, s.sentEventRow(w, ev, several))
		failed = failed || ev.Status == webhooks.DeliveryFailed
	}
	if len(rows) == 0 {
		return printLine(w, "No such delivery")
	}
	if err := printTable(w, sentEventColumns, rows); err != nil || !failed || !isTerminal(w) {
		return err
	}
	return printLine(w, "To deliver one again: swh-webhooks event resend MESSAGE")
}

var sentEventColumns = []column{
	{title: "TIME"},
	{title: "ANSWER"},
	{title: "TOOK", spare: true},
	{title: "TYPE", spare: true},
	{title: "MESSAGE"},
	{title: "ENDPOINT", least: 8},
	{title: "REASON", least: 8},
}

func (s *settings) sentEventRow(w io.Writer, ev webhooks.SentEvent, several bool) []string {
	row := []string{
		s.tableTime(w, ev.Timestamp), answer(ev), took(ev.Duration), "",
		foreign.Printable(ev.MessageID), foreign.Printable(ev.EndpointURL), reason(ev),
	}
	if several {
		row[3] = foreign.Printable(ev.EventType)
	}
	return row
}

// answer is what an attempt ended with.
func answer(ev webhooks.SentEvent) string {
	if ev.ResponseStatusCode == 0 {
		return "none"
	}
	return strconv.Itoa(ev.ResponseStatusCode)
}

// reason is what is said of an attempt that failed, in one line.
func reason(ev webhooks.SentEvent) string {
	const longest = 200 // bytes, of which a table shows what fits
	if ev.Status != webhooks.DeliveryFailed {
		return ""
	}
	text := strings.ToValidUTF8(ev.Response[:min(len(ev.Response), longest)], "")
	return foreign.Printable(strings.Join(strings.Fields(text), " "))
}

// took is a duration to the millisecond, as exact as the server knows it.
func took(d time.Duration) string {
	if d < time.Millisecond {
		return "<1ms"
	}
	return d.Round(time.Millisecond).String()
}
