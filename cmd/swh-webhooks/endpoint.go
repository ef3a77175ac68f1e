package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/foreign"
)

func newEndpointCommand(s *settings) *cobra.Command {
	return newGroup(s, "endpoint", "Create and show endpoints, the URLs that receive events",
		`  swh-webhooks endpoint create origin.create https://example.org/webhook
  swh-webhooks endpoint list origin.create`,
		newEndpointCreateCommand(s),
		newEndpointEnsureCommand(s),
		newEndpointGetSecretCommand(s),
		newEndpointListCommand(s),
		newEndpointDeleteCommand(s),
		newEndpointSwitchCommand(s, "enable", "Let an endpoint receive events again", false),
		newEndpointSwitchCommand(s, "disable", "Stop all deliveries to an endpoint", true),
		newEndpointRotateSecretCommand(s),
		newEndpointStatsCommand(s),
		newEndpointRecoverCommand(s),
	)
}

// An endpointAction is what a command does with the endpoint that it names.
type endpointAction func(cmd *cobra.Command, client *webhooks.Client, ep webhooks.Endpoint) error

// newEndpointAction returns a command about one endpoint, which its arguments and the option
// --channel name.
func newEndpointAction(
	s *settings, use, short, long, example string, action endpointAction,
) *cobra.Command {
	var channel string
	cmd := &cobra.Command{
		Use:               use + " EVENT_TYPE_NAME URL",
		Short:             short,
		Long:              long,
		Example:           example,
		Args:              arguments("EVENT_TYPE_NAME", "URL"),
		ValidArgsFunction: s.completeEndpoint,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			ep := webhooks.Endpoint{EventType: args[0], Channel: channel}
			if len(args) > 1 {
				ep.URL = args[1]
			}
			if flag := cmd.Flags().Lookup("id"); flag != nil {
				ep.ID = flag.Value.String()
			}
			return explain(action(cmd, client, ep), ep)
		},
	}
	cmd.Flags().StringVarP(&channel, "channel", "c", "",
		"`CHANNEL` of the endpoint, usually the URL of an origin")
	s.completeEndpointOption(cmd, "channel", endpointChannel)
	return cmd
}

// newExistingEndpointAction is newEndpointAction for an endpoint that is there, which may be named
// by the id of the server instead of its URL.
func newExistingEndpointAction(
	s *settings, use, short, long, example string, action endpointAction,
) *cobra.Command {
	cmd := newEndpointAction(s, use, short, long, example, action)
	cmd.Use = use + " EVENT_TYPE_NAME [URL]"
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("id") {
			return arguments("EVENT_TYPE_NAME", "[URL]")(cmd, args)
		}
		return arguments("EVENT_TYPE_NAME", "URL")(cmd, args)
	}
	cmd.Flags().String("id", "", "`ID` of the endpoint on the server, instead of its URL")
	s.completeEndpointOption(cmd, "id", endpointID)
	return cmd
}

func newEndpointCreateCommand(s *settings) *cobra.Command {
	var secret string
	metadata := pairs{}
	cmd := newEndpointAction(s, "create", "Create an endpoint, or change its secret and metadata",
		`Create an endpoint: events of the type are posted to the URL, all of them or
those sent on the channel.

An endpoint that is there already is enabled, gets the metadata given and a new
secret: the one given or else one that the server makes. Deliveries are signed
with the former secret, too, for 24 hours.`,
		`  swh-webhooks endpoint create origin.create https://example.org/webhook

  # only what happens to one origin, with a note for colleagues and a secret
  # that others do not see
  swh-webhooks endpoint create origin.visit https://example.org/linux \
    --channel https://github.com/torvalds/linux --metadata team=kernel \
    --secret - < secret.txt`,
		func(cmd *cobra.Command, client *webhooks.Client, ep webhooks.Endpoint) error {
			ep.Metadata = metadata
			secret, err := givenSecret(cmd, secret)
			if err != nil {
				return err
			}
			return createEndpoint(cmd, client, ep, secret)
		})
	addSecret(cmd, &secret)
	cmd.Flags().VarP(metadata, "metadata", "m",
		"`KEY=VALUE` kept with the endpoint; repeat for more")
	return cmd
}

// createEndpoint says of an endpoint that was there already what became of its secret.
func createEndpoint(
	cmd *cobra.Command, client *webhooks.Client, ep webhooks.Endpoint, secret string,
) error {
	former, err := client.GetEndpointSecret(cmd.Context(), ep)
	isNew := errors.Is(err, webhooks.ErrEndpointNotFound)
	if err != nil && !isNew {
		return err
	}
	if err := client.CreateEndpoint(cmd.Context(), ep, secret); err != nil {
		return err
	}
	switch {
	case isNew:
		return confirm(cmd, "Created the endpoint %s", describe(ep))
	case former == secret:
		return confirm(cmd, "Updated the endpoint %s; its secret is the same", describe(ep))
	}
	const kept = 24 * time.Hour
	return confirm(cmd, "Updated the endpoint %s; it has a new secret, the old one holds until %s; "+
		"to keep the secret: endpoint ensure", describe(ep), time.Now().Add(kept).UTC().Format(time.RFC3339))
}

func newEndpointEnsureCommand(s *settings) *cobra.Command {
	metadata := pairs{}
	cmd := newEndpointAction(s, "ensure", "Create an endpoint if it is missing",
		`Create an endpoint if it is missing. One that is there keeps its secret, and is
enabled or not as before; its metadata becomes that given.`,
		`  swh-webhooks endpoint ensure origin.create https://example.org/webhook`,
		func(cmd *cobra.Command, client *webhooks.Client, ep webhooks.Endpoint) error {
			ep.Metadata = metadata
			if err := client.EnsureEndpoint(cmd.Context(), ep); err != nil {
				return err
			}
			return confirm(cmd, "The endpoint %s is there", describe(ep))
		})
	cmd.Flags().VarP(metadata, "metadata", "m",
		"`KEY=VALUE` kept with the endpoint; repeat for more")
	return cmd
}

func addSecret(cmd *cobra.Command, secret *string) {
	cmd.Flags().StringVarP(secret, "secret", "s", "",
		"`SECRET` to sign with, \"whsec_\" and 24 to 75 bytes in base64; \"-\" reads it "+
			"from standard input, where other users do not see it (default: a new one)")
}

// givenSecret returns the secret that the option gives or standard input has.
func givenSecret(cmd *cobra.Command, option string) (string, error) {
	if option != "-" {
		return option, nil
	}
	text, err := readInput(cmd, "--secret", "-")
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", inputError{errors.New("there is no secret on standard input")}
	}
	return secret, nil
}

func newEndpointGetSecretCommand(s *settings) *cobra.Command {
	output := formatText
	cmd := newExistingEndpointAction(s, "get-secret",
		"Print the secret that deliveries to an endpoint are signed with",
		`Print the secret that deliveries to an endpoint are signed with.

With -o json it is an object with the member secret.`,
		`  swh-webhooks endpoint get-secret origin.create https://example.org/webhook`,
		func(cmd *cobra.Command, client *webhooks.Client, ep webhooks.Endpoint) error {
			secret, err := client.GetEndpointSecret(cmd.Context(), ep)
			if err != nil {
				return err
			}
			return printSecret(cmd.OutOrStdout(), output, secret)
		})
	addFormat(cmd, &output)
	return cmd
}

func printSecret(w io.Writer, output format, secret string) error {
	if output != formatText {
		return output.print(w, map[string]string{"secret": secret})
	}
	return printLine(w, foreign.Printable(secret))
}

func newEndpointListCommand(s *settings) *cobra.Command {
	output := formatText
	var quiet bool
	var query webhooks.EndpointQuery
	cmd := &cobra.Command{
		Use:   "list EVENT_TYPE_NAME",
		Short: "Show the endpoints of an event type",
		Long: `Show the endpoints of an event type, newest first: as a table on a terminal,
else one URL per line.

With -o json they are an array of objects with the members event_type_name,
url, channel (null: none), enabled, metadata (an object of texts) and id, that
of the server.`,
		Example: `  swh-webhooks endpoint list origin.visit

  # the URLs that events about one origin go to, oldest first
  swh-webhooks endpoint list origin.visit -q --ascending-order \
    --channel https://github.com/torvalds/linux`,
		Args:              arguments("EVENT_TYPE_NAME"),
		ValidArgsFunction: s.completeEventType,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			endpoints, err := webhooks.Collect(client.ListEndpoints(cmd.Context(), args[0], query))
			if err != nil {
				return explain(err, webhooks.Endpoint{EventType: args[0]})
			}
			out := cmd.OutOrStdout()
			switch {
			case output != formatText:
				return printEndpointsJSON(out, output, endpoints)
			case quiet || !isTerminal(out):
				return printEndpointURLs(out, endpoints)
			}
			return printEndpoints(out, args[0], endpoints)
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&query.Ascending, "ascending-order", "a", false, "oldest first")
	flags.StringVarP(&query.Channel, "channel", "c", "",
		"only endpoints that receive what is sent on `CHANNEL`: those on it and those on none")
	s.completeEndpointOption(cmd, "channel", endpointChannel)
	flags.BoolVar(&query.NoChannel, "no-channel", false, "only endpoints on no channel")
	flags.BoolVarP(&quiet, "quiet", "q", false, "only the URLs, on a terminal too")
	addLimit(cmd, &query.Limit, 0)
	addFormat(cmd, &output)
	return cmd
}

// endpointJSON is the documented form of an endpoint.
type endpointJSON struct {
	EventType string            `json:"event_type_name"`
	URL       string            `json:"url"`
	Channel   *string           `json:"channel"`
	Enabled   bool              `json:"enabled"`
	Metadata  map[string]string `json:"metadata"`
	ID        string            `json:"id"`
}

func printEndpointsJSON(w io.Writer, output format, endpoints []webhooks.Endpoint) error {
	list := output.newList(w)
	for _, ep := range endpoints {
		item := endpointJSON{
			EventType: ep.EventType, URL: ep.URL, Channel: nullable(ep.Channel),
			Enabled: !ep.Disabled, Metadata: ep.Metadata, ID: ep.ID,
		}
		if item.Metadata == nil {
			item.Metadata = map[string]string{}
		}
		if err := list.add(item); err != nil {
			return err
		}
	}
	return list.close()
}

// nullable is null in JSON for the empty text.
func nullable(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func printEndpointURLs(w io.Writer, endpoints []webhooks.Endpoint) error {
	for _, ep := range endpoints {
		if err := printLine(w, foreign.Printable(ep.URL)); err != nil {
			return err
		}
	}
	return nil
}

func printEndpoints(w io.Writer, eventType string, endpoints []webhooks.Endpoint) error {
	if len(endpoints) == 0 {
		return printLine(w, "No such endpoint of "+eventType)
	}
	rows := make([][]string, len(endpoints))
	for i, ep := range endpoints {
		rows[i] = []string{
			foreign.Printable(ep.URL), foreign.Printable(cmp.Or(ep.Channel, "-")), state(ep),
			foreign.Printable(metadataText(ep.Metadata)),
		}
	}
	return printTable(w, []column{
		{title: "URL", least: 20},
		{title: "CHANNEL", least: 12},
		{title: "STATE"},
		{title: "METADATA", least: 8},
	}, rows)
}

func state(ep webhooks.Endpoint) string {
	if ep.Disabled {
		return "disabled"
	}
	return "enabled"
}

func metadataText(metadata map[string]string) string {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		pairs = append(pairs, key+"="+metadata[key])
	}
	return strings.Join(pairs, " ")
}

func newEndpointDeleteCommand(s *settings) *cobra.Command {
	var yes, dryRun bool
	cmd := newExistingEndpointAction(s, "delete", "Delete an endpoint",
		`Delete an endpoint. Deliveries to it that are still to come are dropped. On a
terminal it asks before.`,
		`  swh-webhooks endpoint delete origin.create https://example.org/webhook`,
		func(cmd *cobra.Command, client *webhooks.Client, ep webhooks.Endpoint) error {
			if dryRun {
				if _, err := client.GetEndpointSecret(cmd.Context(), ep); err != nil {
					return err
				}
				return confirm(cmd, "Would be deleted: the endpoint %s", describe(ep))
			}
			if !yes && !agrees(cmd, "Delete the endpoint %s?", describe(ep)) {
				return errNotAgreed
			}
			if err := client.DeleteEndpoint(cmd.Context(), ep); err != nil {
				return err
			}
			return confirm(cmd, "Deleted the endpoint %s", describe(ep))
		})
	addYes(cmd, &yes)
	addDryRun(cmd, &dryRun)
	return cmd
}

// newEndpointSwitchCommand returns the command that enables or disables an endpoint.
func newEndpointSwitchCommand(s *settings, use, short string, disabled bool) *cobra.Command {
	return newExistingEndpointAction(s, use, short,
		short+`. Its secret and metadata stay as they are.`,
		`  swh-webhooks endpoint `+use+` origin.create https://example.org/webhook`,
		func(cmd *cobra.Command, client *webhooks.Client, ep webhooks.Endpoint) error {
			if err := client.SetEndpointDisabled(cmd.Context(), ep, disabled); err != nil {
				return err
			}
			ep.Disabled = disabled
			return confirm(cmd, "The endpoint %s is %s", describe(ep), state(ep))
		})
}

func newEndpointRotateSecretCommand(s *settings) *cobra.Command {
	var secret string
	var show bool
	output := formatText
	cmd := newExistingEndpointAction(s, "rotate-secret", "Give an endpoint a new secret",
		`Give an endpoint a new secret. Deliveries are signed with the former one, too,
for 24 hours, so that the receiver can change over meanwhile.

With --show the secret is printed as "endpoint get-secret" does, with -o json
as there.`,
		`  swh-webhooks endpoint rotate-secret --show \
    origin.create https://example.org/webhook`,
		func(cmd *cobra.Command, client *webhooks.Client, ep webhooks.Endpoint) error {
			secret, err := givenSecret(cmd, secret)
			if err != nil {
				return err
			}
			if err := client.RotateEndpointSecret(cmd.Context(), ep, secret); err != nil {
				return err
			}
			done := fmt.Sprintf("The endpoint %s has a new secret", describe(ep))
			if !show {
				return confirm(cmd, "%s", done)
			}
			if secret, err = client.GetEndpointSecret(cmd.Context(), ep); err != nil {
				return err
			}
			return unprinted(done, printSecret(cmd.OutOrStdout(), output, secret))
		})
	addSecret(cmd, &secret)
	cmd.Flags().BoolVar(&show, "show", false, "print the new secret")
	addFormat(cmd, &output)
	return cmd
}
