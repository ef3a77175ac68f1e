package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks"
)

// A checkup is what was found, in the documented form.
type checkup struct {
	ConfigFile *string `json:"config_file"` // null: none
	ServerURL  string  `json:"server_url"`
	URLFrom    string  `json:"server_url_from"`
	TokenFrom  string  `json:"token_from"`
	LatencyMS  int64   `json:"latency_ms"`
	EventTypes int     `json:"event_types"`
}

func newCheckCommand(s *settings) *cobra.Command {
	output := formatText
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Find out whether configuration, server and token are right",
		Long: `Find out whether configuration, server and token are right: reads the
configuration, asks the server for the event types, and says what is wrong and
what to do. Nothing is changed.

With -o json it is an object with the members config_file (null: none),
server_url, server_url_from, token_from (an option, a variable or the file),
latency_ms and event_types, their number. It is printed only if all is well.`,
		Example: `  swh-webhooks check
  swh-webhooks --config-file webhooks.yml check`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := s.resolve(cmd)
			if err != nil {
				return err
			}
			client, err := s.clientFor(cmd, r)
			if err != nil {
				return err
			}
			found := checkup{
				ConfigFile: nullable(r.file), ServerURL: r.Svix.ServerURL,
				URLFrom: r.urlFrom, TokenFrom: r.tokenFrom,
			}
			if output == formatText {
				if err := printConfiguration(cmd.OutOrStdout(), found); err != nil {
					return err
				}
			}
			if err := found.ask(cmd.Context(), client); err != nil {
				return err
			}
			if output != formatText {
				return output.print(cmd.OutOrStdout(), found)
			}
			return printAnswer(cmd.OutOrStdout(), found)
		},
	}
	addFormat(cmd, &output)
	return cmd
}

// ask asks the server something that it answers to the right token only.
func (c *checkup) ask(ctx context.Context, client *webhooks.Client) error {
	start := time.Now()
	for _, err := range client.ListEventTypes(ctx) {
		if err != nil {
			return err
		}
		c.EventTypes++
	}
	c.LatencyMS = time.Since(start).Milliseconds()
	return nil
}

// printConfiguration prints what is known before the server is asked.
func printConfiguration(w io.Writer, found checkup) error {
	file := "none"
	if found.ConfigFile != nil {
		file = *found.ConfigFile
	}
	_, err := fmt.Fprintf(w,
		"configuration file  %s\nserver              %s, from %s\ntoken               from %s\n",
		printable(file), printable(found.ServerURL), printable(found.URLFrom),
		printable(found.TokenFrom))
	return err
}

func printAnswer(w io.Writer, found checkup) error {
	types := strconv.Itoa(found.EventTypes)
	if found.EventTypes == 0 {
		types = "none (to register those of the archive: swh-webhooks event-type register-defaults)"
	}
	_, err := fmt.Fprintf(w,
		"answer              after %d ms, the token is right\nevent types         %s\n",
		found.LatencyMS, types)
	return err
}
