package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks"
)

// statsJSON is the documented form of what became of the deliveries to an endpoint.
type statsJSON struct {
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	Pending   int `json:"pending"`
	Sending   int `json:"sending"`
}

func newEndpointStatsCommand(s *settings) *cobra.Command {
	output := formatText
	var since, until time.Time
	cmd := newExistingEndpointAction(s, "stats", "Count the attempts to deliver to an endpoint",
		`Count the attempts to deliver to an endpoint, those that succeeded and those
that failed, in 28 days or since a time that is not longer ago.

With -o json it is an object with the members succeeded, failed, pending and
sending.

`+timeHelp,
		`  swh-webhooks endpoint stats origin.create https://example.org/webhook`,
		func(cmd *cobra.Command, client *webhooks.Client, ep webhooks.Endpoint) error {
			stats, err := client.GetEndpointStats(cmd.Context(), ep, since, until)
			if err != nil {
				return err
			}
			if output != formatText {
				return output.print(cmd.OutOrStdout(), statsJSON(stats))
			}
			text := fmt.Sprintf("%d succeeded, %d failed", stats.Succeeded, stats.Failed)
			if stats.Pending+stats.Sending > 0 {
				text += fmt.Sprintf(", %d pending, %d on their way", stats.Pending, stats.Sending)
			}
			return printLine(cmd.OutOrStdout(), text)
		})
	addRange(cmd, &since, &until, "28 days ago")
	addFormat(cmd, &output)
	return cmd
}

func newEndpointRecoverCommand(s *settings) *cobra.Command {
	var since, until time.Time
	var dryRun bool
	cmd := newExistingEndpointAction(s, "recover", "Deliver again what an endpoint failed to receive",
		`Deliver again all messages that an endpoint failed to receive in 14 days, or
since a time that is not longer ago. The server does so by and by after the
command has ended: "event follow" and "endpoint stats" show it.

`+timeHelp,
		`  swh-webhooks endpoint recover origin.create https://example.org/webhook \
    --since yesterday`,
		func(cmd *cobra.Command, client *webhooks.Client, ep webhooks.Endpoint) error {
			if dryRun {
				stats, err := client.GetEndpointStats(cmd.Context(), ep, since, until)
				if err != nil {
					return err
				}
				return confirm(cmd, "Would be recovered: the endpoint %s, with %d failed attempts",
					describe(ep), stats.Failed)
			}
			if err := client.RecoverEndpoint(cmd.Context(), ep, since, until); err != nil {
				return err
			}
			return confirm(cmd, "The server delivers again what failed to the endpoint %s", describe(ep))
		})
	addRange(cmd, &since, &until, "14 days ago")
	addDryRun(cmd, &dryRun)
	return cmd
}

// addRange adds the options that bound a range of time.
func addRange(cmd *cobra.Command, since, until *time.Time, longest string) {
	cmd.Flags().Var(pointInTime{since}, "since", "from this `TIME` on (default: "+longest+")")
	cmd.Flags().Var(pointInTime{until}, "until", "up to this `TIME` (default: now)")
}
