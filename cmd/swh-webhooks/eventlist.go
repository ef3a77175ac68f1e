package main

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks"
)

func newEventListCommand(s *settings) *cobra.Command {
	output := formatJSON
	var endpoint webhooks.Endpoint
	var query webhooks.SentEventQuery
	cmd := &cobra.Command{
		Use:   "list [EVENT_TYPE_NAME]",
		Short: "Show the attempts to deliver events, newest first",
		Long: `Show the attempts to deliver events of a type, or of all types if none is named,
newest first: to all of its endpoints, or to the one with the given URL or id;
--channel is then that of the endpoint.

Printed is an array of objects with the members
` + sentEventHelp + `.
With -o text it is a table of the most important ones, and of the reasons of
failures.

` + timeHelp,
		Example: `  swh-webhooks event list origin.create --after 2h -o text

  # what failed today, of whatever type, and why
  swh-webhooks event list --failed --after today -o text

  # what one endpoint got, and answered
  swh-webhooks event list origin.create --limit 100 \
    --endpoint-url https://example.org/webhook`,
		Args:              arguments("[EVENT_TYPE_NAME]"),
		ValidArgsFunction: s.completeEventType,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			isEndpoint := endpoint.URL != "" || endpoint.ID != ""
			var events iter.Seq2[webhooks.SentEvent, error]
			switch {
			case len(args) == 1:
				endpoint.EventType = args[0]
				events = client.ListSentEventsForEventType(cmd.Context(), args[0], query)
			case isEndpoint:
				return usageError(cmd, errors.New("the event type of the endpoint is missing"))
			default:
				events = listAllTypes(cmd.Context(), client, query)
			}
			if isEndpoint {
				endpoint.Channel, query.Channel = query.Channel, ""
				events = client.ListSentEventsForEndpoint(cmd.Context(), endpoint, query)
			}
			if output == formatText {
				err = s.printSentEvents(cmd.OutOrStdout(), events, len(args) == 0)
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
	flags.StringVar(&endpoint.ID, "endpoint-id", "", "... or with this `ID` of the server")
	flags.StringVarP(&query.Channel, "channel", "c", "",
		"only events sent on `CHANNEL`; with an endpoint, the channel of the endpoint")
	s.completeEndpointOption(cmd, "endpoint-url", endpointURL)
	s.completeEndpointOption(cmd, "endpoint-id", endpointID)
	s.completeEndpointOption(cmd, "channel", endpointChannel)
	flags.VarP(pointInTime{&query.Before}, "before", "b", "only attempts before this `TIME`")
	flags.VarP(pointInTime{&query.After}, "after", "a", "only attempts after this `TIME`")
	addStatus(cmd, &query.Status)
	flags.BoolVar(&query.IncludeDeleted, "include-deleted", false,
		"with --after, also what went to endpoints that were deleted since")
	addLimit(cmd, &query.Limit, 10)
	addFormat(cmd, &output)
	return cmd
}

// listAllTypes lists the attempts of all event types, newest first.
func listAllTypes(
	ctx context.Context, client *webhooks.Client, query webhooks.SentEventQuery,
) iter.Seq2[webhooks.SentEvent, error] {
	return func(yield func(webhooks.SentEvent, error) bool) {
		events, err := collectAllTypes(ctx, client, query)
		if err != nil {
			yield(webhooks.SentEvent{}, err)
			return
		}
		slices.SortStableFunc(events, func(a, b webhooks.SentEvent) int {
			return b.Timestamp.Compare(a.Timestamp)
		})
		for _, ev := range events[:min(len(events), cmp.Or(query.Limit, len(events)))] {
			if !yield(ev, nil) {
				return
			}
		}
	}
}

func collectAllTypes(
	ctx context.Context, client *webhooks.Client, query webhooks.SentEventQuery,
) ([]webhooks.SentEvent, error) {
	var all []webhooks.SentEvent
	for et, err := range client.ListEventTypes(ctx) {
		if err != nil {
			return nil, err
		}
		events, err := webhooks.Collect(client.ListSentEventsForEventType(ctx, et.Name, query))
		if err != nil {
			return nil, err
		}
		all = append(all, events...)
	}
	return all, nil
}

// A deliveryStatus is an option that is the outcome of an attempt.
type deliveryStatus struct{ status *webhooks.DeliveryStatus }

// String, Set and Type make a deliveryStatus an option.
func (d deliveryStatus) String() string {
	if d.status == nil || *d.status == 0 {
		return ""
	}
	return d.status.String()
}

// Set takes the name of an outcome.
func (d deliveryStatus) Set(text string) error {
	for _, status := range []webhooks.DeliveryStatus{
		webhooks.DeliverySucceeded, webhooks.DeliveryFailed,
	} {
		if text == status.String() {
			return d.set(status)
		}
	}
	return errors.New("want succeeded or failed")
}

func (d deliveryStatus) set(status webhooks.DeliveryStatus) error {
	if *d.status != 0 && *d.status != status {
		return errors.New("--status and --failed contradict each other")
	}
	*d.status = status
	return nil
}

// Type is what the help calls the value.
func (d deliveryStatus) Type() string { return "STATUS" }

// addStatus adds the options that select attempts by their outcome.
func addStatus(cmd *cobra.Command, status *webhooks.DeliveryStatus) {
	flags := cmd.Flags()
	flags.Var(deliveryStatus{status}, "status", "only attempts that succeeded or failed")
	flags.BoolFunc("failed", "the same as --status failed", func(string) error {
		return deliveryStatus{status}.set(webhooks.DeliveryFailed)
	})
	_ = cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions( // fails only without option
		completions{"succeeded", "failed"}, cobra.ShellCompDirectiveNoFileComp))
}
