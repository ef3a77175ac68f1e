package main

import "github.com/spf13/cobra"

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "swh-webhooks",
		Short:         "Manage Software Heritage webhooks on a Svix server",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	return root
}
