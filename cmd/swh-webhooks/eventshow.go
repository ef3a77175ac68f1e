package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/foreign"
)

// messageJSON is the documented form of a message and of what became of it.
type messageJSON struct {
	ID        string          `json:"msg_id"`
	EventID   *string         `json:"event_id"`
	EventType string          `json:"event_type_name"`
	Channel   *string         `json:"channel"`
	Timestamp string          `json:"timestamp"`
	Payload   json.RawMessage `json:"payload"`
	Attempts  []sentEventJSON `json:"attempts"`
}

func newEventShowCommand(s *settings) *cobra.Command {
	output := formatText
	var eventType string
	cmd := &cobra.Command{
		Use:   "show MESSAGE",
		Short: "Show a message: its payload and the attempts to deliver it",
		Long: `Show a message: what was sent, and each attempt to deliver it, newest first,
with the headers of the newest. MESSAGE is the id of the server, which "event
list" shows, or the one that the event was sent with.

With -o json it is an object with the members msg_id, event_id (null: none),
event_type_name, channel (null: none), timestamp (RFC 3339, UTC), payload and
attempts, an array of objects as "event list" prints them.`,
		Example: `  swh-webhooks event show linux-1 --type origin.create`,
		Args:    arguments("MESSAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			message, attempts, err := findMessage(cmd.Context(), client, eventType, args[0])
			if err != nil {
				return err
			}
			if output != formatText {
				return output.print(cmd.OutOrStdout(), newMessageJSON(message, attempts))
			}
			return s.printMessage(cmd.OutOrStdout(), message, attempts)
		},
	}
	s.addMessageType(cmd, &eventType)
	addFormat(cmd, &output)
	return cmd
}

// addMessageType adds the option that says of which type a message is, and completes messages.
func (s *settings) addMessageType(cmd *cobra.Command, eventType *string) {
	cmd.Flags().StringVar(eventType, "type", "",
		"`NAME` of the event type, so that only this one is searched")
	_ = cmd.RegisterFlagCompletionFunc("type", // fails only for an option that is not there
		func(cmd *cobra.Command, _ []string, _ string) (completions, directive) {
			return s.complete(cmd, eventTypeNames)
		})
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) (completions, directive) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return s.complete(cmd, func(ctx context.Context, client *webhooks.Client) completions {
			return recentMessages(ctx, client, *eventType)
		})
	}
}

// recentMessages are the ids of a few messages of each type, newest first.
func recentMessages(ctx context.Context, client *webhooks.Client, eventType string) completions {
	const few = 10
	types := []string{eventType}
	if eventType == "" {
		types, _ = followedTypes(ctx, client, nil) // without a server there are none
	}
	var ids completions
	for _, name := range types {
		for message, err := range client.ListMessages(ctx, name, webhooks.MessageQuery{Limit: few}) {
			if err != nil {
				break
			}
			ids = append(ids, cobra.CompletionWithDesc(message.ID, name+" "+timestamp(message.Timestamp)))
		}
	}
	return ids
}

// findMessage returns a message and the attempts to deliver it. Without an event type it asks for
// the message under each.
func findMessage(
	ctx context.Context, client *webhooks.Client, eventType, id string,
) (webhooks.SentMessage, []webhooks.SentEvent, error) {
	types := []string{eventType}
	if eventType == "" {
		var err error
		if types, err = followedTypes(ctx, client, nil); err != nil {
			return webhooks.SentMessage{}, nil, err
		}
	}
	for _, name := range types {
		message, err := client.GetMessage(ctx, name, id)
		if errors.Is(err, webhooks.ErrMessageNotFound) {
			continue
		}
		if err != nil {
			return message, nil, explain(err, webhooks.Endpoint{EventType: name})
		}
		attempts, err := webhooks.Collect(client.ListSentEventsForMessage(ctx, name, id))
		return message, attempts, explain(err, webhooks.Endpoint{EventType: name})
	}
	where := "of any event type"
	if eventType != "" {
		where = "of event type " + eventType
	}
	return webhooks.SentMessage{}, nil, namedError{
		"there is no message " + id + " " + where + " (see: swh-webhooks event list)",
		webhooks.ErrMessageNotFound,
	}
}

func newMessageJSON(message webhooks.SentMessage, attempts []webhooks.SentEvent) messageJSON {
	shown := messageJSON{
		ID: message.ID, EventID: nullable(message.EventID), EventType: message.EventType,
		Channel: nullable(message.Channel), Timestamp: timestamp(message.Timestamp),
		Payload: message.Payload, Attempts: []sentEventJSON{},
	}
	for _, attempt := range attempts {
		shown.Attempts = append(shown.Attempts, newSentEventJSON(attempt))
	}
	return shown
}

func (s *settings) printMessage(
	w io.Writer, message webhooks.SentMessage, attempts []webhooks.SentEvent,
) error {
	payload, err := appendJSON(nil, message.Payload, "")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "message  %s\nevent    %s\ntype     %s\nchannel  %s\nsent     %s\n\n%s\n%s\n\n",
		foreign.Printable(message.ID), foreign.Printable(orDash(message.EventID)), foreign.Printable(message.EventType),
		foreign.Printable(orDash(message.Channel)), timestamp(message.Timestamp),
		bold(w, "Payload:"), indented(string(payload)))
	if err != nil {
		return err
	}
	if len(attempts) == 0 {
		return printLine(w, "No attempt to deliver it was made: no endpoint listened, or it has just been sent.")
	}
	var rows [][]string
	for _, attempt := range attempts {
		rows = append(rows, append(s.sentEventRow(w, attempt, false), by(attempt)))
	}
	columns := append(slices.Clone(sentEventColumns), column{title: "BY"})
	columns = slices.Delete(columns, messageColumn, messageColumn+1)
	for i := range rows {
		rows[i] = slices.Delete(rows[i], messageColumn, messageColumn+1)
	}
	if err := printTable(w, columns, rows); err != nil {
		return err
	}
	return printHeaders(w, attempts[0])
}

const messageColumn = 4 // of sentEventColumns

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// by is who asked for an attempt.
func by(attempt webhooks.SentEvent) string {
	if attempt.Manual {
		return "hand"
	}
	return ""
}

func printHeaders(w io.Writer, attempt webhooks.SentEvent) error {
	if err := printLine(w, "\n"+bold(w, "Headers of the newest:")); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(attempt.Headers)) {
		text := foreign.Printable(name) + ": " + foreign.Printable(attempt.Headers.Get(name))
		if err := printLine(w, indented(text)); err != nil {
			return err
		}
	}
	return nil
}
