package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks"
)

func newEventResendCommand(s *settings) *cobra.Command {
	var eventType string
	var endpoint webhooks.Endpoint
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "resend MESSAGE",
		Short: "Deliver a message once more",
		Long: `Deliver a message once more: to the endpoint that is named, or to each endpoint
whose newest attempt failed. MESSAGE is the id of the server, which "event list"
shows, or the one that the event was sent with.

The server makes one attempt, and takes back the ones that it has planned still.
"event show MESSAGE" tells what came of it.`,
		Example: `  swh-webhooks event resend linux-1 --type origin.create \
    --endpoint https://example.org/webhook`,
		Args: arguments("MESSAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			message, attempts, err := findMessage(cmd.Context(), client, eventType, args[0])
			if err != nil {
				return err
			}
			endpoint.EventType = message.EventType
			endpoints := []webhooks.Endpoint{endpoint}
			if endpoint.URL == "" && endpoint.ID == "" {
				if endpoints, err = failedEndpoints(attempts); err != nil {
					return err
				}
			}
			for _, ep := range endpoints {
				if err := resend(cmd, client, ep, message.ID, dryRun); err != nil {
					return explain(err, ep)
				}
			}
			return nil
		},
	}
	s.addMessageType(cmd, &eventType)
	flags := cmd.Flags()
	flags.StringVar(&endpoint.URL, "endpoint", "", "to the endpoint with this `URL`")
	flags.StringVar(&endpoint.ID, "endpoint-id", "", "... or with this `ID` of the server")
	flags.StringVarP(&endpoint.Channel, "channel", "c", "", "`CHANNEL` of that endpoint")
	addDryRun(cmd, &dryRun)
	return cmd
}

// failedEndpoints are the endpoints whose newest attempt failed.
func failedEndpoints(attempts []webhooks.SentEvent) ([]webhooks.Endpoint, error) {
	seen := map[string]bool{}
	var failed []webhooks.Endpoint
	for _, attempt := range attempts {
		if !seen[attempt.EndpointID] && attempt.Status == webhooks.DeliveryFailed {
			failed = append(failed, webhooks.Endpoint{
				EventType: attempt.EventType, URL: attempt.EndpointURL, Channel: attempt.Channel,
				ID: attempt.EndpointID,
			})
		}
		seen[attempt.EndpointID] = true
	}
	if len(failed) == 0 {
		return nil, inputError{errors.New(
			"no delivery of this message has failed in the end: name an endpoint with --endpoint")}
	}
	return failed, nil
}

func resend(
	cmd *cobra.Command, client *webhooks.Client, ep webhooks.Endpoint, id string, dryRun bool,
) error {
	if dryRun {
		return confirm(cmd, "Would be sent again: %s to the endpoint %s", id, describe(ep))
	}
	if err := client.ResendMessage(cmd.Context(), ep, id); err != nil {
		return err
	}
	return confirm(cmd, "Sent again: %s to the endpoint %s (see: swh-webhooks event show %s)",
		id, describe(ep), id)
}
