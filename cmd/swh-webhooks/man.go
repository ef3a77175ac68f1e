package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIRECTORY",
		Short: "Write a manual page for each command",
		Long: `Write a manual page for each command into a directory that exists, such as
~/.local/share/man/man1. They say what --help does.`,
		Example: `  mkdir -p man1
  swh-webhooks man man1`,
		Args: arguments("DIRECTORY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true // no date of the build in each page
			header := &doc.GenManHeader{
				Title: strings.ToUpper(root.Name()), Section: "1",
				Source: root.Name() + " " + buildVersion().Version, Manual: "Software Heritage webhooks",
			}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return unusable("DIRECTORY", args[0], err)
			}
			return confirm(cmd, "Wrote the manual pages into %s", args[0])
		},
	}
}
