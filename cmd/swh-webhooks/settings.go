package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/softwareheritage/webhooks"
)

// Environment variables that stand for the options of the same name.
const (
	urlVariable   = "SVIX_URL"
	tokenVariable = "SVIX_TOKEN"
)

// settings are the options that all commands have.
type settings struct {
	configFile string
	svixURL    string
	svixToken  string

	clients []*webhooks.Client // that commands made
}

// drain waits for what the clients still send in the background, since the server may store an
// event and never deliver it if this process ends in the middle.
func (s *settings) drain(ctx context.Context) {
	for _, client := range s.clients {
		_ = client.Drain(ctx) // what became of it is known to the command that sent
	}
}

func (s *settings) addTo(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVarP(&s.configFile, "config-file", "C", "",
		"configuration `FILE` ["+webhooks.ConfigFileVariable+"]")
	flags.StringVarP(&s.svixURL, "svix-url", "u", "", "`URL` of the Svix server ["+urlVariable+"]")
	flags.StringVarP(&s.svixToken, "svix-token", "t", "",
		"authentication `TOKEN` of the Svix server ["+tokenVariable+
			"]; on the command\nline other users of the machine can see it: prefer the variable or the file")
}

// freeShorthandU leaves -u to an option of cmd's own; --svix-url stays.
func (s *settings) freeShorthandU(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.svixURL, "svix-url", "", "`URL` of the Svix server ["+urlVariable+"]")
}

// resolved is the configuration that a command works with, and where it comes from.
type resolved struct {
	webhooks.Config

	file      string // empty: none was read
	urlFrom   string
	tokenFrom string
}

// resolve makes one configuration of options, environment and file. Its error names what is
// missing.
func (s *settings) resolve(cmd *cobra.Command) (resolved, error) {
	r := resolved{file: s.configFile}
	if named := os.Getenv(webhooks.ConfigFileVariable); named != "" {
		if r.file != "" && r.file != named {
			cmd.PrintErrf("Warning: %s is set, so that %s is read and not %s\n",
				webhooks.ConfigFileVariable, printable(named), printable(r.file))
		}
		r.file = named
	}
	var err error
	if r.Config, err = webhooks.LoadConfig(s.configFile); err != nil {
		return r, err
	}
	var token string
	token, r.tokenFrom = choose(s.svixToken, "--svix-token", tokenVariable,
		string(r.Svix.AuthToken), r.file)
	r.Svix.AuthToken = webhooks.Secret(token)
	r.Svix.ServerURL, r.urlFrom = choose(s.svixURL, "--svix-url", urlVariable, r.Svix.ServerURL,
		r.file)
	return r, errors.Join(
		missing(token, "Svix authentication token", "--svix-token", tokenVariable, "auth_token"),
		missing(r.Svix.ServerURL, "Svix server URL", "--svix-url", urlVariable, "server_url"))
}

// choose returns the first value that is not empty and where it comes from.
func choose(given, option, variable, configured, file string) (value, from string) {
	if given != "" {
		return given, option
	}
	if value := os.Getenv(variable); value != "" {
		return value, variable
	}
	return configured, file
}

func missing(value, what, option, variable, key string) error {
	if value != "" {
		return nil
	}
	return inputError{fmt.Errorf("%s is missing: set %s, use %s or write webhooks.svix.%s into the configuration file", what, variable, option, key)}
}

// client returns the client that a command works with.
func (s *settings) client(cmd *cobra.Command) (*webhooks.Client, error) {
	r, err := s.resolve(cmd)
	if err != nil {
		return nil, err
	}
	return s.clientFor(r)
}

// clientFor returns a client with a configuration. Its error names the values by where they come
// from, since the library knows only keys of the file.
func (s *settings) clientFor(r resolved, opts ...webhooks.Option) (*webhooks.Client, error) {
	client, err := webhooks.NewClient(append(opts, webhooks.WithConfig(r.Config))...)
	if err == nil {
		s.clients = append(s.clients, client)
		return client, nil
	}
	names := strings.NewReplacer("svix.server_url", r.source(r.urlFrom, "svix.server_url"),
		"svix.auth_token", r.source(r.tokenFrom, "svix.auth_token"))
	return nil, namedError{withoutPackage(names.Replace(err.Error())), err}
}

// source is what a value is called that comes from a place, and has a key in the file.
func (r resolved) source(from, key string) string {
	if from == r.file {
		return r.file + ": " + key
	}
	return from
}
