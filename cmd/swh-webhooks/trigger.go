package main

import (
	"encoding/json"
	"errors"
	"math/rand/v2"

	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/cmd/swh-webhooks/internal/demo"
)

func newTriggerCommand(s *settings) *cobra.Command {
	var channel, payloadFile string
	output := formatText
	cmd := &cobra.Command{
		Use:   "trigger EVENT_TYPE_NAME",
		Short: "Send a sample event, also if no endpoint listens",
		Long: `Send a sample event of the archive's event types, origin.create and
origin.visit, or one with a payload of your own. Unlike "event send" it stores
the event also if no endpoint listens, so that "listen" gets it.

` + sendJSONHelp,
		Example: `  swh-webhooks trigger origin.visit
  swh-webhooks trigger origin.create --payload payload.json`,
		Args:              arguments("EVENT_TYPE_NAME"),
		ValidArgsFunction: s.completeEventType,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := s.client(cmd, webhooks.WithoutListenerCheck())
			if err != nil {
				return err
			}
			ev, err := sampleEvent(cmd, args[0], payloadFile)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("channel") {
				ev.Channel = channel
			}
			return sendOne(cmd, client, ev, output)
		},
	}
	cmd.Flags().StringVarP(&channel, "channel", "c", "",
		"`CHANNEL` to send on (default: the URL of the sample's origin)")
	s.completeEndpointOption(cmd, "channel", endpointChannel)
	cmd.Flags().StringVar(&payloadFile, "payload", "", "`FILE` with a payload instead of a sample")
	addFormat(cmd, &output)
	return cmd
}

// sampleEvent returns an event of a type with the payload of a file, or one of the samples.
func sampleEvent(cmd *cobra.Command, eventType, payloadFile string) (webhooks.Event, error) {
	if payloadFile != "" {
		payload, err := readInput(cmd, "--payload", payloadFile)
		return webhooks.Event{Type: eventType, Payload: json.RawMessage(payload)}, err
	}
	all, err := demo.SampleEvents()
	if err != nil {
		return webhooks.Event{}, err
	}
	var samples []webhooks.Event
	for _, ev := range all {
		if ev.Type == eventType {
			samples = append(samples, ev)
		}
	}
	if len(samples) == 0 {
		return webhooks.Event{}, usageError(cmd,
			errors.New("there is no sample of "+eventType+": give a payload with --payload"))
	}
	return samples[rand.IntN(len(samples))], nil //nolint:gosec // any will do
}
