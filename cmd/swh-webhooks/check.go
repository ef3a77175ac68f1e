package main

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks"
	"github.com/softwareheritage/webhooks/internal/foreign"
)

// A checkup is what was found, in the documented form.
type checkup struct {
	ConfigFile *string  `json:"config_file"` // null: none
	ServerURL  string   `json:"server_url"`
	URLFrom    string   `json:"server_url_from"`
	TokenFrom  string   `json:"token_from"`
	LatencyMS  int64    `json:"latency_ms"`
	EventTypes int      `json:"event_types"`
	Endpoints  int      `json:"endpoints"`
	Warnings   []string `json:"warnings"`
	Deep       bool     `json:"deep"`
}

func newCheckCommand(s *settings) *cobra.Command {
	var deep bool
	output := formatText
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Find out whether configuration, server and endpoints are right",
		Long: `Find out whether configuration, server and endpoints are right: reads the
configuration, asks the server for event types and endpoints, and says what is
wrong and what to do. It warns of endpoints that are disabled or to which more
fails than succeeds since yesterday, of a token that travels unencrypted, and
of URL and token that come from different places. Nothing is changed.

With --deep it also sends an event of an event type that it makes for that, to
nobody, reads it back to see whether the server keeps payloads to the byte, as
this program needs it, and archives the event type. Servers from svix-server
1.100 on are known to do so.

With -o json it is an object with the members config_file (null: none),
server_url, server_url_from, token_from (an option, a variable or the file),
latency_ms, event_types and endpoints (their numbers), warnings (texts) and
deep (whether that was done). It is printed only if nothing fails.`,
		Example: `  swh-webhooks check
  swh-webhooks --config-file webhooks.yml check --deep`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := s.resolve(cmd)
			if err != nil {
				return err
			}
			client, err := s.clientFor(cmd, r, webhooks.WithoutListenerCheck())
			if err != nil {
				return err
			}
			found := checkup{
				ConfigFile: nullable(r.file), ServerURL: r.Svix.ServerURL, URLFrom: r.urlFrom,
				TokenFrom: r.tokenFrom, Warnings: r.warnings(), Deep: deep,
			}
			if output == formatText {
				if err := printConfiguration(cmd.OutOrStdout(), found); err != nil {
					return err
				}
			}
			if err := found.look(cmd, client); err != nil {
				return err
			}
			if output != formatText {
				return output.print(cmd.OutOrStdout(), found)
			}
			return printFindings(cmd.OutOrStdout(), found)
		},
	}
	cmd.Flags().BoolVar(&deep, "deep", false, "send an event to nobody and read it back")
	addFormat(cmd, &output)
	return cmd
}

// warnings are what is doubtful about a configuration.
func (r resolved) warnings() []string {
	warnings := []string{}
	u, err := url.Parse(r.Svix.ServerURL)
	if err == nil && u.Scheme == "http" && !isLocal(u.Hostname()) {
		warnings = append(warnings, "the token travels unencrypted: the server's URL is plain http")
	}
	if r.kind(r.urlFrom) != r.kind(r.tokenFrom) {
		warnings = append(warnings, fmt.Sprintf("URL and token come from different places, "+
			"%s and %s: are they of the same server?", r.urlFrom, r.tokenFrom))
	}
	return warnings
}

func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// kind is the sort of place that a value comes from.
func (r resolved) kind(from string) string {
	switch {
	case from == r.file:
		return "file"
	case strings.HasPrefix(from, "--"):
		return "option"
	}
	return "variable"
}

// look asks the server.
func (c *checkup) look(cmd *cobra.Command, client *webhooks.Client) error {
	start := time.Now()
	types, err := webhooks.Collect(client.ListEventTypes(cmd.Context()))
	if err != nil {
		return err
	}
	c.LatencyMS = time.Since(start).Milliseconds()
	c.EventTypes = len(types)
	for _, et := range types {
		warnings, endpoints, err := lookAtEndpoints(cmd.Context(), client, et.Name)
		if err != nil {
			return err
		}
		c.Endpoints += endpoints
		c.Warnings = append(c.Warnings, warnings...)
	}
	if c.Deep {
		return checkDeep(cmd.Context(), client)
	}
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
		foreign.Printable(file), foreign.Printable(found.ServerURL), foreign.Printable(found.URLFrom),
		foreign.Printable(found.TokenFrom))
	return err
}

func printFindings(w io.Writer, found checkup) error {
	types := strconv.Itoa(found.EventTypes)
	if found.EventTypes == 0 {
		types = "none (to register those of the archive:\n" +
			"                    swh-webhooks event-type register-defaults)"
	}
	_, err := fmt.Fprintf(w, "answer              after %d ms, the token is right\n"+
		"event types         %s\nendpoints           %d\n", found.LatencyMS, types, found.Endpoints)
	if err != nil {
		return err
	}
	if found.Deep {
		if err := printLine(w, "payloads            are kept to the byte"); err != nil {
			return err
		}
	}
	for _, warning := range found.Warnings {
		if err := printLine(w, bold(w, "Warning:")+" "+foreign.Printable(warning)); err != nil {
			return err
		}
	}
	return nil
}
