package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks"
)

func newCompletionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that lets a shell complete commands and names",
		Long: `Print a script that lets a shell complete commands, options, names of event
types and URLs of endpoints. The names come from the server, so the shell needs
to know it, by SWH_CONFIG_FILENAME or by SVIX_URL and SVIX_TOKEN.`,
		Example: `  # into a file that ~/.bashrc sources
  swh-webhooks completion bash > swh-webhooks.bash

  # into a directory of zsh's $fpath, and into ~/.config/fish/completions
  swh-webhooks completion zsh > _swh-webhooks
  swh-webhooks completion fish > swh-webhooks.fish`,
		Args:      arguments("SHELL"),
		ValidArgs: []cobra.Completion{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return unusable("SHELL", args[0], errors.New("want bash, zsh, fish or powershell"))
		},
	}
}

// completionTimeout is how long a user who presses Tab waits for the server.
const completionTimeout = 2 * time.Second

type (
	completions = []cobra.Completion
	directive   = cobra.ShellCompDirective
)

// complete calls list with a client for the server, and does without if there is none.
func (s *settings) complete(
	cmd *cobra.Command, list func(ctx context.Context, client *webhooks.Client) completions,
) (completions, directive) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	client, err := s.client(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return list(ctx, client), cobra.ShellCompDirectiveNoFileComp
}

// completeEventType completes the name of an event type as the only argument.
func (s *settings) completeEventType(
	cmd *cobra.Command, args []string, _ string,
) (completions, directive) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return s.complete(cmd, eventTypeNames)
}

// completeEventTypeThenFile completes the name of an event type, then files.
func (s *settings) completeEventTypeThenFile(
	cmd *cobra.Command, args []string, toComplete string,
) (completions, directive) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return s.completeEventType(cmd, args, toComplete)
}

// completeEndpoint completes the name of an event type, then the URL of one of its endpoints.
func (s *settings) completeEndpoint(
	cmd *cobra.Command, args []string, toComplete string,
) (completions, directive) {
	if len(args) != 1 {
		return s.completeEventType(cmd, args, toComplete)
	}
	return s.completeEndpoints(cmd, args, endpointURL)
}

// completeEndpointOption completes the option of cmd whose values endpoints of the event type, the
// first argument, have.
func (s *settings) completeEndpointOption(
	cmd *cobra.Command, name string, member func(webhooks.Endpoint) string,
) {
	_ = cmd.RegisterFlagCompletionFunc(name, // fails only for an option that is not there
		func(cmd *cobra.Command, args []string, _ string) (completions, directive) {
			return s.completeEndpoints(cmd, args, member)
		})
}

func endpointChannel(ep webhooks.Endpoint) string { return ep.Channel }

func endpointURL(ep webhooks.Endpoint) string { return ep.URL }

func endpointID(ep webhooks.Endpoint) string { return ep.ID }

// completeEndpoints completes what the endpoints of the event type that is the first argument have,
// each value once.
func (s *settings) completeEndpoints(
	cmd *cobra.Command, args []string, member func(webhooks.Endpoint) string,
) (completions, directive) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return s.complete(cmd, func(ctx context.Context, client *webhooks.Client) completions {
		var values completions
		for ep, err := range client.ListEndpoints(ctx, args[0], webhooks.EndpointQuery{}) {
			if err != nil {
				break
			}
			if value := member(ep); value != "" && !slices.Contains(values, value) {
				values = append(values, value)
			}
		}
		return values
	})
}

func eventTypeNames(ctx context.Context, client *webhooks.Client) completions {
	var names completions
	for et, err := range client.ListEventTypes(ctx) {
		if err != nil {
			break
		}
		names = append(names, cobra.CompletionWithDesc(et.Name, et.Description))
	}
	return names
}
