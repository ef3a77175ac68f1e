package main

import (
	"encoding/json"
	"io"

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
		newEventFollowCommand(s),
		newEventShowCommand(s),
		newEventResendCommand(s),
	)
}

const sendJSONHelp = `With -o json it is an object with the members message_id and timestamp, both
null if nothing was sent.`

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

` + sendJSONHelp,
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
			return sendOne(cmd, client, webhooks.Event{
				Type: args[0], Channel: channel, ID: id, Payload: json.RawMessage(payload),
			}, output)
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

// sendOne sends an event and says what became of it.
func sendOne(
	cmd *cobra.Command, client *webhooks.Client, ev webhooks.Event, output format,
) error {
	message, err := client.SendEvent(cmd.Context(), ev)
	if err != nil {
		return explain(err, webhooks.Endpoint{EventType: ev.Type})
	}
	done := sentText(ev.Type, message)
	if output != formatText {
		return unprinted(done, printMessageJSON(cmd.OutOrStdout(), output, message))
	}
	return confirm(cmd, "%s", done)
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
