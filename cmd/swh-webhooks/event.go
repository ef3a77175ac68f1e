package main

import (
	"encoding/json"
	"io"
	"iter"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks"
)

func newEventCommand(s *settings) *cobra.Command {
	return newGroup(s, "event", "Send events and show what was delivered",
		`  swh-webhooks event send origin.create payload.json
  swh-webhooks event list origin.create`,
		newEventSendCommand(s),
		newEventSendBatchCommand(s),
		newEventListCommand(s),
	)
}

func newEventSendCommand(s *settings) *cobra.Command {
	var channel, id string
	output := formatText
	cmd := &cobra.Command{
		Use:   "send EVENT_TYPE_NAME PAYLOAD_FILE",
		Short: "Send an event",
		Long: `Send an event to the endpoints of its type. PAYLOAD_FILE holds the payload, a
JSON object that fits the schema of the event type; "-" is standard input.
Printed are the message's id and time, or that no endpoint listens, so that
nothing was sent.

With -o json it is an object with the members message_id and timestamp, both
null if nothing was sent.`,
		Example: `  swh-webhooks event send origin.create payload.json

  # to the endpoints on a channel and those on none; only once, however often
  # the command is repeated
  echo '{"origin_url": "https://github.com/torvalds/linux"}' |
    swh-webhooks event send origin.create - --id linux-1 \
      --channel https://github.com/torvalds/linux`,
		Args:              arguments("EVENT_TYPE_NAME", "PAYLOAD_FILE"),
		ValidArgsFunction: s.completeEventTypeThenFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			payload, err := readInput(cmd, "PAYLOAD_FILE", args[1])
			if err != nil {
				return err
			}
			message, err := client.SendEvent(cmd.Context(), webhooks.Event{
				Type:    args[0],
				Channel: channel, ID: id, Payload: json.RawMessage(payload),
			})
			if err != nil {
				return explain(err, webhooks.Endpoint{EventType: args[0]})
			}
			done := sentText(args[0], message)
			if output != formatText {
				return unprinted(done, printMessageJSON(cmd.OutOrStdout(), output, message))
			}
			return confirm(cmd, "%s", done)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&channel, "channel", "c", "",
		"`CHANNEL` to send on, usually the URL of an origin")
	s.completeEndpointOption(cmd, "channel", endpointChannel)
	flags.StringVar(&id, "id", "",
		"`ID` of the event: with the same one an event is sent only once")
	addFormat(cmd, &output)
	return cmd
}

// sentText says what became of an event.
func sentText(eventType string, message webhooks.Message) string {
	if message.IsZero() {
		return "Nobody listens to " + eventType + " here: nothing was sent"
	}
	return "Sent as " + message.ID + " at " + timestamp(message.Timestamp)
}

func printMessageJSON(w io.Writer, output format, message webhooks.Message) error {
	var sent struct {
		ID        *string `json:"message_id"`
		Timestamp *string `json:"timestamp"`
	}
	if !message.IsZero() {
		at := timestamp(message.Timestamp)
		sent.ID, sent.Timestamp = &message.ID, &at
	}
	return output.print(w, sent)
}

func newEventListCommand(s *settings) *cobra.Command {
	output := formatJSON
	var endpoint webhooks.Endpoint
	var query webhooks.SentEventQuery
	cmd := &cobra.Command{
		Use:   "list EVENT_TYPE_NAME",
		Short: "Show the attempts to deliver events of a type, newest first",
		Long: `Show the attempts to deliver events of a type, newest first: to all of its
endpoints, or to the one with the given URL, where --channel is then that of
the endpoint.

Printed is an array of objects with the members event_type_name, endpoint_url,
channel (that of the endpoint; null: none), headers (an object of texts),
msg_id, payload, timestamp (RFC 3339, UTC), response, response_status_code (0:
there was no answer), attempt_id, endpoint_id and duration_ms. With -o text it
is a table of the most important ones.

` + timeHelp,
		Example: `  swh-webhooks event list origin.create --after 2h -o text

  # what one endpoint got, and answered
  swh-webhooks event list origin.create --limit 100 \
    --endpoint-url https://example.org/webhook`,
		Args:              arguments("EVENT_TYPE_NAME"),
		ValidArgsFunction: s.completeEventType,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			endpoint.EventType = args[0]
			events := client.ListSentEventsForEventType(cmd.Context(), args[0], query)
			if endpoint.URL != "" {
				endpoint.Channel, query.Channel = query.Channel, ""
				events = client.ListSentEventsForEndpoint(cmd.Context(), endpoint, query)
			}
			if output == formatText {
				err = s.printSentEvents(cmd.OutOrStdout(), events)
			} else {
				err = printSentEventsJSON(cmd.OutOrStdout(), output, events)
			}
			return explain(err, endpoint)
		},
	}
	s.freeShorthandU(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&endpoint.URL, "endpoint-url", "u", "",
		"only what went to the endpoint with this `URL`")
	flags.StringVarP(&query.Channel, "channel", "c", "",
		"only events sent on `CHANNEL`; with --endpoint-url, the channel of the endpoint")
	s.completeEndpointOption(cmd, "endpoint-url", endpointURL)
	s.completeEndpointOption(cmd, "channel", endpointChannel)
	flags.VarP(pointInTime{&query.Before}, "before", "b", "only attempts before this `TIME`")
	flags.VarP(pointInTime{&query.After}, "after", "a", "only attempts after this `TIME`")
	addLimit(cmd, &query.Limit, 10)
	addFormat(cmd, &output)
	return cmd
}

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
}

func newSentEventJSON(ev webhooks.SentEvent) sentEventJSON {
	headers := map[string]string{}
	for name := range ev.Headers {
		headers[name] = ev.Headers.Get(name)
	}
	return sentEventJSON{
		EventType: ev.EventType, EndpointURL: ev.EndpointURL, Channel: nullable(ev.Channel),
		Headers:   headers,
		MessageID: ev.MessageID, Payload: ev.Payload, Timestamp: timestamp(ev.Timestamp),
		Response: ev.Response, ResponseStatusCode: ev.ResponseStatusCode,
		AttemptID: ev.AttemptID, EndpointID: ev.EndpointID, DurationMS: ev.Duration.Milliseconds(),
	}
}

func printSentEventsJSON(w io.Writer, output format, events iter.Seq2[webhooks.SentEvent, error]) error {
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

func (s *settings) printSentEvents(w io.Writer, events iter.Seq2[webhooks.SentEvent, error]) error {
	var rows [][]string
	for ev, err := range events {
		if err != nil {
			return err
		}
		rows = append(rows, []string{
			s.tableTime(w, ev.Timestamp), answer(ev), took(ev.Duration),
			printable(ev.MessageID), printable(ev.EndpointURL),
		})
	}
	if len(rows) == 0 {
		return printLine(w, "No such delivery")
	}
	return printTable(w, []column{
		{title: "TIME"},
		{title: "ANSWER"},
		{title: "TOOK", spare: true},
		{title: "MESSAGE"},
		{title: "ENDPOINT", least: 12},
	}, rows)
}

// answer is what an attempt ended with.
func answer(ev webhooks.SentEvent) string {
	if ev.ResponseStatusCode == 0 {
		return "none"
	}
	return strconv.Itoa(ev.ResponseStatusCode)
}

// took is a duration to the millisecond, as exact as the server knows it.
func took(d time.Duration) string {
	if d < time.Millisecond {
		return "<1ms"
	}
	return d.Round(time.Millisecond).String()
}
