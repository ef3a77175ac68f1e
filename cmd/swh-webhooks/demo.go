package main

import (
	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks/cmd/swh-webhooks/internal/demo"
)

func newDemoCommand() *cobra.Command {
	var refuse uint
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Send real events to a receiver, all inside this process",
		Long: `Send real events to a receiver, all inside this process.

The demonstration starts a mock Svix server and a receiver on ports of this
machine, registers the event types, creates endpoints, sends an event for each
of some hundred origins and visits, verifies every delivery, tries an invalid
payload and lists what was sent. It needs neither configuration nor network,
and leaves nothing behind.

It succeeds only if every delivery was verified. To see that it would notice
otherwise, let the receiver refuse some with --refuse.`,
		Example: `  swh-webhooks demo`,
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			return demo.Run(cmd.Context(), demo.Options{
				Out: out, Color: wantsColor(out),
				Refuse: refuse,
			})
		},
	}
	cmd.Flags().UintVar(&refuse, "refuse", 0, "let the receiver refuse this `NUMBER` of deliveries")
	return cmd
}
